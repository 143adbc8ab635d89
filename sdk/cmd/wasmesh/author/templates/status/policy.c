#include "wasmesh_policy.h"

/* Ready only while a copy of the model is in memory. What it does not answer the built-in policy does. */
MESH_STATUS(request, status) {
  if (mesh_rows(request) != 1 || mesh_status_transition(request) != MESH_TRANSITION_UP_TO_DATE) return;
  mesh_status_row model = mesh_status_row_at(request, 0);
  if (mesh_status_row_loaded(model) > 0)
    mesh_status_set(status, MESH_TRANSITION_UP_TO_DATE, MESH_MODEL_STATE_LOADED, 0, 0, 0, 1);
  else if (mesh_status_row_loading(model) + mesh_status_row_failed(model) == 0 && mesh_status_row_hosts_ready(model) > 0 &&
           mesh_status_row_flags(model) == MESH_REVISION_FLAG_CONSIDERED)
    mesh_status_set(status, MESH_TRANSITION_UP_TO_DATE, MESH_MODEL_STATE_STANDBY, 0, 0, 0, 0);
}
