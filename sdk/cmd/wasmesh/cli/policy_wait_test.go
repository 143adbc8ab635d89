package cli

import (
	"crypto/sha256"
	"strings"
	"testing"

	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
	"github.com/wasmesh/wasmesh/wasm-policies/hook/hooktest"
)

// entry of the policy "mine" of folder, for the hook evict.
func entry(t *testing.T, phase adminv1.PolicyPhase, message string) *adminv1.ListPoliciesResponse_Policy {
	t.Helper()
	digest := sha256.Sum256(hooktest.Module{}.Wasm())
	return &adminv1.ListPoliciesResponse_Policy{
		Name: "mine", Hook: "evict", Phase: phase, Message: message, Programmed: 2, Hosts: 2, SinceMs: 2,
		Generation: &syncv1.Generation{Id: "0a1b2c3d4e5f", ModuleDigest: digest[:]},
	}
}

func policyList(entries ...*adminv1.ListPoliciesResponse_Policy) *adminv1.ListPoliciesResponse {
	other := &adminv1.ListPoliciesResponse_Policy{Name: "other", Hook: "evict", Phase: adminv1.PolicyPhase_POLICY_PHASE_CONFLICT}
	return &adminv1.ListPoliciesResponse{Policies: append(entries, other)}
}

// becoming is a policy that is not there, then pending, and at last in the phase.
func becoming(t *testing.T, phase adminv1.PolicyPhase, message string) []*adminv1.ListPoliciesResponse {
	t.Helper()
	return []*adminv1.ListPoliciesResponse{
		policyList(), policyList(), policyList(entry(t, adminv1.PolicyPhase_POLICY_PHASE_PENDING, "being verified")), policyList(entry(t, phase, message)),
	}
}

// apply waits for what becomes of the policy, and is not deceived by what was before.
func TestPolicyApplySaysWhatBecameOfIt(t *testing.T) {
	dir := folder(t, hooktest.Module{})
	before := entry(t, adminv1.PolicyPhase_POLICY_PHASE_PROGRAMMED, "")
	before.Generation = &syncv1.Generation{Id: "another", ModuleDigest: []byte{1}}
	invalid := entry(t, adminv1.PolicyPhase_POLICY_PHASE_INVALID, "it had a hole")
	invalid.Generation = nil
	mended := becoming(t, adminv1.PolicyPhase_POLICY_PHASE_PROGRAMMED, "")
	mended[0], mended[1] = policyList(invalid), policyList(invalid)
	replaced := becoming(t, adminv1.PolicyPhase_POLICY_PHASE_PROGRAMMED, "")
	replaced[0], replaced[1] = policyList(before), policyList(before)
	away := append([]*adminv1.ListPoliciesResponse{nil, policyList(before)}, becoming(t, adminv1.PolicyPhase_POLICY_PHASE_CONFLICT, "other has the hook")...)
	away[2], away[3] = policyList(before), policyList(before)
	hostless := entry(t, adminv1.PolicyPhase_POLICY_PHASE_PENDING, "waiting for a host to connect")
	hostless.Hosts = 0
	for _, c := range []struct {
		name      string
		looks     []*adminv1.ListPoliciesResponse
		args      []string
		out, fail string
	}{
		{"new", becoming(t, adminv1.PolicyPhase_POLICY_PHASE_PROGRAMMED, ""), nil, "evict: Programmed on 2 of 2 hosts\n", ""},
		{"in place of another", replaced, nil, "evict: Programmed on 2 of 2 hosts\n", ""},
		{"in place of another, asked too early at first", away, nil, "evict: Conflict: other has the hook\n", ""},
		{"in place of one that was refused", mended, nil, "evict: Programmed on 2 of 2 hosts\n", ""},
		{"second", becoming(t, adminv1.PolicyPhase_POLICY_PHASE_CONFLICT, "other has the hook"), nil, "evict: Conflict: other has the hook\n", ""},
		{"shadow", becoming(t, adminv1.PolicyPhase_POLICY_PHASE_SHADOW, ""), []string{"--shadow"}, "evict: Shadow on 2 of 2 hosts\n", ""},
		{"refused", becoming(t, adminv1.PolicyPhase_POLICY_PHASE_INVALID, "too slow"), nil, "evict: Invalid: too slow\n", "policy mine is not used"},
		{"not seen", []*adminv1.ListPoliciesResponse{policyList()}, []string{"--wait", "300ms"}, "", "has not taken policy mine up so far"},
		{"no host", []*adminv1.ListPoliciesResponse{policyList(hostless)}, []string{"--wait", "300ms"}, "", "none is connected"},
		{"not awaited", []*adminv1.ListPoliciesResponse{policyList()}, []string{"--wait", "0"}, "`wasmesh policy status` shows what becomes of it.\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := digits()
			m.policyLooks = c.looks
			m.serve(t)
			m.launch(t, t.TempDir())
			out, _, err := m.run(t, append([]string{"policy", "apply", dir}, c.args...)...)
			_, said, _ := strings.Cut(out, "\n")
			if said != c.out || (err == nil) != (c.fail == "") || err != nil && !strings.Contains(err.Error(), c.fail) {
				t.Errorf("error %v, output %q", err, out)
			}
		})
	}
}
