package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// manyPolicies has one of each phase.
func manyPolicies() *mesh {
	m := digits()
	m.policies = &adminv1.ListPoliciesResponse{Hooks: []*adminv1.ListPoliciesResponse_Hook{
		{Hook: "place", BuiltIn: "balanced"},
		{Hook: "evict", BuiltIn: "cost-aware", Policy: "mine", GenerationId: "0a1b2c3d4e5f", Previous: "built-in"},
	}}
	for number := range len(adminv1.PolicyPhase_name) {
		if number == 0 {
			continue
		}
		m.policies.Policies = append(m.policies.Policies, &adminv1.ListPoliciesResponse_Policy{
			Name: "p" + string(rune('0'+number)), Hook: "evict", Phase: adminv1.PolicyPhase(number), Hosts: 2, Message: "because",
		})
	}
	programmed := m.policies.GetPolicies()[1]
	programmed.Generation, programmed.Programmed = &syncv1.Generation{Id: "0a1b2c3d4e5f"}, 1
	programmed.HostStates = []*adminv1.ListPoliciesResponse_HostState{{HostId: "host-0", Entry: &syncv1.PolicyReport_Entry{
		State: syncv1.GenerationState_GENERATION_STATE_DEGRADED, Answered: 1, Abstained: 2, Failed: 3, EnvelopeHits: 4, Compared: 5, Differed: 6, FuelMax: 7,
		Message: "it traps",
	}}}
	return m
}

func TestPolicyStatus(t *testing.T) {
	m := manyPolicies().serve(t)
	out, _, err := m.run(t, "policy", "status")
	if err != nil {
		t.Fatal(err)
	}
	brief := []string{
		"HOOK DECIDED BY GENERATION PREVIOUS", "place built-in balanced", "evict mine 0a1b2c3d4e5f built-in", "",
		"NAME HOOK PHASE HOSTS GENERATION AGE MESSAGE",
		"p1 evict Pending 0/2 <unknown> because", "p2 evict Programmed 1/2 0a1b2c3d4e5f <unknown> because", "p3 evict Shadow 0/2 <unknown> because",
		"p4 evict Invalid 0/2 <unknown> because", "p5 evict Conflict 0/2 <unknown> because", "p6 evict RolledBack 0/2 <unknown> because",
		"p7 evict Suspended 0/2 <unknown> because",
	}
	if got := rows(out); !slices.Equal(got, brief) {
		t.Errorf("table:\n%s", out)
	}
	if out, _, err = m.run(t, "policy", "status", "-o", "wide"); err != nil {
		t.Fatal(err)
	}
	wide := append(brief, "", "NAME HOOK HOST STATE ANSWERED ABSTAINED FAILED ENVELOPE COMPARED DIFFERED MAX FUEL MESSAGE",
		"p2 evict host-0 Degraded 1 2 3 4 5 6 7 it traps")
	if got := rows(out); !slices.Equal(got, wide) {
		t.Errorf("wide table:\n%s", out)
	}
}

func TestPolicyStatusForPrograms(t *testing.T) {
	m := manyPolicies().serve(t)
	out, _, err := m.run(t, "policy", "status", "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Hooks    []struct{ Hook, Policy string }
		Policies []struct{ Name, Phase string }
	}
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if len(answer.Hooks) != 2 || answer.Hooks[1].Policy != "mine" || len(answer.Policies) != 7 || answer.Policies[1].Phase != "POLICY_PHASE_PROGRAMMED" {
		t.Errorf("%+v", answer)
	}
	if out, _, err = m.run(t, "policy", "status", "-o", "yaml"); err != nil || !strings.Contains(out, "\n  policy: mine\n") {
		t.Errorf("error %v\n%s", err, out)
	}
	if _, _, err = m.run(t, "policy", "status", "-o", "xml"); err == nil || !strings.Contains(err.Error(), "one of table, wide, json, yaml") {
		t.Errorf("error %v", err)
	}
}

func TestPolicyStatusWithout(t *testing.T) {
	m := digits()
	m.policies = &adminv1.ListPoliciesResponse{Hooks: []*adminv1.ListPoliciesResponse_Hook{{Hook: "place", BuiltIn: "balanced"}}}
	out, _, err := m.serve(t).run(t, "policy", "status", "-o", "wide")
	if err != nil || !strings.HasSuffix(out, "\nNo ConfigMap is labelled wasmesh.dev/policy: \"true\".\n") {
		t.Errorf("error %v\n%s", err, out)
	}
}

func TestPolicyRollback(t *testing.T) {
	m := digits().serve(t)
	if out, _, err := m.run(t, "policy", "rollback", "evict"); err != nil || out != "evict is decided by built-in cost-aware\n" {
		t.Errorf("%q, error %v", out, err)
	}
	if _, _, err := m.run(t, "policy", "rollback", "place"); err == nil || err.Error() != "there is nothing before what decides place" {
		t.Errorf("error %v", err)
	}
	if _, _, err := m.run(t, "policy", "rollback", "route"); err == nil || err.Error() != `hook "route" is none of place, evict, status` {
		t.Errorf("error %v", err)
	}
}

// Without a mesh, commands that need one say how to get one; those that do not, do not mind.
func TestPolicyWithoutMesh(t *testing.T) {
	nowhere := t.TempDir()
	for _, args := range [][]string{
		{"policy", "status"}, {"policy", "rollback", "evict"}, {"policy", "record", "-o", filepath.Join(nowhere, "r")}, {"why", "m"},
	} {
		_, _, err := run(t.Context(), append(args, "--data-dir", nowhere)...)
		if err == nil || !strings.Contains(err.Error(), "no mesh runs in "+nowhere) {
			t.Errorf("%v: error %v", args, err)
		}
	}
	if _, err := os.Stat(filepath.Join(nowhere, "r")); err == nil {
		t.Error("a recording without decisions was written")
	}
}

// What a shell completes.
func TestPolicyCompletion(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"policy", "new", "--lang", ""}, "go\nrust\nas\nc\n"},
		{[]string{"policy", "new", "--hook", ""}, "place\nevict\nstatus\n"},
		{[]string{"policy", "rollback", ""}, "place\nevict\nstatus\n"},
		{[]string{"policy", "status", "-o", ""}, "table\nwide\njson\nyaml\n"},
	} {
		out, _, err := run(t.Context(), append([]string{"__complete"}, c.args...)...)
		if err != nil || !strings.HasPrefix(out, c.want) {
			t.Errorf("%v: %q, error %v", c.args, out, err)
		}
	}
}
