/*
 * The module's memory: the stack, then static data, then the configuration, then the request with room for the answer.
 *
 * There is no allocator. The host asks for room with mesh_buf, and for more when a request is larger than any before; memory
 * is never given back, so a module is as small as the largest request it has seen.
 */
#ifndef WASMESH_MEMORY_H
#define WASMESH_MEMORY_H

#include <stdint.h>

#if defined(__wasm__)

#define MESH__EXPORT(name) __attribute__((export_name(name)))

/* Set by the linker: its address is the end of static data. */
extern unsigned char __heap_base;

static inline uint32_t mesh__align(uint32_t n) { return (n + 15) & ~UINT32_C(15); }
static inline uint8_t *mesh__heap(void) { return (uint8_t *)(uintptr_t)mesh__align((uint32_t)(uintptr_t)&__heap_base); }

/* 0: the host's limit on memory does not allow it. */
static inline int mesh__grow_to(uint64_t end) {
  uint64_t have = (uint64_t)__builtin_wasm_memory_size(0) << 16;
  return end <= have || __builtin_wasm_memory_grow(0, (uint32_t)((end - have + 65535) >> 16)) != (__SIZE_TYPE__)-1;
}

#else

/* Elsewhere than in a module, as in a unit test, there is no buffer: tests call their own functions. */
#define MESH__EXPORT(name)
static uint8_t mesh__no_heap[16];
static inline uint32_t mesh__align(uint32_t n) { return (n + 15) & ~UINT32_C(15); }
static inline uint8_t *mesh__heap(void) { return mesh__no_heap; }
static inline int mesh__grow_to(uint64_t end) { (void)end; return 0; }

#endif

/* What mesh_buf has given last: its address and size. The host writes to it as often as it likes. */
static uint8_t *mesh__buffer;
static uint32_t mesh__room;

/* The configuration, and where the next buffer begins: behind it. */
static const char *mesh__config;
static uint32_t mesh__config_len;
static uint8_t *mesh__base;

/* The address of at least size bytes, or 0 when the host's limit on memory does not allow them. */
static inline uint32_t mesh__reserve(uint32_t size) {
  if (mesh__base == 0) mesh__base = mesh__heap();
  if (!mesh__grow_to((uint64_t)(uintptr_t)mesh__base + size)) return 0;
  mesh__buffer = mesh__base;
  mesh__room = size;
  return (uint32_t)(uintptr_t)mesh__buffer;
}

/* Copies len bytes from the buffer to behind it, where requests do not overwrite them. 0: there is no memory for them. */
static inline int mesh__keep_config(uint32_t len) {
  uint8_t *to = mesh__buffer + mesh__align(mesh__room);
  if (!mesh__grow_to((uint64_t)(uintptr_t)to + mesh__align(len))) return 0;
  __builtin_memcpy(to, mesh__buffer, len);
  mesh__config = (const char *)to;
  mesh__config_len = len;
  mesh__base = to + mesh__align(len);
  return 1;
}

#endif
