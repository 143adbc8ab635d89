package decide

import (
	"testing"
	"time"

	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
)

// Memory cannot wait exactly while the spec does not say which model answers.
func TestChanging(t *testing.T) {
	s, _ := loadedModel(t)
	key := Key{"default", v1beta1.Kind, "m"}
	want := func(what string, changing bool) {
		t.Helper()
		if got := s.out.Changing[key]; got != changing || len(s.out.Changing) > 1 {
			t.Errorf("%s: changing %v", what, s.out.Changing)
		}
		if s.out.Active[key] == nil {
			t.Errorf("%s: nothing is remembered", what)
		}
	}
	want("loaded", false)
	s.declare(sklearn("m", "other"))
	s.decide()
	want("edited", true)
	_, target := s.model("m")
	s.ack()
	s.fail("host-0", target, "no such object", time.UnixMilli(1))
	s.decide()
	want("blocked", true)
	s.gone("host-0", target)
	s.report("host-0", target, loadedCopy)
	s.decide()
	want("switched", false)
	s.declare(contradictory("m"))
	s.decide()
	want("invalid", true)
}

// In ModelMesh a Predictor was available while it was pending, so also an invalid one, and stayed available when its pods
// were gone.
func TestPredictorIsAvailableOnlyIfItAnswers(t *testing.T) {
	bad := predictor("bad", "p")
	twice := "twice"
	bad.Spec.Path, bad.Spec.Storage = twice, &v1alpha1.Storage{StorageSpec: v1beta1.StorageSpec{Path: &twice}}
	s := newScript(t, mlserver("r", "sklearn"), bad, predictor("good", "p"))
	available := func(name string) bool {
		for _, p := range s.in.Objects.Predictors {
			if p.Name == name {
				return p.Status.Available
			}
		}
		t.Fatalf("no Predictor %s", name)
		return false
	}
	s.decide()
	if available("bad") || available("good") {
		t.Error("available without a host")
	}
	s.host("host-0", "r")
	s.ack()
	s.decide()
	if available("bad") || !available("good") {
		t.Errorf("with a host: bad %v, good %v", available("bad"), available("good"))
	}
	s.hosts["host-0"].Connected = false
	s.decide()
	if available("good") {
		t.Error("available when its host is gone")
	}
}
