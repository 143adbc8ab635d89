package decide

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// annotated is the InferenceService of loadedModel with annotations under wasmesh.dev, as pairs.
func annotated(path string, pairs ...string) *v1beta1.InferenceService {
	o := sklearn("m", path)
	for i := 0; i < len(pairs); i += 2 {
		o.Annotations["wasmesh.dev/"+pairs[i]] = pairs[i+1]
	}
	return o
}

// knobs of every model row of an alias, by id.
func (s *script) knobs(alias string) map[string]*syncv1.Knobs {
	found := map[string]*syncv1.Knobs{}
	for _, row := range s.out.Rows {
		if m := row.GetModel(); m.GetAlias() == alias {
			found[m.Id] = m.Knobs
		}
	}
	return found
}

func (s *script) wantKnobs(what string, want *syncv1.Knobs) {
	s.t.Helper()
	for id, got := range s.knobs("m") {
		if !proto.Equal(got, want) {
			s.t.Fatalf("%s: %s has %v, want %v", what, id, got, want)
		}
	}
}

// refusal is the message of the condition about annotations; "" when there is none.
func (s *script) refusal() string {
	s.t.Helper()
	c := find(s.isvc("m").Status.Conditions, ConditionAnnotationsAccepted)
	if c == nil {
		return ""
	}
	if c.Status != "False" || c.Reason != EventInvalidAnnotation {
		s.t.Fatalf("condition %+v", c)
	}
	return c.Message
}

// An annotation that cannot be followed changes nothing but what the status says, also after everything has restarted.
func TestBadAnnotationKeepsTheLastGoodValue(t *testing.T) {
	s, _ := loadedModel(t)
	const path = "sklearn/good"
	good := &syncv1.Knobs{MinCopies: 2, Pinned: true}
	s.declare(annotated(path, "min-copies", "2", "pin", "true"))
	s.decide()
	s.wantKnobs("good annotations", good)
	s.events = nil

	s.declare(annotated(path, "min-copies", "100", "pin", "true"))
	s.decide()
	const refusal = `annotation wasmesh.dev/min-copies: "100" is not a whole number from 0 to 64; 2 is in force`
	s.wantKnobs("one out of range", good)
	s.want("m", true, v1beta1.Loaded, "", v1beta1.UpToDate)
	s.wantFailure("m", "", "")
	if got := s.refusal(); got != refusal {
		t.Errorf("status says %q, want %q", got, refusal)
	}
	if got := s.out.AnnotationFaults[Key{"default", v1beta1.Kind, "m"}]; !slices.Equal(got, []string{refusal}) {
		t.Errorf("faults %q", got)
	}
	s.wantEvents(EventInvalidAnnotation)

	// A controller that starts anew has the durable memory only, and tells again.
	s.in.AnnotationFaults = nil
	s.decide()
	s.wantKnobs("after a restart", good)
	s.wantEvents(EventInvalidAnnotation)

	s.declare(annotated(path, "min-copies", "1"))
	s.decide()
	s.wantKnobs("put right", &syncv1.Knobs{MinCopies: 1})
	if got := s.refusal(); got != "" {
		t.Errorf("status still says %q", got)
	}
	s.wantEvents(EventAnnotationsAccepted)
}

// A model that was never good is served as if the annotation was not there.
func TestBadAnnotationFromTheStart(t *testing.T) {
	s := newScript(t, mlserver(tutorialRuntime, "sklearn"), annotated("sklearn/a", "priority", "high", "max-copies", "3"))
	s.host("h", tutorialRuntime)
	s.decide()
	s.ack()
	s.wantKnobs("beside a bad one", &syncv1.Knobs{MaxCopies: 3})
	s.want("m", true, v1beta1.Standby, "", v1beta1.UpToDate)
	if !strings.Contains(s.refusal(), "wasmesh.dev/priority") {
		t.Errorf("status says %q", s.refusal())
	}
}

// What an owner wishes now holds for the model that answers too, while the next one is on its way or the spec is invalid.
func TestAnnotationsReachTheActiveModel(t *testing.T) {
	s, _ := loadedModel(t)
	s.declare(annotated("sklearn/other", "min-copies", "2"))
	s.decide()
	if n := len(s.knobs("m")); n != 2 {
		t.Fatalf("%d models, want the active one and the target", n)
	}
	s.wantKnobs("while a target is on its way", &syncv1.Knobs{MinCopies: 2})
	invalid := contradictory("m")
	invalid.Annotations["wasmesh.dev/min-copies"] = "3"
	invalid.Annotations["wasmesh.dev/idle-ttl"] = "soon"
	s.declare(invalid)
	s.decide()
	s.want("m", true, v1beta1.Loaded, "", v1beta1.InvalidSpec)
	s.wantKnobs("while the spec is invalid", &syncv1.Knobs{MinCopies: 3})
	if !strings.Contains(s.refusal(), "wasmesh.dev/idle-ttl") {
		t.Errorf("status says %q", s.refusal())
	}
}

func TestPredictorsAnnotations(t *testing.T) {
	p := predictor("p", "sklearn/a")
	p.Annotations = map[string]string{"wasmesh.dev/pin": "maybe", "wasmesh.dev/model-size": "10Mi"}
	s := newScript(t, mlserver(tutorialRuntime, "sklearn"), p)
	s.host("h", tutorialRuntime)
	s.decide()
	if got := s.out.AnnotationFaults[Key{"default", v1alpha1.KindPredictor, "p"}]; len(got) != 1 {
		t.Errorf("faults %q", got)
	}
	s.wantEvents(EventInvalidAnnotation)
}

// A gateway is no place for a copy, so a mesh of gateways alone waits for a host; what it has waiting has a runtime run.
func TestGateway(t *testing.T) {
	spare := mlserver("spare", "sklearn")
	s := newScript(t, mlserver("a-first", "sklearn"), spare, sklearn("m", "sklearn/a"))
	g := s.host("g", "")
	g.Hello.Gateway = true
	s.decide()
	s.want("m", false, v1beta1.Pending, "", v1beta1.UpToDate)
	s.wantFailure("m", v1beta1.RuntimeUnhealthy, messageWaitingForHost)
	needed := func() (names []string) {
		for _, p := range s.out.Runtimes {
			if p.Needed {
				names = append(names, p.Name)
			}
		}
		return names
	}
	if got := needed(); !slices.Equal(got, []string{"a-first"}) {
		t.Errorf("needed: %v", got)
	}
	g.Demands = []*syncv1.Demand{{Runtime: "spare", Waiting: 1}, {Runtime: "unknown", Waiting: 1}}
	s.decide()
	if got := needed(); !slices.Equal(got, []string{"a-first", "spare"}) {
		t.Errorf("needed while a request waits: %v", got)
	}
}

// A host that takes no more requests is not one that could load a model.
func TestClosingHostIsNotReady(t *testing.T) {
	s, _ := loadedModel(t)
	id, _ := s.model("m")
	for _, h := range s.hosts {
		h.Draining = &syncv1.Draining{Copies: 1}
	}
	s.decide()
	s.want("m", true, v1beta1.Loaded, "", v1beta1.UpToDate)
	for name, h := range s.hosts {
		h.Draining = &syncv1.Draining{Copies: 1, Moved: 1, Closing: true}
		s.gone(name, id)
	}
	if st := standingOfInferenceService(s.isvc("m").Status); st.available {
		t.Errorf("with all hosts leaving: %+v", st)
	}
}
