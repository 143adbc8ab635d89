package decide

import (
	"fmt"
	"slices"
	"testing"

	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

func plansOf(o Output) []string {
	var got []string
	for _, p := range o.Runtimes {
		got = append(got, fmt.Sprintf("%s/%s needed=%v", p.Namespace, p.Name, p.Needed))
	}
	return got
}

func TestPlans(t *testing.T) {
	elsewhere := mlserver("theirs", "sklearn")
	elsewhere.Namespace = "team"
	disabled, single := mlserver("disabled", "sklearn"), mlserver("single", "sklearn")
	yes, no := true, false
	disabled.Spec.Disabled, single.Spec.MultiModel = &yes, &no
	s := newScript(t,
		clusterMLServer("everywhere", "xgboost"), clusterMLServer("hidden", "lightgbm"),
		mlserver("hidden", "onnx"), disabled, single, elsewhere,
		service("m", "xgboost", "a"),
	)
	s.decide()
	want := []string{
		"default/everywhere needed=true", "default/hidden needed=false",
		"team/everywhere needed=false", "team/hidden needed=false", "team/theirs needed=false",
	}
	if got := plansOf(s.out); !slices.Equal(got, want) {
		t.Errorf("plans %q, want %q", got, want)
	}
	s.wantEvents(EventWaitingForRuntime)
}

// TestNeed: only the most preferred runtime of a model is needed, and an invalid object neither needs one nor takes
// another's need away. In ModelMesh one of them kept every runtime of the namespace up.
func TestNeed(t *testing.T) {
	low, high := int32(1), int32(2)
	first, second := mlserver("first", "sklearn"), mlserver("second", "sklearn")
	first.Spec.SupportedModelFormats[0].Priority = &high
	second.Spec.SupportedModelFormats[0].Priority = &low
	s := newScript(t, first, second, mlserver("idle", "onnx"), contradictory("bad"))
	s.decide()
	none := []string{"default/first needed=false", "default/idle needed=false", "default/second needed=false"}
	if got := plansOf(s.out); !slices.Equal(got, none) {
		t.Errorf("plans %q, want %q", got, none)
	}
	s.declare(sklearn("good", "sklearn/a"))
	s.decide()
	one := []string{"default/first needed=true", "default/idle needed=false", "default/second needed=false"}
	if got := plansOf(s.out); !slices.Equal(got, one) {
		t.Errorf("plans %q, want %q", got, one)
	}
}

// TestInvalidRuntime is not used, is told once, and hides the cluster's runtime of its name.
func TestInvalidRuntime(t *testing.T) {
	bad := mlserver(tutorialRuntime, "sklearn")
	bad.Spec.BuiltInAdapter.ServerType = "unheard-of"
	s := newScript(t, bad, clusterMLServer(tutorialRuntime, "sklearn"), mlserver("good", "onnx"), service("m", "onnx", "a"))
	s.decide()
	if got, want := plansOf(s.out), []string{"default/good needed=true"}; !slices.Equal(got, want) {
		t.Errorf("plans %q, want %q", got, want)
	}
	key := Key{"default", v1alpha1.KindServingRuntime, tutorialRuntime}
	if e := s.events[0]; e.Object != key || e.Type != "Warning" || e.Message == "" {
		t.Errorf("event %+v", e)
	}
	s.wantEvents(EventInvalidSpec, EventWaitingForRuntime)
	s.decide()
	s.wantEvents()

	// Wrong in another way is news; so is a plan that cannot be made.
	bad = bad.DeepCopy()
	bad.Spec.BuiltInAdapter.ServerType = "mlserver"
	bad.Spec.Containers[0].Resources.Requests = nil
	s.in.Objects.ServingRuntimes[0] = bad
	s.decide()
	s.wantEvents(EventInvalidSpec)

	s.in.Objects.ServingRuntimes[0] = mlserver(tutorialRuntime, "sklearn")
	s.decide()
	s.wantEvents()
	if len(s.out.Faults) > 0 || len(s.out.Runtimes) != 2 {
		t.Errorf("faults %v, plans %q", s.out.Faults, plansOf(s.out))
	}
}

// TestWaited: what requests wait for is told to whoever scales, also of a runtime that is needed anyhow, and by a gateway.
func TestWaited(t *testing.T) {
	s := newScript(t, mlserver("a", "sklearn"), service("m", "sklearn", "a"))
	s.decide()
	if s.out.Waited != nil {
		t.Errorf("waited %v, want none", s.out.Waited)
	}
	in := Input{Objects: Objects{ServingRuntimes: []*v1alpha1.ServingRuntime{mlserver("a", "sklearn")}}}
	for _, id := range []string{"h1", "h2"} {
		in.Hosts = append(in.Hosts, Host{
			Hello: &syncv1.Hello{Namespace: "default", HostId: id, Gateway: id == "h2"}, Connected: id == "h2",
			Demands: []*syncv1.Demand{{Runtime: "b" + id, Waiting: 1}, {Runtime: "a", Waiting: 2}, {Runtime: "none"}},
		})
	}
	want := []Key{{Namespace: "default", Name: "a"}, {Namespace: "default", Name: "bh2"}}
	if got := Decide(in).Waited; !slices.Equal(got, want) {
		t.Errorf("waited %v, want %v", got, want)
	}
}
