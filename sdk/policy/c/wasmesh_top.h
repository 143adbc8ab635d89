/*
 * The best rows of many, without an allocator.
 *
 *   mesh_top best = {.len = 0};
 *   for (uint32_t i = 0; i < mesh_rows(request); i++) mesh_top_offer(&best, i, key);
 *   for (uint32_t i = 0; i < best.len; i++) mesh_place_add(ranking, best.rows[i], 0, MESH_REASON_FREE);
 */
#ifndef WASMESH_TOP_H
#define WASMESH_TOP_H

#include <stdint.h>

/* As many hosts as a ranking needs: whoever asked falls through to the next when one refuses. */
#ifndef MESH_TOP_ROWS
#define MESH_TOP_ROWS 32
#endif

/* The rows with the highest keys, best first; of equal keys the one offered first. */
typedef struct {
  uint32_t len;
  uint32_t rows[MESH_TOP_ROWS];
  int64_t keys[MESH_TOP_ROWS];
} mesh_top;

/* Takes the row in if it is among the best so far. */
static inline void mesh_top_offer(mesh_top *top, uint32_t row, int64_t key) {
  uint32_t at = top->len;
  if (at == MESH_TOP_ROWS) {
    if (key <= top->keys[--at]) return;
  } else {
    top->len++;
  }
  for (; at > 0 && top->keys[at - 1] < key; at--) {
    top->keys[at] = top->keys[at - 1];
    top->rows[at] = top->rows[at - 1];
  }
  top->keys[at] = key;
  top->rows[at] = row;
}

#endif
