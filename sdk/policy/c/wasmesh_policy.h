/*
 * Policies for Wasmesh in C: where models are loaded, what is evicted, how status reads. Headers only; include this one, in
 * one source file.
 *
 * A policy is a body for each hook that it decides:
 *
 *   MESH_PLACE(request, ranking) { ... }     names the hosts to load on, best first: mesh_place_add
 *   MESH_EVICT(request, keep) { ... }        says what each copy is worth keeping: mesh_evict_add, once for each row
 *   MESH_STATUS(request, status) { ... }     says how a status reads: mesh_status_set
 *   MESH_CONFIG("key", ...);                 the keys of the configuration: wasmesh_config.h
 *
 * where request is a const mesh_request *, and the other a mesh_answers *. A body that writes no answer abstains, and the
 * mesh's built-in policy decides. Decisions are functions of the request and the configuration: there is no clock but
 * mesh_header_now_ms, no randomness but mesh_header_seed, and nothing is to be kept between calls. Traps, endless loops and
 * wrong answers harm nobody: the instance is thrown away, the built-in policy decides, and a generation that does it again
 * is rolled back.
 */
#ifndef WASMESH_POLICY_H
#define WASMESH_POLICY_H

#include "wasmesh_abi.h"
#include "wasmesh_config.h"
#include "wasmesh_log.h"
#include "wasmesh_memory.h"
#include "wasmesh_top.h"

MESH__EXPORT("mesh_abi") int32_t mesh_abi(void) { return MESH_ABI_VERSION; }

MESH__EXPORT("mesh_buf") uint32_t mesh_buf(uint32_t size) { return mesh__reserve(size); }

#define MESH__HOOK(hook, request, answers)                                                \
  static inline void mesh__decide_##hook(const mesh_request *request, mesh_answers *answers); \
  MESH__EXPORT("mesh_" #hook) int32_t mesh_##hook(int32_t len) {                          \
    mesh_request r;                                                                       \
    int32_t error = mesh_##hook##_open(&r, mesh__buffer, (uint32_t)len);                \
    if (error != 0) return error;                                                         \
    mesh_answers a = mesh_answers_of(&r);                                                 \
    mesh__decide_##hook(&r, &a);                                                          \
    return (int32_t)a.len;                                                                \
  }                                                                                       \
  static inline void mesh__decide_##hook(const mesh_request *request, mesh_answers *answers)

#define MESH_PLACE(request, ranking) MESH__HOOK(place, request, ranking)
#define MESH_EVICT(request, keep) MESH__HOOK(evict, request, keep)
#define MESH_STATUS(request, status) MESH__HOOK(status, request, status)

#endif
