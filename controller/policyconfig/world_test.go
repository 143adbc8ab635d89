package policyconfig

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// world is a Machine between ConfigMaps and hosts of the test's own.
type world struct {
	t       *testing.T
	machine *Machine
	now     time.Time
	maps    map[string]*corev1.ConfigMap
	// unverified policies have no verdict yet; broken ones have this fault.
	unverified map[string]bool
	broken     map[string]string
	hosts      map[string]*host
	settled    bool
	term       uint64
	out        Output
	events     []string
	// opened counts modules that were taken out of what ConfigMaps store.
	opened int
}

// host does at once what the plan says, but for what is scripted.
type host struct {
	// states by generation id.
	states map[string]syncv1.GenerationState
	// fails by module text: what the host says of it.
	fails map[string]string
	// mute hosts keep their last report.
	mute   bool
	report *syncv1.PolicyReport
}

func newWorld(t *testing.T) *world {
	w := &world{
		t: t, now: time.Unix(1_700_000_000, 0), settled: true, maps: map[string]*corev1.ConfigMap{},
		unverified: map[string]bool{}, broken: map[string]string{}, hosts: map[string]*host{},
	}
	w.restart()
	return w
}

// restart is a controller that starts with the memory of the one before.
func (w *world) restart() {
	w.t.Helper()
	before := w.machine
	w.term++
	w.machine = New(Config{Namespace: "default", Term: w.term, BuiltIn: map[string]string{
		HookPlace: "balanced", HookEvict: "cost-aware", HookStatus: "modelmesh",
	}, Open: func(stored []byte) ([]byte, error) {
		w.opened++
		return stored, nil
	}})
	if before == nil {
		return
	}
	record, modules := before.Memory()
	if err := w.machine.Restore(record, modules); err != nil {
		w.t.Fatal(err)
	}
}

// declare makes or replaces a policy; module is its text, and the hooks are what it exports.
func (w *world) declare(name, module string, hooks ...string) {
	w.maps[name] = &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Labels: map[string]string{Label: "true"}},
		BinaryData: map[string][]byte{name + ".wasm": []byte(module + " " + strings.Join(hooks, " "))},
		Data:       map[string]string{},
	}
}

func (w *world) set(name, key, value string) { w.maps[name].Data[key] = value }

func (w *world) input() Input {
	in := Input{Now: w.now, Settled: w.settled, Verdicts: map[string]*Verdict{}, Local: w.self().report}
	for _, name := range slices.Sorted(maps.Keys(w.maps)) {
		d := Read(w.maps[name], "default")
		in.Declarations = append(in.Declarations, d)
		if d.Fault == "" && !w.unverified[name] {
			sum := sha256.Sum256(d.Stored)
			v := &Verdict{Digest: sum[:], ModuleBytes: uint64(len(d.Stored)), Hooks: strings.Fields(string(d.Stored))[1:], Fault: w.broken[name]}
			if len(d.Hooks) > 0 {
				v.Hooks = d.Hooks
			}
			in.Verdicts[name] = v
		}
	}
	for _, id := range slices.Sorted(maps.Keys(w.hosts)) {
		if id != localID {
			in.Hosts = append(in.Hosts, Host{ID: id, Report: w.hosts[id].report})
		}
	}
	return in
}

func (w *world) self() *host { return w.connect(localID) }

func (w *world) connect(id string) *host {
	if w.hosts[id] == nil {
		w.hosts[id] = &host{states: map[string]syncv1.GenerationState{}, fails: map[string]string{}}
	}
	return w.hosts[id]
}

// once makes one step and lets the hosts answer.
func (w *world) once() {
	in := w.input()
	w.out = w.machine.Step(in)
	for _, e := range w.out.Events {
		w.events = append(w.events, e.Object.Name+" "+e.Reason)
	}
	again := w.machine.Step(in)
	if again.Plan != w.out.Plan || again.Local != w.out.Local || len(again.Events) > 0 {
		w.t.Fatalf("a second step with the same inputs changes something: %v", again)
	}
	for id, h := range w.hosts {
		plan := w.out.Plan
		if id == localID {
			plan = w.out.Local
		}
		if !h.mute {
			h.follow(plan, w.machine)
		}
	}
}

