package mesh

import (
	"fmt"

	"github.com/wasmesh/wasmesh/host/members"
	"github.com/wasmesh/wasmesh/host/peers/residency"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// Servable says whether a request for this model would be served, and if not, why. A model that is not loaded is ready all
// the same when a request would have it loaded.
func (m *Mesh) Servable(row *syncv1.Model) (ok bool, why string) {
	view, key := m.peers.View(), m.key(row.GetId())
	failed := make(map[string]bool)
	for _, c := range m.peers.Table().Copies(key, nil) {
		if c.State == residency.Failed {
			failed[c.Host] = true
			if f := m.peers.Failure(key, c.Host); f != nil {
				why = f.GetMessage()
			}
			continue
		}
		if c.State != residency.Draining {
			return true, ""
		}
	}
	if n := len(failed); n >= maxFailedHosts {
		return false, fmt.Sprintf("it failed to load on %d hosts: %s", n, why)
	}
	hosts := 0
	for i := range view.All() {
		h := &view.All()[i]
		if !h.Eligible(row.GetRuntimes()) {
			continue
		}
		hosts++
		if !failed[h.ID] && (h.RuntimeReady || h == view.Self() && m.starting()) {
			return true, ""
		}
	}
	switch {
	case len(failed) > 0:
		return false, why
	case hosts > 0:
		return false, m.runtimeTrouble(view)
	}
	return false, "no host that can serve it is up"
}

// maxFailedHosts is on how many hosts a model is tried before it counts as failed: arbiter.DefaultFailedHosts.
const maxFailedHosts = 3

// starting: the runtime here is not known to be down, so a request waits for it.
func (m *Mesh) starting() bool {
	state, _ := m.deps.Reporter.Runtime()
	return state != syncv1.RuntimeState_RUNTIME_STATE_UNAVAILABLE
}

// runtimeTrouble says what is known of runtimes that are not ready.
func (m *Mesh) runtimeTrouble(view *members.View) string {
	if state, message := m.deps.Reporter.Runtime(); view.Self() != nil && state == syncv1.RuntimeState_RUNTIME_STATE_UNAVAILABLE {
		return "the runtime is not available: " + message
	}
	return "no runtime that can serve it is ready"
}
