package standalone

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// A slip in an annotation takes nothing from a model that is served, not even over a restart of the controller.
func TestLastGoodAnnotationsOutliveTheController(t *testing.T) {
	m := newMesh(t)
	annotated := func(annotations string) {
		m.write("isvc.yaml", strings.Replace(isvcYAML("m", "sklearn/good"), "deploymentMode: ModelMesh", "deploymentMode: ModelMesh, "+annotations, 1))
	}
	annotated(`wasmesh.dev/min-copies: "2", wasmesh.dev/pin: "true"`)
	m.start()
	h := newHost(t)
	h.connect(m.sync)
	m.await("m", "loaded", loaded)
	annotated(`wasmesh.dev/min-copies: "200", wasmesh.dev/pin: "true"`)
	refused := func(s v1beta1.InferenceServiceStatus) bool {
		return slices.ContainsFunc(s.Conditions, func(c v1beta1.Condition) bool {
			return c.Type == "AnnotationsAccepted" && strings.Contains(c.Message, `"200"`)
		})
	}
	m.await("m", "told of", refused)
	check := func(when string) {
		t.Helper()
		list, err := m.admin.ListModels(t.Context(), &adminv1.ListModelsRequest{Alias: "m"})
		if err != nil || len(list.Models) != 1 {
			t.Fatalf("%s: models %v, %v", when, list, err)
		}
		one := list.Models[0]
		if want := (&syncv1.Knobs{MinCopies: 2, Pinned: true}); !proto.Equal(one.Model.Knobs, want) {
			t.Errorf("%s: %v, want %v", when, one.Model.Knobs, want)
		}
		if len(one.AnnotationFaults) != 1 || !strings.Contains(one.AnnotationFaults[0], "2 is in force") {
			t.Errorf("%s: faults %q", when, one.AnnotationFaults)
		}
	}
	check("before the restart")
	h.disconnect()
	m.stop()
	m.start()
	h.connect(m.sync)
	m.await("m", "loaded", loaded)
	check("after the restart")
	h.disconnect()
	if want := []string{"load sklearn/good"}; !slices.Equal(h.history, want) {
		t.Errorf("the host did %v, want %v", h.history, want)
	}
}

func TestDrainThroughTheController(t *testing.T) {
	m := newMesh(t)
	m.write("isvc.yaml", isvcYAML("m", "sklearn/good"))
	m.start()
	h := newHost(t)
	h.connect(m.sync)
	m.await("m", "loaded", loaded)
	stream, err := m.admin.DrainHost(t.Context(), &adminv1.DrainHostRequest{HostId: "mlserver-1.x-0"})
	if err != nil {
		t.Fatal(err)
	}
	var last *adminv1.DrainHostResponse
	for {
		answer, err := stream.Recv()
		if err != nil {
			break
		}
		last = answer
	}
	if d := last.GetDraining(); !last.GetLeft() || d.GetMoved() != 1 || d.GetCopies() != 1 {
		t.Errorf("the last word is %v", last)
	}
	hosts, err := m.admin.ListHosts(t.Context(), &adminv1.ListHostsRequest{})
	if err != nil || len(hosts.Hosts) != 1 || hosts.Hosts[0].Connected || !hosts.Hosts[0].Draining.GetClosing() {
		t.Errorf("hosts %v, %v; want one that has left", hosts, err)
	}
}
