package mesh

import (
	"strings"
	"testing"

	"github.com/wasmesh/wasmesh/host/members"
	"github.com/wasmesh/wasmesh/host/peers/residency"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// A model is ready when a request would be served, loaded first or not; if not, the reason says what somebody can act on.
func TestServable(t *testing.T) {
	const key = 0 // stands for that of "m"
	entry := func(state residency.State) []residency.Entry { return []residency.Entry{{Key: key, State: state}} }
	for name, test := range map[string]struct {
		holds  map[string][]residency.Entry
		change func(*others)
		// why is part of the reason; empty for a model that is ready.
		why string
	}{
		"nobody has it":              {},
		"a peer has it":              {holds: map[string][]residency.Entry{"a": entry(residency.Loaded)}},
		"a peer is about to have it": {holds: map[string][]residency.Entry{"a": entry(residency.Queued)}},
		"it failed here": {
			holds: map[string][]residency.Entry{"self": entry(residency.Failed)},
		},
		"it failed on three hosts": {
			holds: map[string][]residency.Entry{"self": entry(residency.Failed), "a": entry(residency.Failed), "b": entry(residency.Failed)},
			why:   "no such object",
		},
		"it failed on all two": {
			holds:  map[string][]residency.Entry{"self": entry(residency.Failed), "a": entry(residency.Failed)},
			change: func(o *others) { o.see("self", "a") }, why: "no such object",
		},
		"it failed elsewhere and is loaded": {
			holds: map[string][]residency.Entry{"self": entry(residency.Failed), "a": entry(residency.Loaded)},
		},
		"no host has its runtime": {
			change: func(o *others) {
				o.view = members.NewView("self", []members.Member{{ID: "self", Live: true, Runtime: "x"}})
			},
			why: "no host that can serve it is up",
		},
		"the only runtime is down": {
			change: func(o *others) {
				o.see("self").Self().RuntimeReady = false
			}, why: "connection refused",
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOthers("self", "a", "b")
			m := newMesh(t, o)
			for host, entries := range test.holds {
				entries[0].Key = m.key("m")
				o.hold(t, host, entries...)
				o.failures[host] = &syncv1.Failure{Message: "no such object"}
			}
			if test.change != nil {
				test.change(o)
			}
			m.deps.Reporter.PublishRuntime(syncv1.RuntimeState_RUNTIME_STATE_UNAVAILABLE, "connection refused")
			ok, why := m.Servable(row("m"))
			if ok != (test.why == "") || !strings.Contains(why, test.why) || ok && why != "" {
				t.Errorf("%v, %q; want %q", ok, why, test.why)
			}
		})
	}
}
