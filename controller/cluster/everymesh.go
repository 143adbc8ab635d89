package cluster

import (
	syncserver "github.com/wasmesh/wasmesh/controller/sync"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// everyMesh has the hosts of all namespaces follow the policies of the controller's.
type everyMesh struct{ *syncserver.Server }

// SetPolicies implements policies.Mesh.
func (m everyMesh) SetPolicies(_ string, plan *syncv1.PolicyPlan, modules map[string][]byte) {
	m.Server.SetPolicies(syncserver.AllNamespaces, plan, modules)
}

// PolicyHosts implements policies.Mesh.
func (m everyMesh) PolicyHosts(string) []syncserver.PolicyHost {
	return m.Server.PolicyHosts(syncserver.AllNamespaces)
}
