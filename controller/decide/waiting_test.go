package decide

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// TestRuntimeComesLater is ModelMesh's race between a new runtime and its first model, and scaling from zero.
func TestRuntimeComesLater(t *testing.T) {
	s := newScript(t, sklearn("m", "sklearn/good"))
	s.decide()
	s.want("m", false, v1beta1.FailedToLoad, "", v1beta1.UpToDate)
	f := s.wantFailure("m", v1beta1.NoSupportingRuntime, "No ServingRuntime supports specified model type and/or protocol")
	if f.Location != "" {
		t.Fatalf("location %q of a failure that is nowhere", f.Location)
	}
	s.wantEvents(EventLoadFailed)
	id, _ := s.model("m")

	s.declare(mlserver(tutorialRuntime, "sklearn"))
	s.decide()
	s.wantFailure("m", v1beta1.RuntimeUnhealthy, "Waiting for runtime Pod to become available")
	if len(s.out.Runtimes) != 1 || !s.out.Runtimes[0].Needed {
		t.Fatalf("plan %v", s.out.Runtimes)
	}
	h := s.host("host-0", tutorialRuntime)
	h.RuntimeState, h.RuntimeMessage = syncv1.RuntimeState_RUNTIME_STATE_STARTING, "mlserver is starting"
	s.ack()
	s.want("m", false, v1beta1.Loading, "", v1beta1.UpToDate)
	s.wantFailure("m", v1beta1.RuntimeUnhealthy, "Waiting for supporting runtime Pod to become available")
	ready := find(s.isvc("m").Status.Conditions, v1beta1.ConditionReady)
	if ready.Reason != "RuntimeUnhealthy" ||
		ready.Message != "Waiting for supporting runtime Pod to become available: mlserver is starting" {
		t.Fatalf("condition %+v does not say what the runtime says", ready)
	}
	h.RuntimeState, h.RuntimeMessage = syncv1.RuntimeState_RUNTIME_STATE_READY, ""
	s.report("host-0", id, queuedCopy)
	s.want("m", true, v1beta1.Loading, "", v1beta1.UpToDate)
	s.wantFailure("m", v1beta1.RuntimeUnhealthy, "Waiting for supporting runtime Pod to become available")
	s.report("host-0", id, loadedCopy)
	s.want("m", true, v1beta1.Loaded, "", v1beta1.UpToDate)
	s.wantFailure("m", "", "")
	s.wantEvents(EventWaitingForRuntime, EventLoaded)
}

// TestHostGone: ModelMesh went on saying available.
func TestHostGone(t *testing.T) {
	s, model := loadedModel(t)
	s.hosts["host-0"].Connected = false
	s.decide()
	s.want("m", false, v1beta1.Loaded, "", v1beta1.UpToDate)
	s.wantFailure("m", v1beta1.RuntimeUnhealthy, "Waiting for runtime Pod to become available")
	if s.events[0].Type != corev1.EventTypeWarning {
		t.Fatalf("event %+v, want a warning: it was available", s.events[0])
	}
	s.wantEvents(EventWaitingForRuntime)

	// An edit finds nobody to load it, and is taken back.
	s.declare(sklearn("m", "sklearn/better"))
	s.decide()
	s.want("m", false, v1beta1.Loaded, v1beta1.Loading, v1beta1.InProgress)
	s.declare(sklearn("m", "sklearn/good"))
	s.decide()
	s.want("m", false, v1beta1.Loaded, "", v1beta1.UpToDate)
	s.wantEvents(EventUpToDate)

	// Its successor comes up empty.
	s.host("host-0", tutorialRuntime)
	s.decide()
	s.want("m", true, v1beta1.Loading, "", v1beta1.UpToDate)
	s.ack()
	s.report("host-0", model, loadedCopy)
	s.want("m", true, v1beta1.Loaded, "", v1beta1.UpToDate)
	s.wantFailure("m", "", "")
}

