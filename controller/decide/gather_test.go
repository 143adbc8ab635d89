package decide

import (
	"maps"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
	"github.com/wasmesh/wasmesh/sdk/modelid"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

func TestOnlyAnnotatedInferenceServicesAreOurs(t *testing.T) {
	o := sklearn("m", "sklearn/a")
	o.Annotations = nil
	o.Namespace = "theirs"
	s := newScript(t, clusterMLServer(tutorialRuntime, "sklearn"), o)
	s.decide()
	if len(s.out.Rows)+len(s.out.InferenceServices)+len(s.out.Events)+len(s.out.Runtimes) > 0 {
		t.Fatalf("touched: %s", fingerprint(s.out))
	}
}

// TestOneName: whoever came first keeps it; of two at once the InferenceService, unless only the Predictor is valid.
func TestOneName(t *testing.T) {
	owner := func(s *script) string { return s.alias("m").Owner }
	refused := func(t *testing.T, failure *v1beta1.FailureInfo) {
		t.Helper()
		if failure == nil || failure.Reason != v1beta1.InvalidPredictorSpec || failure.Message != messageNameTaken {
			t.Fatalf("failure %+v", failure)
		}
	}
	ofPredictor := func(s *script) *v1beta1.FailureInfo {
		return standingOfPredictor(s.in.Objects.Predictors[0].Status).failure
	}

	t.Run("both at once", func(t *testing.T) {
		s := newScript(t, mlserver(tutorialRuntime, "sklearn"), predictor("m", "sklearn/a"), sklearn("m", "sklearn/b"))
		s.decide()
		refused(t, ofPredictor(s))
		if owner(s) != "isvc" || len(s.out.Rows) != 2 || s.in.Objects.Predictors[0].Status.Available {
			t.Fatalf("rows:\n%s", rowsOf(s.out))
		}
		// When the other goes, the name is free.
		s.in.Objects.InferenceServices = nil
		s.decide()
		if owner(s) != "ksp" || s.in.Objects.Predictors[0].Status.TransitionStatus != v1beta1.UpToDate {
			t.Fatalf("rows:\n%s", rowsOf(s.out))
		}
	})
	t.Run("Predictor first", func(t *testing.T) {
		s := newScript(t, mlserver(tutorialRuntime, "sklearn"), predictor("m", "sklearn/a"))
		s.decide()
		before := rowsOf(s.out)
		s.declare(sklearn("m", "sklearn/b"))
		s.decide()
		refused(t, s.isvc("m").Status.ModelStatus.LastFailureInfo)
		if rowsOf(s.out) != before {
			t.Fatalf("rows:\n%s\nbefore:\n%s", rowsOf(s.out), before)
		}
		s.want("m", false, v1beta1.Pending, "", v1beta1.InvalidSpec)
	})
	t.Run("both first", func(t *testing.T) {
		p, isvc := predictor("m", "sklearn/a"), sklearn("m", "sklearn/b")
		s := newScript(t, mlserver(tutorialRuntime, "sklearn"), p)
		s.decide()
		memory := s.in.Active
		s = newScript(t, mlserver(tutorialRuntime, "sklearn"), isvc)
		s.decide()
		maps.Copy(memory, s.in.Active)
		s.in.Active = memory
		s.declare(p)
		s.decide()
		refused(t, ofPredictor(s))
		if owner(s) != "isvc" || len(s.in.Active) != 1 {
			t.Fatalf("rows:\n%s", rowsOf(s.out))
		}
	})
	t.Run("only the Predictor is valid", func(t *testing.T) {
		s := newScript(t, mlserver(tutorialRuntime, "sklearn"), predictor("m", "sklearn/a"), contradictory("m"))
		s.decide()
		refused(t, s.isvc("m").Status.ModelStatus.LastFailureInfo)
		if owner(s) != "ksp" {
			t.Fatalf("rows:\n%s", rowsOf(s.out))
		}
	})
}

// TestForeignMemory: in a cluster the active model is an annotation, which a user can write or copy.
func TestForeignMemory(t *testing.T) {
	s := newScript(t, mlserver(tutorialRuntime, "sklearn"), sklearn("a", "sklearn/a"), sklearn("b", "sklearn/b"))
	s.decide()
	want := rowsOf(s.out)
	of := func(name string) *syncv1.Model { return s.in.Active[Key{"default", v1beta1.Kind, name}] }
	for _, m := range []*syncv1.Model{
		{},
		of("b"),
		{Namespace: "default", Id: of("b").Id, Alias: "a"},
		{Namespace: "other", Id: "a__isvc-0123456789", Alias: "a"},
		{Namespace: "default", Id: "a__isvc-0123456789", Alias: "b"},
		{Namespace: "default", Id: "a__ksp-0123456789", Alias: "a"},
		{Namespace: "default", Id: "a", Alias: "a"},
	} {
		m = proto.CloneOf(m)
		m.Runtimes = []string{tutorialRuntime}
		in := s.in
		in.Active = map[Key]*syncv1.Model{
			{"default", v1beta1.Kind, "a"}: m,
			{"default", v1beta1.Kind, "b"}: of("b"),
		}
		if got := rowsOf(Decide(in)); got != want {
			t.Errorf("with %v in memory:\n%s\nwant:\n%s", m, got, want)
		}
	}
}

func TestNamesThatNoRowCanHave(t *testing.T) {
	slash := sklearn("a/b", "sklearn/a")
	for _, name := range []string{"", "a/b", "a\xff"} {
		o := slash.DeepCopy()
		o.Name = name
		s := newScript(t, mlserver(tutorialRuntime, "sklearn"), o)
		s.decide()
		if len(s.out.Rows) > 0 {
			t.Errorf("%q has rows:\n%s", name, rowsOf(s.out))
		}
		if st := s.isvc(name).Status.ModelStatus; st.TransitionStatus != v1beta1.InvalidSpec {
			t.Errorf("%q has status %+v", name, st)
		}
	}
	// A location that cannot be sent is the object's own trouble.
	s := newScript(t, mlserver(tutorialRuntime, "sklearn"), sklearn("m", "sklearn/\xff"))
	s.decide()
	s.want("m", false, v1beta1.Pending, "", v1beta1.InvalidSpec)
	if s.alias("m").UnavailableReason == "" {
		t.Error("clients are not told why")
	}
}

// TestKeyCollision: tables and gossip know a model by its Key alone, so of two models with one Key only one may be. It
// is the one that answers already; otherwise the first.
func TestKeyCollision(t *testing.T) {
	oneForAll := func(claim) modelid.Key { return 7 }
	s := newScript(t, mlserver(tutorialRuntime, "sklearn"), sklearn("b", "sklearn/b"))
	s.decide() // b answers.
	s.declare(sklearn("a", "sklearn/a"))
	s.declare(sklearn("c", "sklearn/c"))
	all := gather(s.in)
	refuseCollisions(all, oneForAll)
	for _, a := range all {
		refused := a.fault != nil && a.fault.Code == v1beta1.InvalidPredictorSpec && a.spec == nil && !a.homeless
		if refused != (a.key.Name != "b") {
			t.Errorf("%s has fault %v, spec %v", a.key.Name, a.fault, a.spec)
		}
		if refused && !strings.Contains(a.fault.Message, "b__isvc-") {
			t.Errorf("%s is not told which model is in its way: %s", a.key.Name, a.fault.Message)
		}
	}

	// An edit of the one that answers may not take the Key of another, and its model stays.
	s = newScript(t, mlserver(tutorialRuntime, "sklearn"), sklearn("a", "sklearn/a"), sklearn("b", "sklearn/b"))
	s.decide()
	s.declare(sklearn("a", "sklearn/edited"))
	edited := gather(s.in)[0].spec.ID.String()
	all = gather(s.in)
	refuseCollisions(all, func(c claim) modelid.Key {
		if strings.HasPrefix(c.id, "b__") || c.id == edited {
			return 7
		}
		return c.key
	})
	if all[0].fault == nil || all[1].fault != nil {
		t.Errorf("faults %v, %v", all[0].fault, all[1].fault)
	}

	// Without a collision nothing is refused.
	all = gather(s.in)
	if all[0].fault != nil || all[1].fault != nil {
		t.Errorf("faults %v, %v", all[0].fault, all[1].fault)
	}
}

// TestTwoOfOneKey: of two objects with one key the first counts, and rows stay unique.
func TestTwoOfOneKey(t *testing.T) {
	a, b := predictor("m", "sklearn/a"), predictor("m", "sklearn/b")
	s := newScript(t, mlserver(tutorialRuntime, "sklearn"))
	s.in.Objects.Predictors = []*v1alpha1.Predictor{a, b}
	first := Decide(s.in)
	s.in.Objects.Predictors = []*v1alpha1.Predictor{a}
	if got, want := rowsOf(first), rowsOf(Decide(s.in)); got != want {
		t.Errorf("rows:\n%s\nwant:\n%s", got, want)
	}
}
