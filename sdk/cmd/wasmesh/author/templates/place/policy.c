#include "wasmesh_policy.h"

/* The hosts with most free memory first. */
MESH_PLACE(request, ranking) {
  const uint32_t out = MESH_HOST_FLAG_DRAINING | MESH_HOST_FLAG_EXCLUDED | MESH_HOST_FLAG_HAS_COPY;
  mesh_top best = {.len = 0};
  for (uint32_t i = 0; i < mesh_rows(request); i++) {
    mesh_place_row host = mesh_place_row_at(request, i);
    if (!(mesh_place_row_flags(host) & out)) mesh_top_offer(&best, i, mesh_place_row_free_memory(host));
  }
  for (uint32_t i = 0; i < best.len; i++) mesh_place_add(ranking, best.rows[i], 0, MESH_REASON_FREE);
}
