#include "wasmesh_policy.h"

/* The copy that was used least recently goes first. */
MESH_EVICT(request, keep) {
  for (uint32_t i = 0; i < mesh_rows(request); i++) {
    int64_t unused_ms = mesh_header_now_ms(request) - mesh_evict_row_last_used_ms(mesh_evict_row_at(request, i));
    mesh_evict_add(keep, i, (int32_t)(-unused_ms / 60000), MESH_REASON_RECENCY);
  }
}
