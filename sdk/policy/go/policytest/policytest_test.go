package policytest_test

import (
	"testing"

	policy "github.com/wasmesh/wasmesh/sdk/policy/go"
	"github.com/wasmesh/wasmesh/sdk/policy/go/evict"
	"github.com/wasmesh/wasmesh/sdk/policy/go/policytest"
	"github.com/wasmesh/wasmesh/sdk/policy/go/status"
)

func TestAnswersThatHostsRefuse(t *testing.T) {
	rows := []policytest.EvictRow{{Name: "a"}, {Name: "b"}}
	for name, c := range map[string]struct {
		answered []int
		ok       bool
	}{
		"each row":   {[]int{1, 0}, true},
		"abstained":  {nil, true},
		"one of two": {[]int{1}, false},
		"twice":      {[]int{1, 1}, false},
		"beyond":     {[]int{0, 2}, false},
		"negative":   {[]int{0, -1}, false},
	} {
		t.Run(name, func(t *testing.T) {
			answers, err := policytest.Evict(func(_ evict.Request, a *evict.Answers) {
				for _, row := range c.answered {
					a.Add(row, 1, policy.ReasonRate)
				}
			}, &policytest.EvictRequest{Rows: rows})
			if (err == nil) != c.ok {
				t.Errorf("answers %v, error %v", answers, err)
			}
		})
	}
}

func TestPolicySeesTheRequest(t *testing.T) {
	request := &policytest.StatusRequest{
		Header:  policytest.Header{NowMs: 1_700_000_000_000, Seed: 5},
		Context: policytest.StatusContext{Name: "default/isvc/a", HostsConnected: 3},
		Rows:    []policytest.StatusRow{{Name: "m1", Loaded: 2, Flags: policy.RevisionFlagTarget}},
	}
	answers, err := policytest.Status(func(r status.Request, a *status.Answers) {
		row := r.Row(0)
		if r.Header().NowMs() != 1_700_000_000_000 || r.Header().Seed() != 5 || r.Context().Name() != "default/isvc/a" ||
			r.Context().HostsConnected() != 3 || row.Name() != "m1" || row.Loaded() != 2 || !row.Flags().Has(policy.RevisionFlagTarget) {
			t.Errorf("saw %+v %+v", r.Context(), row)
		}
		a.Set(status.Answer{Transition: policy.TransitionUpToDate, ActiveState: policy.ModelStateLoaded, Ready: 1})
	}, request)
	want := status.Answer{Transition: policy.TransitionUpToDate, ActiveState: policy.ModelStateLoaded, Ready: 1}
	if err != nil || len(answers) != 1 || answers[0] != want {
		t.Errorf("answers %v, error %v", answers, err)
	}
}