// run steps until nothing changes any more.
func (w *world) run() {
	w.t.Helper()
	for range 10 {
		w.once()
	}
}

func (w *world) later(d time.Duration) { w.now = w.now.Add(d); w.run() }

func (h *host) follow(plan *syncv1.PolicyPlan, m *Machine) {
	h.report = &syncv1.PolicyReport{PlanVersion: plan.Version}
	for _, e := range plan.Entries {
		id := e.Generation.Id
		entry := &syncv1.PolicyReport_Entry{Id: id, Hook: e.Generation.Hook}
		switch e.Role {
		case syncv1.PolicyRole_POLICY_ROLE_ACTIVE:
			entry.State = syncv1.GenerationState_GENERATION_STATE_ACTIVE
		case syncv1.PolicyRole_POLICY_ROLE_SHADOW:
			entry.State = syncv1.GenerationState_GENERATION_STATE_SHADOWING
		default:
			entry.State = syncv1.GenerationState_GENERATION_STATE_PREFLIGHTED
		}
		text := strings.Fields(string(m.Modules()[string(e.Generation.ModuleDigest)]))[0]
		if message := h.fails[text]; message != "" {
			entry.State, entry.Message = syncv1.GenerationState_GENERATION_STATE_FAILED, message
		}
		if state := h.states[text]; state != 0 {
			entry.State, entry.Message = state, text+" traps"
		}
		h.report.Entries = append(h.report.Entries, entry)
	}
}

// want compares what decides the hook, as the text of its module, and what would after a rollback.
func (w *world) want(hook, module, previous string) {
	w.t.Helper()
	for _, row := range w.out.Hooks {
		if row.Hook != hook {
			continue
		}
		got, before := w.text(row.GenerationId), row.Previous
		if before != "built-in" {
			before = w.text(before)
		}
		if got != module || before != previous {
			w.t.Errorf("%s is decided by %q after %q, want %q after %q", hook, got, before, module, previous)
		}
	}
	if role := w.roles(hook)[module]; module != "" && role != syncv1.PolicyRole_POLICY_ROLE_ACTIVE {
		w.t.Errorf("%s: role of %s in the plan: %v", hook, module, role)
	}
}

func (w *world) text(id string) string {
	for _, h := range w.machine.hooks {
		for _, g := range []*Generation{h.active, h.candidate, h.shadow, h.previous} {
			if g != nil && g.id() == id {
				return strings.Fields(string(g.Stored))[0]
			}
		}
	}
	return ""
}

// roles in the plan by the text of the module.
func (w *world) roles(hook string) map[string]syncv1.PolicyRole {
	roles := map[string]syncv1.PolicyRole{}
	plan := w.out.Plan
	if local(hook) {
		plan = w.out.Local
	}
	for _, e := range plan.Entries {
		if e.Generation.Hook == hook {
			roles[w.text(e.Generation.Id)] = e.Role
		}
	}
	return roles
}

// phase checks a row: "PROGRAMMED 2/2", or with what the message must have after a colon.
func (w *world) phase(name, hook, want string) {
	w.t.Helper()
	want, message, _ := strings.Cut(want, ": ")
	for _, row := range w.out.Policies {
		if row.Name != name || row.Hook != hook {
			continue
		}
		got := strings.TrimPrefix(row.Phase.String(), "POLICY_PHASE_")
		if strings.Contains(want, "/") {
			got += fmt.Sprintf(" %d/%d", row.Programmed, row.Hosts)
		}
		if got != want || !strings.Contains(row.Message, message) {
			w.t.Errorf("%s for %s is %s: %q, want %s: %q", name, hook, got, row.Message, want, message)
		}
		return
	}
	w.t.Errorf("%s for %s is not listed in %v", name, hook, w.out.Policies)
}

// told checks the Events since the last call.
func (w *world) told(want ...string) {
	w.t.Helper()
	if !slices.Equal(w.events, want) {
		w.t.Errorf("events %q, want %q", w.events, want)
	}
	w.events = nil
}
