package standalone

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
	"github.com/wasmesh/wasmesh/wasm-policies/hook/hooktest"
)

// shipped reads a policy of the project's own.
func shipped(t *testing.T, name string) []byte {
	t.Helper()
	module, err := os.ReadFile(filepath.Join("..", "..", "wasm-policies", name, name+".wasm"))
	if err != nil {
		t.Fatal(err)
	}
	return module
}

func policyYAML(name string, module []byte, data string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: ConfigMap
metadata:
  name: %s
  labels: {wasmesh.dev/policy: "true"}
data: {%s}
binaryData:
  %s.wasm: %s
`, name, data, name, base64.StdEncoding.EncodeToString(module))
}

// policy waits until a policy has that phase, and answers its row.
func (m *mesh) policy(name, hook string, phase adminv1.PolicyPhase) *adminv1.ListPoliciesResponse_Policy {
	m.t.Helper()
	var last *adminv1.ListPoliciesResponse
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		list, err := m.admin.ListPolicies(m.t.Context(), &adminv1.ListPoliciesRequest{})
		if err != nil {
			m.t.Fatal(err)
		}
		last = list
		for _, p := range list.Policies {
			if p.Name == name && p.Hook == hook && p.Phase == phase {
				return p
			}
		}
	}
	m.t.Fatalf("%s for %s is not %v: %v", name, hook, phase, last)
	return nil
}

// awaitEvents waits until the Events about a policy are these.
func (m *mesh) awaitEvents(name string, want ...string) {
	m.t.Helper()
	var got []string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		request := &adminv1.ListEventsRequest{Kind: "ConfigMap", Namespace: "default", Name: name}
		list, err := m.admin.ListEvents(m.t.Context(), request)
		if err != nil {
			m.t.Fatal(err)
		}
		got = nil
		for _, e := range list.Events {
			got = append(got, e.Reason)
		}
		if slices.Equal(got, want) {
			return
		}
	}
	m.t.Errorf("events %v, want %v", got, want)
}

const programmed = adminv1.PolicyPhase_POLICY_PHASE_PROGRAMMED

// A status policy is added, survives a restart, and is removed: statuses follow, what is served does not.
func TestStatusPolicySwaps(t *testing.T) {
	m := newMesh(t)
	m.write("isvc.yaml", isvcYAML("digits", "one"))
	m.start()
	host := newHost(t)
	host.lazy = true
	host.connect(m.sync)
	ready := func(status string) func(v1beta1.InferenceServiceStatus) bool {
		return func(s v1beta1.InferenceServiceStatus) bool {
			for _, c := range s.Conditions {
				if c.Type == v1beta1.ConditionReady {
					return string(c.Status) == status && c.Reason == string(v1beta1.Standby)
				}
			}
			return false
		}
	}
	m.await("digits", "on standby, which is ready", ready("True"))
	m.write("policy.yaml", policyYAML("strict", shipped(t, "status-strict"), ""))
	m.policy("strict", "status", programmed)
	m.await("digits", "on standby, which is not ready", ready("False"))
	m.stop()
	host.disconnect()
	m.start()
	host.connect(m.sync)
	m.policy("strict", "status", programmed)
	m.await("digits", "not ready after the restart", ready("False"))
	m.write("policy.yaml", policyYAML("mm", shipped(t, "status-modelmesh"), ""))
	m.await("digits", "ready to another policy", ready("True"))
	if err := os.Remove(filepath.Join(m.sources, "policy.yaml")); err != nil {
		t.Fatal(err)
	}
	m.await("digits", "ready without a policy", ready("True"))
	host.disconnect()
	if len(host.history) != 0 {
		t.Errorf("status policies have loaded models: %v", host.history)
	}
}

// The life of a policy of hosts: it reaches them, a broken edit changes nothing, a rollback lasts over a restart.
func TestLifeOfAPolicy(t *testing.T) {
	m := newMesh(t)
	m.start()
	host := newHost(t)
	host.decisions = []*syncv1.Decision{{HostId: "mlserver-1.x-0", Id: 1, Hook: "evict"}}
	host.connect(m.sync)
	first, second := hooktest.Module{}.Wasm(), hooktest.Module{Backward: true}.Wasm()
	m.write("policy.yaml", policyYAML("p", first, "hooks: evict"))
	before := m.policy("p", "evict", programmed)
	if before.Programmed != 1 || before.Hosts != 1 || before.HostStates[0].HostId != "mlserver-1.x-0" {
		t.Errorf("row %v", before)
	}
	m.write("policy.yaml", policyYAML("p", second[:len(second)-40], "hooks: evict"))
	if row := m.policy("p", "evict", adminv1.PolicyPhase_POLICY_PHASE_INVALID); !strings.HasPrefix(row.Message, "ConfigMap p: p.wasm: ") {
		t.Errorf("row %v", row)
	}
	m.write("policy.yaml", policyYAML("p", second, "hooks: evict"))
	after := m.policy("p", "evict", programmed)
	answer, err := m.admin.RollbackPolicy(t.Context(), &adminv1.RollbackPolicyRequest{Hook: "evict"})
	if err != nil || !strings.Contains(answer.Message, before.Generation.Id) {
		t.Errorf("rollback: %v, error %v", answer, err)
	}
	m.policy("p", "evict", adminv1.PolicyPhase_POLICY_PHASE_SUSPENDED)
	if _, err := m.admin.RollbackPolicy(t.Context(), &adminv1.RollbackPolicyRequest{Hook: "place"}); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("rollback of the built-in policy: %v", err)
	}
	m.awaitEvents("p", "PolicyProgrammed", "PolicyRefused", "PolicyProgrammed", "PolicySuspended")
	decisions, err := m.admin.ListDecisions(t.Context(), &adminv1.ListDecisionsRequest{Hook: "evict"})
	if err != nil {
		t.Fatal(err)
	}
	if response, err := decisions.Recv(); err != nil || len(response.Decisions) != 1 || len(response.Warnings) != 0 {
		t.Errorf("decisions %v, error %v", response, err)
	}

	m.stop()
	host.disconnect()
	if !bytes.Equal(host.modules[after.Generation.Id], second) {
		t.Error("the host has not fetched the module")
	}
	host.modules = map[string][]byte{}
	m.start()
	host.connect(m.sync)
	m.policy("p", "evict", adminv1.PolicyPhase_POLICY_PHASE_SUSPENDED)
	list, err := m.admin.ListPolicies(t.Context(), &adminv1.ListPoliciesRequest{})
	if err != nil || list.Hooks[1].GenerationId != before.Generation.Id {
		t.Errorf("after the restart: %v, error %v", list, err)
	}
}

// Policies are kept and forgotten whatever the folder is called.
func TestPolicyStateInAnyFolder(t *testing.T) {
	s, err := OpenState(filepath.Join(t.TempDir(), "a[b]*?"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	for _, module := range []string{"one", "two"} {
		digest := fmt.Sprintf("%x", sha256.Sum256([]byte(module)))
		if err := s.SavePolicies([]byte("{}"), map[string][]byte{digest: []byte(module)}); err != nil {
			t.Fatal(err)
		}
		if got := s.Policies(); len(got.Modules) != 1 || string(got.Modules[digest]) != module {
			t.Errorf("of %q was kept: %v", module, got.Modules)
		}
	}
}

// What is damaged on the disk counts as absent, and nothing keeps the controller from starting.
func TestDamagedPolicyState(t *testing.T) {
	path := t.TempDir()
	open := func() *State {
		s, err := OpenState(path, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	s := open()
	if got := s.Policies(); len(got.Record) != 0 {
		t.Errorf("nothing was saved: %v", got)
	}
	module := []byte("module")
	const digest = "38e8c41bd5bb0d3a2ea76e0a7bdd71cb3e26a31d0a1d7a7a5b26df7f0b3d8d5e" // Of something else.
	if err := s.SavePolicies([]byte("{}"), map[string][]byte{digest: module}); err != nil {
		t.Fatal(err)
	}
	if got := s.Policies(); string(got.Record) != "{}" || len(got.Modules) != 0 {
		t.Errorf("a damaged module: %v", got)
	}
	if err := s.SavePolicies([]byte("{}"), map[string][]byte{digest: module}); err != nil {
		t.Fatal(err)
	}
	if err := s.SavePolicies([]byte("{}"), nil); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(path, policiesFolder, "*.wasm")); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
	m := newMesh(t)
	m.start()
	m.stop()
	file := filepath.Join(m.data, stateFolder, policiesFolder, policiesFile)
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	m.start()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := m.admin.ListPolicies(ctx, &adminv1.ListPoliciesRequest{}); err != nil {
		t.Error(err)
	}
}
