package decide

import (
	"testing"
	"time"

	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// TestStates is ModelMesh's table from the state of a model to what its owner reads.
func TestStates(t *testing.T) {
	const (
		noReason       = syncv1.FailureReason_FAILURE_REASON_UNSPECIFIED
		modelFailed    = syncv1.FailureReason_FAILURE_REASON_MODEL_LOAD_FAILED
		runtimeFailed  = syncv1.FailureReason_FAILURE_REASON_RUNTIME_UNHEALTHY
		cannotFit      = syncv1.FailureReason_FAILURE_REASON_CANNOT_FIT
		waitingHost    = "Waiting for runtime Pod to become available"
		waitingRuntime = "Waiting for supporting runtime Pod to become available"
		failedCopy     = syncv1.CopyState_COPY_STATE_FAILED
	)
	at := time.Date(2026, 4, 14, 9, 59, 0, 0, time.UTC)
	// failing is a copy that failed, or that is tried again after it had.
	failing := func(state syncv1.CopyState, reason syncv1.FailureReason, message string) *syncv1.Copy {
		return &syncv1.Copy{State: state, Failure: &syncv1.Failure{Reason: reason, Message: message, TimeMs: at.UnixMilli()}}
	}
	type world struct {
		copies   []*syncv1.Copy // one on each host
		hosts    int            // that have acknowledged, beyond those with copies
		unaware  int            // that have not
		silent   int            // that have, and have yet to say what they hold
		unready  bool           // no runtime is ready
		others   int            // hosts of another runtime
		runtime  string         // named by the spec
		format   string
		previous v1beta1.ModelState
	}
	type says struct {
		state         v1beta1.ModelState
		available     bool
		reason        v1beta1.FailureReason
		message       string
		total, failed int
	}
	for _, c := range []struct {
		name string
		in   world
		want says
	}{
		{"unknown to hosts", world{unaware: 1}, says{state: v1beta1.Pending}},
		{"unknown to one of two hosts", world{hosts: 1, unaware: 1}, says{state: v1beta1.Pending}},
		{"unknown what a host holds", world{silent: 1}, says{state: v1beta1.Pending}},
		{"standby, and one more host comes", world{hosts: 1, unaware: 1, previous: v1beta1.Standby},
			says{state: v1beta1.Standby, available: true}},
		{"was loaded, and the host comes back empty", world{unaware: 1, previous: v1beta1.Loaded},
			says{state: v1beta1.Loading, available: true}},
		{"known, in no memory", world{hosts: 2}, says{state: v1beta1.Standby, available: true}},
		{"queued", world{copies: []*syncv1.Copy{{State: queuedCopy}}}, says{state: v1beta1.Loading, available: true, total: 1}},
		{"loading", world{copies: []*syncv1.Copy{{State: loadingCopy}}}, says{state: v1beta1.Loading, available: true, total: 1}},
		{"loaded", world{copies: []*syncv1.Copy{{State: loadedCopy}}}, says{state: v1beta1.Loaded, available: true, total: 1}},
		{"loaded, hosts of it unaware", world{copies: []*syncv1.Copy{{State: loadedCopy}}, unaware: 1},
			says{state: v1beta1.Loaded, available: true, total: 1}},
		{"draining", world{copies: []*syncv1.Copy{{State: drainingCopy}}}, says{state: v1beta1.Standby, available: true}},
		{"two loaded, one loading", world{copies: []*syncv1.Copy{{State: loadedCopy}, {State: loadedCopy}, {State: loadingCopy}}},
			says{state: v1beta1.Loaded, available: true, total: 3}},
		{"loaded here, failed there", world{copies: []*syncv1.Copy{failing(failedCopy, modelFailed, "x"), {State: loadedCopy}}},
			says{state: v1beta1.Loaded, available: true, total: 2, failed: 1}},
		{"loading again after a failure", world{copies: []*syncv1.Copy{failing(loadingCopy, modelFailed, "not found")}},
			says{state: v1beta1.Loading, reason: v1beta1.ModelLoadFailed, message: "not found", total: 1}},
		{"loading here, failed there", world{copies: []*syncv1.Copy{{State: queuedCopy}, failing(failedCopy, modelFailed, "x")}},
			says{state: v1beta1.Loading, reason: v1beta1.ModelLoadFailed, message: "x", total: 2, failed: 1}},
		{"failed", world{copies: []*syncv1.Copy{failing(failedCopy, modelFailed, "not found")}},
			says{v1beta1.FailedToLoad, false, v1beta1.ModelLoadFailed, "not found", 1, 1}},
		{"failed, and never said why", world{copies: []*syncv1.Copy{{State: failedCopy}}},
			says{v1beta1.FailedToLoad, false, v1beta1.ModelLoadFailed, "The host gave no reason", 1, 1}},
		{"failed for no known reason", world{copies: []*syncv1.Copy{failing(failedCopy, noReason, "x")}},
			says{v1beta1.FailedToLoad, false, v1beta1.ModelLoadFailed, "x", 1, 1}},
		{"too large", world{copies: []*syncv1.Copy{failing(failedCopy, cannotFit, "needs 2 GiB of 1 GiB")}},
			says{v1beta1.FailedToLoad, false, v1beta1.ModelLoadFailed, "needs 2 GiB of 1 GiB", 1, 1}},
		{"failed with its runtime", world{copies: []*syncv1.Copy{failing(failedCopy, runtimeFailed, "mlserver exited")}},
			says{v1beta1.FailedToLoad, false, v1beta1.RuntimeUnhealthy, "mlserver exited", 1, 1}},
		{"named runtime absent", world{hosts: 1, runtime: "absent"},
			says{state: v1beta1.FailedToLoad, reason: v1beta1.RuntimeNotRecognized, message: "Specified runtime name not recognized"}},
		{"format unknown", world{hosts: 1, format: "tensorrt"},
			says{state: v1beta1.FailedToLoad, reason: v1beta1.NoSupportingRuntime,
				message: "No ServingRuntime supports specified model type and/or protocol"}},
		{"format unknown any more, and it had failed", world{format: "tensorrt",
			copies: []*syncv1.Copy{failing(failedCopy, modelFailed, "not found")}},
			says{v1beta1.FailedToLoad, false, v1beta1.NoSupportingRuntime,
				"No ServingRuntime supports specified model type and/or protocol", 1, 1}},
		{"no host at all", world{}, says{state: v1beta1.Pending, reason: v1beta1.RuntimeUnhealthy, message: waitingHost}},
		{"no host any more", world{previous: v1beta1.Standby},
			says{state: v1beta1.Standby, reason: v1beta1.RuntimeUnhealthy, message: waitingHost}},
		{"only hosts of another runtime", world{others: 1},
			says{state: v1beta1.Loading, reason: v1beta1.RuntimeUnhealthy, message: waitingRuntime}},
		{"runtime not ready", world{hosts: 1, unready: true},
			says{state: v1beta1.Loading, reason: v1beta1.RuntimeUnhealthy, message: waitingRuntime}},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := sklearn("m", "sklearn/a")
			if c.in.format != "" {
				o.Spec.Predictor.Model.ModelFormat.Name = c.in.format
			}
			if c.in.runtime != "" {
				o.Spec.Predictor.Model.Runtime = &c.in.runtime
			}
			s := newScript(t, mlserver(tutorialRuntime, "sklearn"), mlserver("other", "onnx"), o)
			s.decide()
			id, _ := s.model("m")
			o = s.isvc("m").DeepCopy()
			o.Status = v1beta1.InferenceServiceStatus{}
			if c.in.previous != "" {
				o.Status.ModelStatus.ModelRevisionStates = &v1beta1.ModelRevisionStates{ActiveModelState: c.in.previous}
			}
			s.in.Objects.InferenceServices[0] = o

			acked := &syncv1.Version{Term: 1, Sequence: s.sequence}
			name := func() string { return "pod-number-" + string(rune('a'+len(s.hosts))) }
			for _, copied := range c.in.copies {
				h := s.host(name(), tutorialRuntime)
				h.Acked = acked
				copied.ModelId = id
				h.Copies[id] = copied
			}
			for range c.in.hosts {
				s.host(name(), tutorialRuntime).Acked = acked
			}
			for range c.in.unaware {
				s.host(name(), tutorialRuntime).Acked = &syncv1.Version{Term: 0, Sequence: acked.Sequence + 1}
			}
			for range c.in.silent {
				h := s.host(name(), tutorialRuntime)
				h.Acked, h.Complete = acked, false
			}
			for range c.in.others {
				s.host(name(), "other").Acked = acked
			}
			if c.in.unready {
				for _, h := range s.hosts {
					h.RuntimeState = syncv1.RuntimeState_RUNTIME_STATE_UNAVAILABLE
				}
			}
			s.decide()
			s.want("m", c.want.available, c.want.state, "", v1beta1.UpToDate)
			f := s.wantFailure("m", c.want.reason, c.want.message)
			if f != nil && f.ModelRevisionName != id {
				t.Errorf("failure is about %q, want %q", f.ModelRevisionName, id)
			}
			copies := s.isvc("m").Status.ModelStatus.ModelCopies
			if copies.TotalCopies != c.want.total || copies.FailedCopies != c.want.failed {
				t.Errorf("copies %+v, want %d of which %d failed", *copies, c.want.total, c.want.failed)
			}
		})
	}
}

