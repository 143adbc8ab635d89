/*
 * Lines for people, in the host's log. The host bounds what a call may log and drops the rest.
 *
 *   mesh_log(MESH_LOG_LEVEL_INFO, "no host has room");
 *
 *   mesh_log_line line = {.len = 0};
 *   mesh_log_text(&line, "free: ");
 *   mesh_log_int(&line, free);
 *   mesh_log_write(&line, MESH_LOG_LEVEL_DEBUG);
 */
#ifndef WASMESH_LOG_H
#define WASMESH_LOG_H

#include "wasmesh_abi.h"

/* A line that is put together. What does not fit is cut off. */
typedef struct {
  uint32_t len;
  char text[160];
} mesh_log_line;

#if defined(__wasm__)
__attribute__((import_module("mesh_v1"), import_name("log"))) void mesh__host_log(int32_t level, const char *text, uint32_t len);
#else
/* Elsewhere than in a module, as in a unit test, nobody listens. */
static inline void mesh__host_log(int32_t level, const char *text, uint32_t len) { (void)level, (void)text, (void)len; }
#endif

static inline void mesh__log_char(mesh_log_line *line, char c) {
  if (line->len < sizeof line->text) line->text[line->len++] = c;
}

/* Appends text. */
static inline void mesh_log_text(mesh_log_line *line, const char *text) {
  while (*text) mesh__log_char(line, *text++);
}

/* Appends an integer in decimal. */
static inline void mesh_log_int(mesh_log_line *line, int64_t value) {
  char digits[20];
  uint32_t n = 0;
  uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
  do digits[n++] = (char)('0' + rest % 10), rest /= 10;
  while (rest > 0);
  if (value < 0) mesh__log_char(line, '-');
  while (n > 0) mesh__log_char(line, digits[--n]);
}

/* Logs the line. */
static inline void mesh_log_write(const mesh_log_line *line, int32_t level) { mesh__host_log(level, line->text, line->len); }

/* Logs text. */
static inline void mesh_log(int32_t level, const char *text) {
  uint32_t len = 0;
  while (text[len]) len++;
  mesh__host_log(level, text, len);
}

#endif
