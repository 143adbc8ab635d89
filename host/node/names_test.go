package node

import (
	"strings"
	"testing"

	"github.com/wasmesh/wasmesh/host/catalog"
	"github.com/wasmesh/wasmesh/host/route"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// still is a catalog that does not change.
type still struct {
	table *catalog.Table
	hosts []*syncv1.Hosts_Host
}

func (s still) Table() *catalog.Table       { return s.table }
func (s still) Hosts() []*syncv1.Hosts_Host { return s.hosts }

// verdict is a mesh with one opinion.
type verdict struct {
	ok  bool
	why string
}

func (v *verdict) Servable(*syncv1.Model) (bool, string) { return v.ok, v.why }

func modelRow(id string, runtimes ...string) *syncv1.Row {
	return &syncv1.Row{Key: "model/default/" + id, Value: &syncv1.Row_Model{Model: &syncv1.Model{
		Id: id, Runtimes: runtimes, Type: &syncv1.ModelType{Name: "sklearn"},
	}}}
}

func aliasRow(name, active, reason string) *syncv1.Row {
	return &syncv1.Row{Key: "alias/default/" + name, Value: &syncv1.Row_Alias{Alias: &syncv1.Alias{
		Name: name, ActiveModelId: active, UnavailableReason: reason,
	}}}
}

func newNames(rows ...*syncv1.Row) *names {
	return &names{
		catalog: still{
			table: catalog.NewTable(&syncv1.Version{Term: 1, Sequence: 1}, rows...),
			hosts: []*syncv1.Hosts_Host{{Id: "triton-2.x-0", Runtime: "triton-2.x", GrpcAddress: "127.0.0.1:8034"}},
		},
		mesh:    &verdict{ok: true},
		runtime: "mlserver-1.x",
		alone:   true,
	}
}

func TestResolve(t *testing.T) {
	n := newNames(
		modelRow("digits__isvc-1", "mlserver-1.x"), aliasRow("digits", "digits__isvc-1", ""),
		modelRow("elsewhere__isvc-1", "triton-2.x"), aliasRow("elsewhere", "elsewhere__isvc-1", ""),
		modelRow("orphan__isvc-1"), aliasRow("orphan", "orphan__isvc-1", ""),
		aliasRow("invalid", "", "unsupported storageUri scheme ftp"),
	)
	for _, test := range []struct {
		name, id string
		// reason is part of why the model cannot be served, here or at all; outcome is set when there is no model.
		reason  string
		outcome route.Outcome
	}{
		{name: "digits", id: "digits__isvc-1"},
		{name: "digits__isvc-1", id: "digits__isvc-1"},
		{name: "elsewhere", id: "elsewhere__isvc-1", reason: "triton-2.x-0 (gRPC 127.0.0.1:8034"},
		{name: "orphan", id: "orphan__isvc-1", reason: `no ServingRuntime supports the format "sklearn"`},
		{name: "invalid", reason: "scheme ftp", outcome: route.LoadFailed},
		{name: "nobody", reason: `"nobody"`, outcome: route.UnknownModel},
	} {
		resolved, err := n.Resolve(test.name)
		if err != nil {
			if err.Outcome != test.outcome || !strings.Contains(err.Message, test.reason) {
				t.Errorf("%s: %v (%v), want %v naming %q", test.name, err, err.Outcome, test.outcome, test.reason)
			}
			continue
		}
		reason := resolved.Reason + resolved.NotHere
		if test.outcome != route.Served || resolved.ModelID != test.id || !strings.Contains(reason, test.reason) || test.reason == "" && reason != "" {
			t.Errorf("%s: %+v, want id %q and reason %q", test.name, resolved, test.id, test.reason)
		}
	}
}

func TestNothingIsUnknownBeforeTheCatalogIsComplete(t *testing.T) {
	n := newNames()
	n.catalog = still{table: &catalog.Table{}}
	if _, err := n.Resolve("digits"); err == nil || err.Outcome != route.NoHost || n.Ready() {
		t.Errorf("without a catalog: %v, ready %v", err, n.Ready())
	}
}

func TestModelStatusSaysWhyNot(t *testing.T) {
	n := newNames(modelRow("digits__isvc-1", "mlserver-1.x"), aliasRow("digits", "digits__isvc-1", ""))
	status := func() (bool, string) {
		t.Helper()
		s, err := n.ModelStatus("digits")
		if err != nil {
			t.Fatal(err)
		}
		return s.Ready, s.Reason
	}
	if ready, _ := status(); !ready {
		t.Error("a model that a request would load is not ready")
	}
	n.mesh = &verdict{why: "no such object"}
	if ready, reason := status(); ready || reason != "no such object" {
		t.Errorf("a model that nobody can serve: ready %v, %q", ready, reason)
	}
}
