package decide

import (
	"testing"
	"time"

	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// sleeping is loadedModel whose runtime has been put to sleep, behind a gateway that knows the catalog.
func sleeping(t *testing.T) (s *script, model string) {
	s, model = loadedModel(t)
	s.gateway("gateway")
	s.ack()
	s.in.Asleep = map[Key]bool{{Namespace: "default", Name: tutorialRuntime}: true}
	delete(s.hosts, "host-0")
	s.decide()
	return s, model
}

func (s *script) gateway(id string) *Host {
	h := s.host(id, "")
	h.Hello.Gateway = true
	return h
}

// TestAsleep: the next request wakes the runtime and is answered, so the object is as ready as one whose model merely is
// not in memory; and what a request would not mend is not excused.
func TestAsleep(t *testing.T) {
	runtime := Key{Namespace: "default", Name: tutorialRuntime}
	const (
		waitingHost    = "Waiting for runtime Pod to become available"
		waitingRuntime = "Waiting for supporting runtime Pod to become available"
	)
	for name, test := range map[string]struct {
		then      func(s *script, model string)
		available bool
		state     v1beta1.ModelState
		reason    v1beta1.FailureReason
		message   string
	}{
		"asleep": {func(*script, string) {}, true, v1beta1.Standby, "", ""},
		"its last pod is leaving": {func(s *script, _ string) {
			h := s.host("host-0", tutorialRuntime)
			h.RuntimeState, h.Draining = syncv1.RuntimeState_RUNTIME_STATE_UNAVAILABLE, &syncv1.Draining{Closing: true}
		}, true, v1beta1.Standby, "", ""},
		"without a gateway": {func(s *script, _ string) { delete(s.hosts, "gateway") },
			false, v1beta1.Standby, v1beta1.RuntimeUnhealthy, waitingHost},
		"behind a gateway that is out of reach": {func(s *script, _ string) { s.hosts["gateway"].Connected = false },
			false, v1beta1.Standby, v1beta1.RuntimeUnhealthy, waitingHost},
		"behind a gateway that comes back": {func(s *script, _ string) { s.hosts["gateway"].Acked = nil },
			true, v1beta1.Standby, "", ""},
		"another runtime sleeps": {func(s *script, _ string) { s.in.Asleep = map[Key]bool{{Namespace: "default", Name: "other"}: true} },
			false, v1beta1.Standby, v1beta1.RuntimeUnhealthy, waitingHost},
		"the runtime of another mesh sleeps": {func(s *script, _ string) {
			s.in.Asleep = map[Key]bool{{Namespace: "other", Name: tutorialRuntime}: true}
		}, false, v1beta1.Standby, v1beta1.RuntimeUnhealthy, waitingHost},
		"woken, its pod starts": {func(s *script, _ string) {
			s.host("host-1", tutorialRuntime).RuntimeState = syncv1.RuntimeState_RUNTIME_STATE_STARTING
		}, true, v1beta1.Standby, "", ""},
		"woken, its pod is broken": {func(s *script, _ string) {
			s.host("host-1", tutorialRuntime).RuntimeState = syncv1.RuntimeState_RUNTIME_STATE_UNAVAILABLE
		}, false, v1beta1.Loading, v1beta1.RuntimeUnhealthy, waitingRuntime},
		"awake, its pod starts slowly": {func(s *script, _ string) {
			s.in.Asleep = nil
			s.host("host-1", tutorialRuntime).RuntimeState = syncv1.RuntimeState_RUNTIME_STATE_STARTING
		}, false, v1beta1.Loading, v1beta1.RuntimeUnhealthy, waitingRuntime},
		"woken, and loading": {func(s *script, model string) {
			s.host("host-1", tutorialRuntime).Copies[model] = &syncv1.Copy{ModelId: model, State: loadingCopy}
		}, true, v1beta1.Loading, "", ""},
		"woken, and loaded": {func(s *script, model string) {
			s.host("host-1", tutorialRuntime).Copies[model] = &syncv1.Copy{ModelId: model, State: loadedCopy}
		}, true, v1beta1.Loaded, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, model := sleeping(t)
			test.then(s, model)
			s.decide()
			s.want("m", test.available, test.state, "", v1beta1.UpToDate)
			s.wantFailure("m", test.reason, test.message)
			if test.available && test.state == v1beta1.Standby {
				s.wantEvents() // That the runtime sleeps is told of the runtime.
			}
			if len(s.out.Runtimes) != 1 || !s.out.Runtimes[0].Needed {
				t.Errorf("plan %v, want %v needed", s.out.Runtimes, runtime)
			}
		})
	}
}

// TestAsleepAfterAFailure: no request has been answered since, so sleep makes nothing better.
func TestAsleepAfterAFailure(t *testing.T) {
	s := newScript(t, mlserver(tutorialRuntime, "sklearn"), sklearn("m", "sklearn/absent"))
	s.host("host-0", tutorialRuntime)
	s.gateway("gateway")
	s.decide()
	model, _ := s.model("m")
	s.ack()
	failedAt := s.in.Now.Truncate(time.Second)
	s.fail("host-0", model, "object sklearn/absent: not found", failedAt)
	failed := func() {
		t.Helper()
		s.want("m", false, v1beta1.FailedToLoad, "", v1beta1.UpToDate)
		if f := s.wantFailure("m", v1beta1.ModelLoadFailed, "object sklearn/absent: not found"); f.Location != "host-0" || !f.Time.Time.Equal(failedAt) {
			t.Errorf("failure %+v, want it as the host told it", f)
		}
	}
	failed()
	s.in.Asleep = map[Key]bool{{Namespace: "default", Name: tutorialRuntime}: true}
	delete(s.hosts, "host-0")
	s.decide()
	failed()
	// A controller that starts anew knows it from the status.
	s.in.Faults, s.in.Refused = nil, nil
	s.decide()
	failed()
	// Woken, it is tried again.
	s.host("host-1", tutorialRuntime)
	s.ack()
	s.report("host-1", model, loadedCopy)
	s.want("m", true, v1beta1.Loaded, "", v1beta1.UpToDate)
	s.wantFailure("m", "", "")
}

// TestEditAsleep: nothing of the old model is in memory, so the next request may as well load the new one; where that is
// for a runtime that lacks pods without sleeping, the old model stays.
func TestEditAsleep(t *testing.T) {
	s, old := sleeping(t)
	s.events = nil
	s.declare(sklearn("m", "sklearn/better"))
	s.decide()
	s.ack()
	s.want("m", true, v1beta1.Standby, "", v1beta1.UpToDate)
	now, _ := s.model("m")
	if now == old {
		t.Error("the old model still answers")
	}
	s.declare(mlserver("other", "onnx"))
	s.declare(service("m", "onnx", "onnx/mnist"))
	s.decide()
	s.ack()
	s.want("m", true, v1beta1.Standby, v1beta1.Loading, v1beta1.InProgress)
	if active, _ := s.model("m"); active != now {
		t.Errorf("%s answers, want %s", active, now)
	}
}
