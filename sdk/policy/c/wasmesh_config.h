/*
 * The configuration: lines of key=integer, blank lines, and comments that begin with #.
 *
 *   MESH_CONFIG("keep_free_permille", "max_queue");            // once, outside of functions: the keys there are
 *   int64_t queue = mesh_config_int("max_queue", 4);           // in a hook; the default when the key is absent
 *
 * A configuration with another key, or with a value that is not an integer, is refused before it is ever used, and what is
 * wrong is logged. Reading scans the text, so read once per decision.
 */
#ifndef WASMESH_CONFIG_H
#define WASMESH_CONFIG_H

#include "wasmesh_log.h"
#include "wasmesh_memory.h"

static inline int mesh__blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

static inline mesh_string mesh__trim(mesh_string t) {
  while (t.len > 0 && mesh__blank(t.at[0])) t.at++, t.len--;
  while (t.len > 0 && mesh__blank(t.at[t.len - 1])) t.len--;
  return t;
}

/* Takes a line off rest, trimmed. */
static inline mesh_string mesh__line(mesh_string *rest) {
  mesh_string line = {rest->at, 0};
  while (line.len < rest->len && line.at[line.len] != '\n') line.len++;
  uint32_t taken = line.len < rest->len ? line.len + 1 : line.len;
  rest->at += taken, rest->len -= taken;
  return mesh__trim(line);
}

static inline int mesh__same(mesh_string t, const char *text) {
  uint32_t i = 0;
  while (i < t.len && text[i] != 0 && text[i] == t.at[i]) i++;
  return i == t.len && text[i] == 0;
}

/* Splits key=value. 0: it is not that. */
static inline int mesh__entry(mesh_string line, mesh_string *key, mesh_string *value) {
  uint32_t i = 0;
  while (i < line.len && line.at[i] != '=') i++;
  if (i == line.len || line.at[0] == '#') return 0;
  *key = mesh__trim((mesh_string){line.at, i});
  *value = mesh__trim((mesh_string){line.at + i + 1, line.len - i - 1});
  return 1;
}

/* Reads a decimal integer. 0: it is not one of 64 bits. */
static inline int mesh__parse(mesh_string t, int64_t *value) {
  int negative = t.len > 0 && t.at[0] == '-';
  uint64_t limit = (uint64_t)INT64_MAX + (negative ? 1 : 0), v = 0;
  uint32_t i = negative ? 1 : 0;
  if (i == t.len) return 0;
  for (; i < t.len; i++) {
    uint64_t digit = (uint64_t)(unsigned char)t.at[i] - '0';
    if (digit > 9 || v > (limit - digit) / 10) return 0;
    v = v * 10 + digit;
  }
  *value = negative ? (int64_t)(0 - v) : (int64_t)v;
  return 1;
}

/* The value of a key, or fallback when the configuration does not have it. The last one counts. */
static inline int64_t mesh_config_int(const char *name, int64_t fallback) {
  mesh_string rest = {mesh__config, mesh__config_len}, key, value;
  while (rest.len > 0) {
    if (mesh__entry(mesh__line(&rest), &key, &value) && mesh__same(key, name)) mesh__parse(value, &fallback);
  }
  return fallback;
}

/* What MESH_CONFIG does with a configuration. */
static inline int32_t mesh__configure(int32_t len, const char *const *keys, uint32_t count) {
  if (!mesh__keep_config((uint32_t)len)) return MESH_CALL_ERROR_CONFIG;
  mesh_string rest = {mesh__config, mesh__config_len}, key, value;
  int64_t ignored;
  while (rest.len > 0) {
    mesh_string line = mesh__line(&rest);
    if (line.len == 0 || line.at[0] == '#') continue;
    const char *wrong = "configuration: not key=integer: ";
    if (mesh__entry(line, &key, &value)) {
      uint32_t i = 0;
      while (i < count && !mesh__same(key, keys[i])) i++;
      if (i == count) wrong = "configuration: unknown key in: ";
      else if (mesh__parse(value, &ignored)) wrong = 0;
    }
    if (wrong == 0) continue;
    mesh_log_line log = {.len = 0};
    mesh_log_text(&log, wrong);
    for (uint32_t i = 0; i < line.len; i++) mesh__log_char(&log, line.at[i]);
    mesh_log_write(&log, MESH_LOG_LEVEL_ERROR);
    return MESH_CALL_ERROR_CONFIG;
  }
  return 0;
}

/* Names the keys that the policy reads, and exports mesh_configure. */
#define MESH_CONFIG(...)                                                        \
  MESH__EXPORT("mesh_configure") int32_t mesh_configure(int32_t len) {          \
    static const char *const keys[] = {__VA_ARGS__};                            \
    return mesh__configure(len, keys, (uint32_t)(sizeof keys / sizeof *keys));  \
  }                                                                             \
  _Static_assert(1, "takes the semicolon")

#endif
