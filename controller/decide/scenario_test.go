package decide

import (
	"testing"
	"time"

	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

const (
	queuedCopy   = syncv1.CopyState_COPY_STATE_QUEUED
	loadingCopy  = syncv1.CopyState_COPY_STATE_LOADING
	loadedCopy   = syncv1.CopyState_COPY_STATE_LOADED
	drainingCopy = syncv1.CopyState_COPY_STATE_DRAINING
)

// loadedModel is the mesh of most scenarios: one host, one InferenceService, its model loaded.
func loadedModel(t *testing.T) (s *script, model string) {
	s = newScript(t, mlserver(tutorialRuntime, "sklearn"), sklearn("m", "sklearn/good"))
	s.host("host-0", tutorialRuntime)
	s.decide()
	model, _ = s.model("m")
	s.ack()
	s.report("host-0", model, loadedCopy)
	s.want("m", true, v1beta1.Loaded, "", v1beta1.UpToDate)
	s.events = nil
	return s, model
}

// TestCreate has the order of states that ModelMesh's end-to-end suite expects.
func TestCreate(t *testing.T) {
	s := newScript(t, mlserver(tutorialRuntime, "sklearn"), sklearn("m", "sklearn/mnist-svm.joblib"))
	s.host("host-0", tutorialRuntime)
	s.decide()
	s.want("m", false, v1beta1.Pending, "", v1beta1.UpToDate)
	id, target := s.model("m")
	if id != "m__isvc-6b2eb0b8bf" || target != "" {
		t.Fatalf("alias points to %q and %q", id, target)
	}
	if url := s.isvc("m").Status.URL; url != "" {
		t.Fatalf("URL %q while nothing answers", url)
	}
	s.ack()
	s.want("m", true, v1beta1.Standby, "", v1beta1.UpToDate)
	s.report("host-0", id, queuedCopy)
	s.want("m", true, v1beta1.Loading, "", v1beta1.UpToDate)
	s.report("host-0", id, loadingCopy)
	s.want("m", true, v1beta1.Loading, "", v1beta1.UpToDate)
	s.report("host-0", id, loadedCopy)
	s.want("m", true, v1beta1.Loaded, "", v1beta1.UpToDate)
	s.wantFailure("m", "", "")
	s.wantEvents(EventLoaded)

	s.report("host-0", id, drainingCopy)
	s.want("m", true, v1beta1.Standby, "", v1beta1.UpToDate)
	s.gone("host-0", id)
	s.want("m", true, v1beta1.Standby, "", v1beta1.UpToDate)
	s.wantEvents(EventUnloaded)
}

func TestEdit(t *testing.T) {
	s, old := loadedModel(t)
	s.declare(sklearn("m", "sklearn/better"))
	s.decide()
	s.want("m", true, v1beta1.Loaded, v1beta1.Loading, v1beta1.InProgress)
	active, target := s.model("m")
	if active != old || target == "" || target == old {
		t.Fatalf("alias points to %q and %q, the old model is %q", active, target, old)
	}
	if len(s.out.Rows) != 3 {
		t.Fatalf("rows:\n%s\nwant both models and the alias", rowsOf(s.out))
	}
	s.ack()
	s.report("host-0", target, loadingCopy)
	s.want("m", true, v1beta1.Loaded, v1beta1.Loading, v1beta1.InProgress)
	if c := s.isvc("m").Status.ModelStatus.ModelCopies; c.TotalCopies != 2 {
		t.Fatalf("%d copies, want those of both models", c.TotalCopies)
	}
	s.report("host-0", target, loadedCopy)
	s.want("m", true, v1beta1.Loaded, "", v1beta1.UpToDate)
	if now, next := s.model("m"); now != target || next != "" {
		t.Fatalf("after the switch the alias points to %q and %q", now, next)
	}
	if len(s.out.Rows) != 2 || s.in.Active[Key{"default", v1beta1.Kind, "m"}].Id != target {
		t.Fatalf("the old model is still wanted:\n%s", rowsOf(s.out))
	}
	s.wantEvents(EventSwitched)
}

// TestBadEdit is the case that must never lose the model that works: not by time, not by a restart of either side.
func TestBadEdit(t *testing.T) {
	s, old := loadedModel(t)
	failedAt := s.in.Now.Add(-3 * time.Second).Truncate(time.Second)
	s.declare(sklearn("m", "sklearn/absent"))
	s.decide()
	_, bad := s.model("m")
	s.ack()
	s.report("host-0", bad, queuedCopy)
	s.fail("host-0", bad, "object sklearn/absent: not found", failedAt)

	blocked := func() {
		t.Helper()
		s.want("m", true, v1beta1.Loaded, v1beta1.FailedToLoad, v1beta1.BlockedByFailedLoad)
		f := s.wantFailure("m", v1beta1.ModelLoadFailed, "object sklearn/absent: not found")
		if f.ModelRevisionName != bad || f.Location != "host-0" || !f.Time.Time.Equal(failedAt) {
			t.Fatalf("failure %+v, want the host's own time %v", f, failedAt)
		}
		if now, next := s.model("m"); now != old || next != bad {
			t.Fatalf("alias points to %q and %q, want %q and %q", now, next, old, bad)
		}
	}
	blocked()
	s.wantEvents(EventBlocked)

	// The controller restarts: its memory and the objects remain, at first no host is there.
	host := s.hosts["host-0"]
	s.hosts, s.in.Settled = map[string]*Host{}, false
	s.in.Published.Since, s.in.Faults = nil, nil
	s.decide()
	if now, next := s.model("m"); now != old || next != bad {
		t.Fatalf("before hosts are back the alias points to %q and %q", now, next)
	}
	s.hosts["host-0"], s.in.Settled = host, true
	s.ack()
	blocked()
	s.wantEvents()

	// A retry that is under way reads as in ModelMesh; one that fails in the same way is told again.
	s.report("host-0", bad, loadingCopy)
	s.want("m", true, v1beta1.Loaded, v1beta1.Loading, v1beta1.InProgress)
	s.fail("host-0", bad, "object sklearn/absent: not found", failedAt)
	blocked()
	s.wantEvents(EventBlocked)
	s.fail("host-0", bad, "bucket is gone", failedAt)
	s.wantFailure("m", v1beta1.ModelLoadFailed, "bucket is gone")
	s.wantEvents(EventBlocked)

	// The host restarts and remembers nothing; the status does.
	s.host("host-0", tutorialRuntime)
	s.ack()
	s.want("m", true, v1beta1.Standby, v1beta1.FailedToLoad, v1beta1.BlockedByFailedLoad)
	if f := s.wantFailure("m", v1beta1.ModelLoadFailed, "bucket is gone"); !f.Time.Time.Equal(failedAt) || f.Location != "host-0" {
		t.Fatalf("failure %+v", f)
	}
	s.report("host-0", old, loadedCopy)
	s.events = nil

	// The owner corrects it.
	s.declare(sklearn("m", "sklearn/better"))
	s.decide()
	s.want("m", true, v1beta1.Loaded, v1beta1.Loading, v1beta1.InProgress)
	s.wantFailure("m", "", "")
	_, better := s.model("m")
	s.ack()
	s.report("host-0", better, loadedCopy)
	s.want("m", true, v1beta1.Loaded, "", v1beta1.UpToDate)
	if now, _ := s.model("m"); now != better || len(s.in.Refused) > 0 {
		t.Fatalf("alias points to %q, refused %v", now, s.in.Refused)
	}
	s.wantEvents(EventSwitched)
}

// TestBadEditSurvivesRestartOfAll: neither a host nor a status remembers the failure, and no model is in memory.
func TestBadEditSurvivesRestartOfAll(t *testing.T) {
	s, old := loadedModel(t)
	s.declare(sklearn("m", "sklearn/absent"))
	s.decide()
	_, bad := s.model("m")
	s.ack()
	s.fail("host-0", bad, "not found", s.in.Now)

	edited := sklearn("m", "sklearn/absent")
	s.in.Objects.InferenceServices = nil
	s.declare(edited)
	s.host("host-0", tutorialRuntime)
	// Storage is down as the mesh comes up, and the old model is tried first.
	s.fail("host-0", old, "connection refused", s.in.Now)
	s.want("m", false, v1beta1.FailedToLoad, v1beta1.Loading, v1beta1.InProgress)
	if now, _ := s.model("m"); now != old {
		t.Fatalf("alias points to %q, want %q", now, old)
	}
	s.gone("host-0", old)
	s.ack()
	s.want("m", true, v1beta1.Standby, v1beta1.FailedToLoad, v1beta1.BlockedByFailedLoad)
	s.wantFailure("m", v1beta1.ModelLoadFailed, messageRefused)
	if now, next := s.model("m"); now != old || next != bad {
		t.Fatalf("alias points to %q and %q, want %q and %q", now, next, old, bad)
	}

	// The old model fails again. It is still the one that once worked.
	s.fail("host-0", old, "connection refused", s.in.Now)
	s.want("m", false, v1beta1.FailedToLoad, v1beta1.FailedToLoad, v1beta1.BlockedByFailedLoad)
	if now, _ := s.model("m"); now != old {
		t.Fatalf("alias points to %q, want %q", now, old)
	}
	// The object appears after all.
	s.report("host-0", bad, loadedCopy)
	s.want("m", true, v1beta1.Loaded, "", v1beta1.UpToDate)
}

// TestRuntimeFailureIsNotTheModels: a target that failed with its runtime is not held against it after a restart.
func TestRuntimeFailureIsNotTheModels(t *testing.T) {
	s, _ := loadedModel(t)
	s.declare(sklearn("m", "sklearn/better"))
	s.decide()
	_, target := s.model("m")
	s.ack()
	s.set("host-0", &syncv1.Copy{ModelId: target, State: syncv1.CopyState_COPY_STATE_FAILED, Failure: &syncv1.Failure{
		Reason: syncv1.FailureReason_FAILURE_REASON_RUNTIME_UNHEALTHY, Message: "runtime exited",
	}})
	s.want("m", true, v1beta1.Loaded, v1beta1.FailedToLoad, v1beta1.BlockedByFailedLoad)
	s.wantFailure("m", v1beta1.RuntimeUnhealthy, "runtime exited")
	s.host("host-0", tutorialRuntime)
	s.ack()
	s.want("m", true, v1beta1.Standby, "", v1beta1.UpToDate)
	if now, _ := s.model("m"); now != target {
		t.Fatalf("alias points to %q, want %q", now, target)
	}
}

func TestInvalidEdit(t *testing.T) {
	s, old := loadedModel(t)
	s.declare(contradictory("m"))
	s.decide()
	s.want("m", true, v1beta1.Loaded, "", v1beta1.InvalidSpec)
	f := s.isvc("m").Status.ModelStatus.LastFailureInfo
	if f == nil || f.Reason != v1beta1.InvalidPredictorSpec || f.Message == "" || f.Time == nil {
		t.Fatalf("failure %+v", f)
	}
	if now, next := s.model("m"); now != old || next != "" {
		t.Fatalf("alias points to %q and %q", now, next)
	}
	s.wantEvents(EventInvalidSpec)

	// Invalid in another way is news.
	other := contradictory("m")
	other.Spec.Predictor.Model.ModelFormat.Name = ""
	s.declare(other)
	s.decide()
	s.want("m", true, v1beta1.Loaded, "", v1beta1.InvalidSpec)
	s.wantEvents(EventInvalidSpec)

	// Put right again, it is what it was, without a load.
	s.declare(sklearn("m", "sklearn/good"))
	s.decide()
	s.want("m", true, v1beta1.Loaded, "", v1beta1.UpToDate)
	s.wantFailure("m", "", "")
	s.wantEvents(EventUpToDate)
}

// TestInvalidFromTheStart: ModelMesh gave such an object no status at all, and Pending counted as available.
func TestInvalidFromTheStart(t *testing.T) {
	s := newScript(t, mlserver(tutorialRuntime, "sklearn"), contradictory("m"), sklearn("other", "sklearn/good"))
	s.host("host-0", tutorialRuntime)
	s.decide()
	s.want("m", false, v1beta1.Pending, "", v1beta1.InvalidSpec)
	if a := s.alias("m"); a.ActiveModelId != "" || a.UnavailableReason == "" {
		t.Fatalf("alias row %v", a)
	}
	s.ack()
	s.want("other", true, v1beta1.Standby, "", v1beta1.UpToDate)
	s.wantEvents(EventInvalidSpec)

	s.declare(sklearn("m", "sklearn/good"))
	s.decide()
	s.want("m", false, v1beta1.Pending, "", v1beta1.UpToDate)
	s.wantFailure("m", "", "")
}

// TestEditOfFailedModel: nothing that works is at stake.
func TestEditOfFailedModel(t *testing.T) {
	s := newScript(t, mlserver(tutorialRuntime, "sklearn"), sklearn("m", "sklearn/tpyo"))
	s.host("host-0", tutorialRuntime)
	s.decide()
	typo, _ := s.model("m")
	s.ack()
	s.fail("host-0", typo, "not found", s.in.Now)
	s.want("m", false, v1beta1.FailedToLoad, "", v1beta1.UpToDate)
	s.wantEvents(EventLoadFailed)
	s.fail("host-0", typo, "access denied", s.in.Now)
	s.wantEvents(EventLoadFailed)
	s.declare(contradictory("m"))
	s.decide()
	s.want("m", false, v1beta1.FailedToLoad, "", v1beta1.InvalidSpec)
	s.wantEvents(EventInvalidSpec)
	for _, kind := range []string{v1beta1.ConditionReady, v1beta1.ConditionPredictorReady} {
		want := "access denied; the changed spec is invalid: " + s.isvc("m").Status.ModelStatus.LastFailureInfo.Message
		if c := find(s.isvc("m").Status.Conditions, kind); c.Message != want {
			t.Errorf("%s says %q, want %q", kind, c.Message, want)
		}
	}

	// What is not reported does not yet count as absent.
	s.in.Settled = false
	s.declare(sklearn("m", "sklearn/typo"))
	s.decide()
	if now, _ := s.model("m"); now != typo {
		t.Fatal("switched before reports are in")
	}
	s.in.Settled = true
	s.host("host-1", "another").Complete = false
	s.decide()
	s.want("m", false, v1beta1.FailedToLoad, v1beta1.Loading, v1beta1.InProgress)
	s.wantEvents()
	s.hosts["host-1"].Complete = true
	s.decide()
	s.want("m", true, v1beta1.Loading, "", v1beta1.UpToDate)
	if now, _ := s.model("m"); now == typo {
		t.Fatal("the failed model is still the active one")
	}
	s.wantFailure("m", "", "")
	s.wantEvents(EventSwitched)
}

// TestLoadsAfterAll: a failure that its host has forgiven is not kept.
func TestLoadsAfterAll(t *testing.T) {
	s, model := loadedModel(t)
	s.fail("host-0", model, "access denied", s.in.Now)
	s.want("m", false, v1beta1.FailedToLoad, "", v1beta1.UpToDate)
	s.report("host-0", model, queuedCopy)
	s.want("m", true, v1beta1.Loading, "", v1beta1.UpToDate)
	s.wantFailure("m", "", "")
}

// TestEditOfIdleModel: neither is in memory, the next request may as well load the new one.
func TestEditOfIdleModel(t *testing.T) {
	s, old := loadedModel(t)
	s.host("host-1", tutorialRuntime)
	s.ack()
	s.declare(sklearn("m", "sklearn/better"))
	s.report("host-0", old, drainingCopy)
	s.want("m", true, v1beta1.Standby, v1beta1.Loading, v1beta1.InProgress)
	_, target := s.model("m")
	s.events = nil

	// Only one of two hosts knows of it: the other may be loading it.
	s.hosts["host-0"].Acked = &syncv1.Version{Term: 1, Sequence: s.sequence}
	s.decide()
	if now, _ := s.model("m"); now != old {
		t.Fatal("switched before every host had answered")
	}
	s.hosts["host-1"].Acked, s.hosts["host-1"].Complete = s.hosts["host-0"].Acked, false
	s.decide()
	if now, _ := s.model("m"); now != old {
		t.Fatal("switched although a host has not said what it holds")
	}
	s.hosts["host-1"].Complete = true
	s.decide()
	s.want("m", true, v1beta1.Standby, v1beta1.Standby, v1beta1.InProgress)
	if now, _ := s.model("m"); now != old {
		t.Fatal("switched while the old model still answers requests")
	}
	s.in.Settled = false
	s.gone("host-0", old)
	if now, _ := s.model("m"); now != old {
		t.Fatal("switched before reports are in")
	}
	s.in.Settled = true
	s.decide()
	s.want("m", true, v1beta1.Standby, "", v1beta1.UpToDate)
	if now, _ := s.model("m"); now != target {
		t.Fatal("did not switch")
	}
	s.wantEvents(EventSwitched)
}

// TestEvictedAndEditedAtOnce is told as one thing.
func TestEvictedAndEditedAtOnce(t *testing.T) {
	s, old := loadedModel(t)
	s.declare(sklearn("m", "sklearn/better"))
	s.decide()
	s.hosts["host-0"].Acked = &syncv1.Version{Term: 1, Sequence: s.sequence}
	s.gone("host-0", old)
	s.want("m", true, v1beta1.Standby, "", v1beta1.UpToDate)
	s.wantEvents(EventSwitched)
}

// TestEditWhileAway: only memory knows what answered before.
func TestEditWhileAway(t *testing.T) {
	s, old := loadedModel(t)
	s.in.Objects.InferenceServices = nil
	s.declare(sklearn("m", "sklearn/better"))
	s.in.Settled = false
	s.decide()
	if now, next := s.model("m"); now != old || next == "" {
		t.Fatalf("alias points to %q and %q, want %q first", now, next, old)
	}
}

func TestUnsettled(t *testing.T) {
	s := newScript(t, mlserver(tutorialRuntime, "sklearn"), sklearn("m", "sklearn/good"))
	s.in.Settled = false
	s.decide()
	if len(s.out.InferenceServices)+len(s.out.Events) > 0 {
		t.Fatalf("status %v, events %v before reports are in", s.out.InferenceServices, s.out.Events)
	}
	if len(s.out.Rows) != 2 || len(s.out.Runtimes) != 1 || len(s.out.Active) != 1 {
		t.Fatalf("rows %v, runtimes %v, active %v", s.out.Rows, s.out.Runtimes, s.out.Active)
	}
}

// TestDelete leaves nothing behind.
func TestDelete(t *testing.T) {
	s, _ := loadedModel(t)
	s.in.Objects.InferenceServices = nil
	s.decide()
	if len(s.out.Rows)+len(s.out.Active)+len(s.out.Refused) > 0 || s.out.Runtimes[0].Needed {
		t.Fatalf("left behind: %s", fingerprint(s.out))
	}
}
