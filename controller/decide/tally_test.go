package decide

import (
	"testing"
	"time"

	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
)

// failedBesideLoaded is a model that failed on host-0 at the time that is answered, and was loaded on host-1 thereafter.
func failedBesideLoaded(t *testing.T) (s *script, model string, at time.Time) {
	t.Helper()
	s = newScript(t, mlserver(tutorialRuntime, "sklearn"), sklearn("m", "sklearn/a"))
	s.host("host-0", tutorialRuntime)
	s.host("host-1", tutorialRuntime)
	s.decide()
	model, _ = s.model("m")
	s.ack()
	at = s.in.Now
	s.fail("host-0", model, "the disk is full", at)
	s.want("m", false, v1beta1.FailedToLoad, "", v1beta1.UpToDate)
	s.report("host-1", model, loadedCopy)
	s.want("m", true, v1beta1.Loaded, "", v1beta1.UpToDate)
	s.wantFailure("m", "", "")
	return s, model, at
}

// TestFailureOfOneHostIsNotTheModels: once another host has loaded the model, a request has it loaded there again, whatever
// the host where it failed waits for until it tries again.
func TestFailureOfOneHostIsNotTheModels(t *testing.T) {
	s, model, at := failedBesideLoaded(t)
	s.events = nil
	s.gone("host-1", model)
	s.want("m", true, v1beta1.Standby, "", v1beta1.UpToDate)
	s.wantFailure("m", "", "")
	if c := s.isvc("m").Status.ModelStatus.ModelCopies; c.TotalCopies != 1 || c.FailedCopies != 1 {
		t.Errorf("copies %+v, want the failed one", *c)
	}
	s.report("host-1", model, loadingCopy)
	s.want("m", true, v1beta1.Loading, "", v1beta1.UpToDate)
	s.gone("host-1", model)
	s.wantEvents(EventUnloaded)

	// Out of reach and back, it says the same of the same attempt.
	s.hosts["host-0"].Connected = false
	s.decide()
	s.hosts["host-0"].Connected = true
	s.decide()
	s.want("m", true, v1beta1.Standby, "", v1beta1.UpToDate)

	// Another attempt is another word.
	s.fail("host-0", model, "the disk is full", at.Add(time.Minute))
	s.want("m", false, v1beta1.FailedToLoad, "", v1beta1.UpToDate)
	s.wantFailure("m", v1beta1.ModelLoadFailed, "the disk is full")
	s.report("host-1", model, loadedCopy)
	s.fail("host-1", model, "not found", at.Add(time.Hour))
	s.want("m", false, v1beta1.FailedToLoad, "", v1beta1.UpToDate)
	s.wantFailure("m", v1beta1.ModelLoadFailed, "not found")
}

// TestRefutedFailuresAreForgotten with what they were about.
func TestRefutedFailuresAreForgotten(t *testing.T) {
	s, model, _ := failedBesideLoaded(t)
	if len(s.out.Refuted) != 1 {
		t.Fatalf("%d failures are remembered as refuted, want 1", len(s.out.Refuted))
	}
	s.gone("host-0", model)
	if len(s.out.Refuted) != 0 {
		t.Errorf("%v is remembered, and nobody reports it", s.out.Refuted)
	}
	s, _, _ = failedBesideLoaded(t)
	s.in.Objects.InferenceServices = nil
	s.decide()
	if len(s.out.Refuted) != 0 {
		t.Errorf("%v is remembered, and the model is gone", s.out.Refuted)
	}
	s, _, _ = failedBesideLoaded(t)
	delete(s.hosts, "host-0")
	s.decide()
	if len(s.out.Refuted) != 0 {
		t.Errorf("%v is remembered, and the host is gone", s.out.Refuted)
	}
}