// TestFailureLocationAndTime: the newest failure counts; its time is the host's, others' is when they were first seen.
func TestFailureLocationAndTime(t *testing.T) {
	s := newScript(t, mlserver(tutorialRuntime, "sklearn"), sklearn("m", "sklearn/a"))
	s.host("modelmesh-serving-mlserver-1.x-5c8d-old22", tutorialRuntime)
	s.host("modelmesh-serving-mlserver-1.x-5c8d-new11", tutorialRuntime)
	s.decide()
	id, _ := s.model("m")
	s.ack()
	late := time.Date(2026, 4, 14, 9, 30, 0, 400e6, time.UTC)
	s.fail("modelmesh-serving-mlserver-1.x-5c8d-new11", id, "second", late)
	s.fail("modelmesh-serving-mlserver-1.x-5c8d-old22", id, "first", late.Add(-time.Minute))
	f := s.wantFailure("m", v1beta1.ModelLoadFailed, "second")
	if f.Location != "modelmesh-serving-mlserver-1.x-5c8d-new11" || !f.Time.Time.Equal(late.Truncate(time.Second)) {
		t.Errorf("failure %+v", *f)
	}

	for name, h := range s.hosts {
		h.Connected = false
		s.hosts[name] = h
	}
	s.decide()
	first := s.wantFailure("m", v1beta1.RuntimeUnhealthy, messageWaitingForHost).Time
	if !first.Time.Equal(s.in.Now.Truncate(time.Second)) {
		t.Errorf("time %v, want now", first)
	}
	s.in.Now = s.in.Now.Add(time.Hour)
	s.decide()
	if f := s.wantFailure("m", v1beta1.RuntimeUnhealthy, messageWaitingForHost); !f.Time.Equal(first) {
		t.Errorf("time moved to %v without cause", f.Time)
	}
}
