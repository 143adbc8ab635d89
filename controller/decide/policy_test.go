package decide

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
)

// strict is a status policy that calls nothing ready but what is loaded, and agrees otherwise.
func strict(r *policyabi.StatusRequest) policyabi.StatusAnswer {
	d := &decision{statusScratch: statusScratch{request: *r}}
	answer := d.builtIn()
	if answer.ActiveState != policyabi.ModelStateLoaded {
		answer.Ready = 0
	}
	return answer
}

// TestAStatusPolicyChangesHowItReads, and back, without a change of what is served.
func TestAStatusPolicyChangesHowItReads(t *testing.T) {
	s := newScript(t, mlserver(tutorialRuntime, "sklearn"), sklearn("m", "sklearn/a"))
	s.host("h", tutorialRuntime)
	s.decide()
	s.ack()
	s.want("m", true, v1beta1.Standby, "", v1beta1.UpToDate)
	rows := rowsOf(s.out)

	s.in.Status = strict
	s.decide()
	s.want("m", false, v1beta1.Standby, "", v1beta1.UpToDate)
	for _, c := range s.isvc("m").Status.Conditions {
		if c.Status != "False" || c.Reason != "Standby" || !strings.Contains(c.Message, "next request loads it") {
			t.Errorf("condition %+v", c)
		}
	}
	id, _ := s.model("m")
	s.report("h", id, loadedCopy)
	s.want("m", true, v1beta1.Loaded, "", v1beta1.UpToDate)
	s.gone("h", id)
	s.in.Status = nil
	s.decide()
	s.want("m", true, v1beta1.Standby, "", v1beta1.UpToDate)
	if got := rowsOf(s.out); got != rows {
		t.Errorf("the catalog has changed:\n%s\nwas:\n%s", got, rows)
	}
}

// TestWhatAStatusPolicyIsTold of an object in the middle of a change.
func TestWhatAStatusPolicyIsTold(t *testing.T) {
	s := newScript(t, mlserver(tutorialRuntime, "sklearn"), sklearn("m", "sklearn/a"))
	s.host("h", tutorialRuntime)
	s.host("i", tutorialRuntime).RuntimeState = 0
	s.decide()
	s.ack()
	first, _ := s.model("m")
	s.report("h", first, loadedCopy)
	s.declare(sklearn("m", "sklearn/b"))
	s.decide()
	s.ack()
	_, second := s.model("m")
	s.fail("h", second, "not found", time.UnixMilli(5000))

	var told policyabi.StatusRequest
	s.in.Status = func(r *policyabi.StatusRequest) policyabi.StatusAnswer {
		told = *r
		told.Rows = slices.Clone(r.Rows)
		return strict(r)
	}
	s.decide()
	want := policyabi.StatusContext{
		Name: "default/InferenceService/m", Flags: policyabi.StatusFlagReached,
		Transition: policyabi.TransitionBlockedByFailedLoad, HostsConnected: 2,
		PreviousTransition: policyabi.TransitionBlockedByFailedLoad, PreviousFailure: policyabi.FailureModelLoadFailed,
	}
	if told.Context != want {
		t.Errorf("context %+v\nwant    %+v", told.Context, want)
	}
	for i, want := range []policyabi.StatusRow{
		{Name: first, Loaded: 1, HostsReady: 1, HostsWaiting: 1, Flags: policyabi.RevisionFlagConsidered,
			PreviousState: policyabi.ModelStateLoaded},
		{Name: second, Failed: 1, FailedAtMs: 5000, NewestFailure: policyabi.FailureModelLoadFailed, HostsReady: 1, HostsWaiting: 1,
			Flags:         policyabi.RevisionFlagConsidered | policyabi.RevisionFlagTarget | policyabi.RevisionFlagRefused,
			PreviousState: policyabi.ModelStateFailedToLoad},
	} {
		want.ModelKey = told.Rows[i].ModelKey
		if told.Rows[i] != want || want.ModelKey == 0 {
			t.Errorf("row %d %+v\nwant  %+v", i, told.Rows[i], want)
		}
	}
}

// TestAStatusPolicyCannotDecideWhoAnswers, however it lies.
func TestAStatusPolicyCannotDecideWhoAnswers(t *testing.T) {
	play := func(status func(*policyabi.StatusRequest) policyabi.StatusAnswer) (rows []string, contradictions []string) {
		s := newScript(t, mlserver(tutorialRuntime, "sklearn"), sklearn("m", "sklearn/a"), contradictory("bad"))
		s.in.Status = status
		note := func() {
			rows = append(rows, rowsOf(s.out)+fmt.Sprint(s.out.Active, s.out.Refused))
			for _, name := range []string{"m", "bad"} {
				if st := standingOfInferenceService(s.isvc(name).Status); st.available && (st.active == v1beta1.FailedToLoad || name == "bad") {
					t.Errorf("%s is available though %s", name, st.active)
				}
			}
			for _, c := range s.out.Contradictions {
				if !slices.Contains(contradictions, c.Rule) {
					contradictions = append(contradictions, c.Rule)
				}
			}
		}
		s.host("h", tutorialRuntime)
		s.decide()
		s.ack()
		note()
		first, _ := s.model("m")
		s.report("h", first, loadedCopy)
		s.declare(sklearn("m", "sklearn/b"))
		s.decide()
		s.ack()
		note()
		_, second := s.model("m")
		s.fail("h", second, "not found", s.in.Now)
		note()
		s.report("h", second, loadedCopy)
		note()
		slices.Sort(contradictions)
		return rows, contradictions
	}
	honest, none := play(nil)
	if len(none) > 0 {
		t.Errorf("the built-in policy contradicts: %v", none)
	}
	for _, lie := range []struct {
		name   string
		answer policyabi.StatusAnswer
		rules  []string
	}{
		{"nothing", policyabi.StatusAnswer{}, []string{"incomplete"}},
		{"all is well", policyabi.StatusAnswer{Transition: policyabi.TransitionUpToDate, ActiveState: policyabi.ModelStateLoaded,
			TargetState: policyabi.ModelStateLoaded, Ready: 1},
			[]string{"state without a model", "target without a change", "transition"}},
		{"all is lost", policyabi.StatusAnswer{Transition: policyabi.TransitionInvalidSpec, ActiveState: policyabi.ModelStateFailedToLoad,
			TargetState: policyabi.ModelStateFailedToLoad, Ready: 1},
			[]string{"failed without a failure", "ready though failed", "state without a model", "target without a change", "transition"}},
		{"unheard of", policyabi.StatusAnswer{Transition: 77, ActiveState: 78, TargetState: 79, ActiveFailure: 80}, []string{"incomplete"}},
	} {
		t.Run(lie.name, func(t *testing.T) {
			rows, contradictions := play(func(*policyabi.StatusRequest) policyabi.StatusAnswer { return lie.answer })
			if !slices.Equal(rows, honest) {
				t.Errorf("what is served: %q\nwant %q", rows, honest)
			}
			if !slices.Equal(contradictions, lie.rules) {
				t.Errorf("contradictions %q, want %q", contradictions, lie.rules)
			}
		})
	}
}