// TestRuntimeRemovedWhileDown: that no runtime is left needs no report of a host, so it is said before any comes, and it
// is the same sentence as for an object that was never seen before.
func TestRuntimeRemovedWhileDown(t *testing.T) {
	s, _ := loadedModel(t)
	s.hosts["host-0"].Connected = false
	s.decide()
	s.wantFailure("m", v1beta1.RuntimeUnhealthy, messageWaitingForHost)
	named, runtime := sklearn("named", "sklearn/good"), tutorialRuntime
	named.Spec.Predictor.Model.Runtime = &runtime
	s.declare(named)
	s.declare(sklearn("edited", "sklearn/good"))
	s.decide()
	s.declare(contradictory("edited"))
	s.decide()
	s.events = nil

	s.hosts, s.in.Settled = map[string]*Host{}, false
	s.in.Objects.ServingRuntimes[0] = mlserver("other", "onnx")
	s.decide()
	s.want("m", false, v1beta1.FailedToLoad, "", v1beta1.UpToDate)
	s.wantFailure("m", v1beta1.NoSupportingRuntime, "No ServingRuntime supports specified model type and/or protocol")
	s.wantFailure("named", v1beta1.RuntimeNotRecognized, "Specified runtime name not recognized")
	s.want("edited", false, v1beta1.FailedToLoad, "", v1beta1.InvalidSpec)
	for _, e := range s.events {
		if e.Object.Name == "named" && !strings.HasSuffix(e.Message, `asked for the runtime "mlserver-1.x", declared: other`) {
			t.Errorf("the Event says %q", e.Message)
		}
	}
	s.wantEvents(EventLoadFailed, EventLoadFailed, EventLoadFailed)
	for name, want := range map[string]string{
		"m":      `No ServingRuntime supports specified model type and/or protocol; asked for "sklearn", declared: onnx`,
		"named":  `Specified runtime name not recognized; asked for the runtime "mlserver-1.x", declared: other`,
		"edited": messageRuntimesGone + "; the changed spec is invalid: " + s.isvc("edited").Status.ModelStatus.LastFailureInfo.Message,
	} {
		if c := find(s.isvc(name).Status.Conditions, v1beta1.ConditionReady); c.Message != want {
			t.Errorf("%s: the condition says %q, want %q", name, c.Message, want)
		}
	}
}

// TestBlockedEditTakenBack: the warning about the edit is not the last word.
func TestBlockedEditTakenBack(t *testing.T) {
	s, _ := loadedModel(t)
	s.events = nil
	s.declare(service("m", "sklern", "sklearn/good"))
	s.decide()
	s.want("m", true, v1beta1.Loaded, v1beta1.FailedToLoad, v1beta1.BlockedByFailedLoad)
	c := find(s.isvc("m").Status.Conditions, v1beta1.ConditionReady)
	if want := "The model is loaded; the model of the changed spec failed to load: No ServingRuntime supports specified model " +
		`type and/or protocol; asked for "sklern", declared: sklearn`; c.Message != want {
		t.Errorf("the condition says %q, want %q", c.Message, want)
	}
	if last := s.events[len(s.events)-1].Message; !strings.HasSuffix(last, `asked for "sklern", declared: sklearn`) {
		t.Errorf("the Event says %q", last)
	}
	s.wantEvents(EventBlocked)
	s.declare(sklearn("m", "sklearn/good"))
	s.decide()
	s.want("m", true, v1beta1.Loaded, "", v1beta1.UpToDate)
	if s.events[0].Type != corev1.EventTypeNormal {
		t.Errorf("event %+v, want a normal one", s.events[0])
	}
	s.wantEvents(EventUpToDate)
}

// TestTargetsTroublesAreNotTheActives: ModelMesh said Ready false for a model that answered.
func TestTargetsTroublesAreNotTheActives(t *testing.T) {
	s, _ := loadedModel(t)
	s.declare(mlserver("other", "onnx"))
	s.declare(service("m", "onnx", "onnx/mnist"))
	s.decide()
	s.want("m", true, v1beta1.Loaded, v1beta1.Loading, v1beta1.InProgress)
	s.wantFailure("m", v1beta1.RuntimeUnhealthy, "Waiting for supporting runtime Pod to become available")
	for _, p := range s.out.Runtimes {
		if !p.Needed {
			t.Errorf("runtime %s is not needed, though the old or the new model is on it", p.Name)
		}
	}
}

// TestRuntimeRemoved: what is in memory answers; then nothing can, and the memory of where it could go is kept.
func TestRuntimeRemoved(t *testing.T) {
	s, model := loadedModel(t)
	kept := s.in.Objects.ServingRuntimes
	s.declare(sklearn("m", "sklearn/better"))
	s.decide()
	s.in.Objects.ServingRuntimes = nil
	s.decide()
	s.want("m", true, v1beta1.Loaded, v1beta1.FailedToLoad, v1beta1.BlockedByFailedLoad)
	s.gone("host-0", model)
	s.want("m", false, v1beta1.FailedToLoad, v1beta1.FailedToLoad, v1beta1.BlockedByFailedLoad)
	s.in.Objects.ServingRuntimes = kept
	s.decide()
	if now, _ := s.model("m"); now != model {
		t.Errorf("alias points to %q, want %q", now, model)
	}
	for _, row := range s.out.Rows {
		if m := row.GetModel(); m != nil && (len(m.Runtimes) != 1 || m.Runtimes[0] != tutorialRuntime) {
			t.Errorf("model %s may be on %v", m.Id, m.Runtimes)
		}
	}
}
