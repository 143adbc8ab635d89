package decisions

import (
	"slices"
	"testing"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

const nowMs = 1_767_225_600_000

func encode(request interface {
	Size() int
	Encode([]byte)
}) []byte {
	encoded := make([]byte, request.Size())
	request.Encode(encoded)
	return encoded
}

func check(t *testing.T, request, answer []byte, want []Candidate) {
	t.Helper()
	got, err := Candidates(request, answer)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("candidates\n%+v\nwant\n%+v", got, want)
	}
}

func TestPlaceCandidates(t *testing.T) {
	request := encode(&policyabi.PlaceRequest{
		Header: policyabi.Header{NowMs: nowMs},
		Rows: []policyabi.PlaceRow{
			{Name: "a", CapacityMemory: 1 << 30, FreeMemory: 512 << 20, Copies: 3, LoadsQueued: 1, LoadsRunning: 2},
			{Name: "b", CapacityMemory: 1 << 30, FreeMemory: 100, Flags: policyabi.HostFlagDraining | policyabi.HostFlagSelf},
			{Name: "c", CapacityMemory: 3 << 29},
		},
	})
	view, err := policyabi.ViewPlace(request)
	if err != nil {
		t.Fatal(err)
	}
	answers := view.Answers()
	answers.Add(2, 70, policyabi.ReasonZone)
	answers.Add(0, -5, 1001)
	a := Candidate{Name: "a", Facts: "512.0 MiB free of 1.0 GiB, 3 copies, 3 loads"}
	b := Candidate{Name: "b", Facts: "100 B free of 1.0 GiB, 0 copies, Draining, Self"}
	c := Candidate{Name: "c", Facts: "0 B free of 1.5 GiB, 0 copies"}
	check(t, request, nil, []Candidate{a, b, c})
	c.Position, c.Value, c.Reason = 1, "70", "Zone"
	a.Position, a.Value, a.Reason = 2, "-5", policyabi.Reason(1001).String()
	check(t, request, answers.Bytes(), []Candidate{c, a, b})
}

// The order is the host's: the lowest keep-value, then the older use, then the older copy.
func TestEvictCandidates(t *testing.T) {
	request := encode(&policyabi.EvictRequest{
		Header: policyabi.Header{NowMs: nowMs},
		Rows: []policyabi.EvictRow{
			{Name: "worth", CopyID: 1, SizeMemory: 1 << 20, LastUsedMs: nowMs - 300_000, Rate: 50_000, LoadMs: 800},
			{Name: "newer", CopyID: 3, SizeMemory: 1 << 20, LastUsedMs: nowMs - 60_000, Rate: 5_000_000, InFlight: 2, Flags: policyabi.CopyFlagInFlight},
			{Name: "older", CopyID: 2, SizeMemory: 1 << 20, LastUsedMs: nowMs - 60_000},
		},
	})
	view, err := policyabi.ViewEvict(request)
	if err != nil {
		t.Fatal(err)
	}
	answers := view.Answers()
	answers.Add(0, 9, policyabi.ReasonRate)
	answers.Add(1, 1, policyabi.ReasonRate)
	answers.Add(2, 1, policyabi.ReasonRecency)
	check(t, request, answers.Bytes(), []Candidate{
		{Name: "older", Position: 1, Value: "1", Reason: "Recency", Facts: "1.0 MiB, used 60s ago, no requests"},
		{Name: "newer", Position: 2, Value: "1", Reason: "Rate", Facts: "1.0 MiB, used 60s ago, 300 requests/min, 2 in flight, InFlight"},
		{Name: "worth", Position: 3, Value: "9", Reason: "Rate", Facts: "1.0 MiB, used 5m ago, 3 requests/min, load 800ms"},
	})
}

func TestStatusCandidates(t *testing.T) {
	request := encode(&policyabi.StatusRequest{Rows: []policyabi.StatusRow{{Name: "m"}, {Name: "n", Flags: policyabi.RevisionFlagTarget}}})
	view, err := policyabi.ViewStatus(request)
	if err != nil {
		t.Fatal(err)
	}
	answers := view.Answers()
	answers.Set(policyabi.StatusAnswer{
		Transition: policyabi.TransitionBlockedByFailedLoad, ActiveState: policyabi.ModelStateLoaded, Ready: 1,
		TargetState: policyabi.ModelStateFailedToLoad, TargetFailure: policyabi.FailureModelLoadFailed,
	})
	check(t, request, answers.Bytes(), []Candidate{
		{Name: "transition", Position: 1, Value: "BlockedByFailedLoad"},
		{Name: "active", Position: 2, Value: "Loaded"},
		{Name: "target", Position: 3, Value: "FailedToLoad", Reason: "ModelLoadFailed"},
		{Name: "ready", Position: 4, Value: "True"},
	})
	check(t, request, nil, nil)
}

func TestCandidatesOfDamaged(t *testing.T) {
	request := encode(&policyabi.EvictRequest{Rows: []policyabi.EvictRow{{Name: "a"}}})
	for name, c := range map[string]struct{ request, answer []byte }{
		"nothing":        {},
		"half":           {request: request[:len(request)/2]},
		"another answer": {request, []byte("nonsense")},
	} {
		if got, err := Candidates(c.request, c.answer); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestOutcome(t *testing.T) {
	if got := Outcome(&syncv1.Decision{Outcome: syncv1.DecisionOutcome_DECISION_OUTCOME_OUT_OF_FUEL}); got != "out of fuel" {
		t.Errorf("%q", got)
	}
}
