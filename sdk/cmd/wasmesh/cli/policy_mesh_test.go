package cli

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func (m *mesh) ListPolicies(context.Context, *adminv1.ListPoliciesRequest) (*adminv1.ListPoliciesResponse, error) {
	if len(m.policyLooks) > 0 {
		if look := m.policyLooks[min(int(m.policyLooked.Add(1)), len(m.policyLooks))-1]; look != nil {
			return look, nil
		}
		return nil, status.Error(codes.Unavailable, "not yet")
	}
	return m.policies, nil
}

func (m *mesh) RollbackPolicy(_ context.Context, r *adminv1.RollbackPolicyRequest) (*adminv1.RollbackPolicyResponse, error) {
	if r.GetHook() == "place" {
		return nil, status.Error(codes.FailedPrecondition, "there is nothing before what decides place")
	}
	return &adminv1.RollbackPolicyResponse{Message: r.GetHook() + " is decided by built-in cost-aware"}, nil
}

func (m *mesh) ListDecisions(r *adminv1.ListDecisionsRequest, stream adminv1.AdminService_ListDecisionsServer) error {
	m.asked.Store(r)
	for _, d := range m.decisions {
		if err := stream.Send(&adminv1.ListDecisionsResponse{Decisions: []*syncv1.Decision{d}}); err != nil {
			return err
		}
	}
	return stream.Send(&adminv1.ListDecisionsResponse{Warnings: m.warnings})
}

// launch makes it look as if `wasmesh up -f SOURCE ...` ran in the data directory.
func (m *mesh) launch(t *testing.T, sources ...string) {
	t.Helper()
	lock, err := os.Create(filepath.Join(m.dataDir, "run", "lock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lock.Close() })
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	for _, source := range sources {
		if _, err := lock.WriteString(source + "\n"); err != nil {
			t.Fatal(err)
		}
	}
}

func encoded(request interface {
	Size() int
	Encode([]byte)
}) []byte {
	b := make([]byte, request.Size())
	request.Encode(b)
	return b
}

// decisionTime is in the past of every test.
const decisionTime = 1_767_225_600_000

// placed is a decision between two hosts.
func placed(t *testing.T, model string) *syncv1.Decision {
	t.Helper()
	request := encoded(&policyabi.PlaceRequest{
		Header: policyabi.Header{NowMs: decisionTime},
		Rows:   []policyabi.PlaceRow{{Name: "host-0", FreeMemory: 1 << 30, CapacityMemory: 2 << 30}, {Name: "host-1", CapacityMemory: 2 << 30}},
	})
	view, err := policyabi.ViewPlace(request)
	if err != nil {
		t.Fatal(err)
	}
	answers := view.Answers()
	answers.Add(1, 7, policyabi.ReasonZone)
	answer := append([]byte(nil), answers.Bytes()...)
	clear(answers.Bytes())
	return &syncv1.Decision{
		HostId: "host-0", Id: 11, Hook: "place", TimeMs: decisionTime, ModelId: model, Effect: "loading on host-1",
		Outcome: syncv1.DecisionOutcome_DECISION_OUTCOME_BUILT_IN, Request: request, Answer: answer,
	}
}

// evicted is a decision that model had to go for another; the policy that was asked did not answer.
func evicted(t *testing.T, model string, shadow bool) *syncv1.Decision {
	t.Helper()
	header := policyabi.Header{NowMs: decisionTime}
	if shadow {
		header.Flags = policyabi.RequestFlagShadow
	}
	request := encoded(&policyabi.EvictRequest{
		Header: header,
		Rows:   []policyabi.EvictRow{{Name: "stays", SizeMemory: 1 << 20, LastUsedMs: decisionTime - 1000}, {Name: model, SizeMemory: 1 << 20, LastUsedMs: decisionTime - 60_000}},
	})
	view, err := policyabi.ViewEvict(request)
	if err != nil {
		t.Fatal(err)
	}
	answers := view.Answers()
	answers.Add(0, 5, policyabi.ReasonRate)
	answers.Add(1, -1, policyabi.ReasonRecency)
	answer := append([]byte(nil), answers.Bytes()...)
	clear(answers.Bytes())
	return &syncv1.Decision{
		HostId: "host-1", Id: 22, Hook: "evict", TimeMs: decisionTime, ModelId: "incoming", Victims: []string{model}, Fuel: 900,
		Outcome: syncv1.DecisionOutcome_DECISION_OUTCOME_OUT_OF_FUEL, Error: "the budget of fuel is used up",
		Generation: &syncv1.Generation{Id: "0a1b2c3d4e5f", Policy: "mine", Hook: "evict"}, Request: request, Answer: answer,
	}
}
