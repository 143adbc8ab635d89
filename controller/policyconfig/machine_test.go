package policyconfig

import (
	"cmp"
	"fmt"
	"strings"
	"testing"
	"time"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

func TestActivation(t *testing.T) {
	w := newWorld(t)
	w.connect("h1")
	w.connect("h2")
	w.declare("a", "m1", HookEvict, HookPlace)
	w.unverified["a"] = true
	w.once()
	w.phase("a", "", "PENDING: being verified")
	w.unverified["a"] = false
	w.once()
	w.phase("a", HookEvict, "PENDING 0/2: being prepared")
	if role := w.roles(HookEvict)["m1"]; role != syncv1.PolicyRole_POLICY_ROLE_CANDIDATE {
		t.Errorf("role %v", role)
	}
	w.want(HookEvict, "", "")
	w.run()
	for _, hook := range []string{HookEvict, HookPlace} {
		w.want(hook, "m1", "built-in")
		w.phase("a", hook, "PROGRAMMED 2/2")
	}
	w.told("a "+EventProgrammed, "a "+EventProgrammed)

	// Another host comes: it is still programmed, and it shows.
	w.connect("h3").mute = true
	w.run()
	w.phase("a", HookEvict, "PROGRAMMED 2/3")
	w.told()
}

func TestBarrierWaitsForAllHosts(t *testing.T) {
	w := newWorld(t)
	w.connect("h1")
	w.declare("a", "m1", HookEvict)
	w.run()
	w.connect("slow").mute = true
	w.declare("a", "m2", HookEvict)
	w.run()
	w.want(HookEvict, "m1", "built-in")
	w.phase("a", HookEvict, "PENDING 1/2")
	w.later(BarrierTimeout - time.Second)
	w.want(HookEvict, "m1", "built-in")
	if due := w.out.Next; !due.Equal(w.now.Add(time.Second)) {
		t.Errorf("next step at %v, want in a second", due.Sub(w.now))
	}
	w.later(time.Second)
	w.want(HookEvict, "m2", "m1")
	w.phase("a", HookEvict, "PENDING 1/2: being taken into use")
	w.hosts["slow"].mute = false
	w.run()
	w.phase("a", HookEvict, "PROGRAMMED 2/2")
}

func TestBarrierNeedsOneHost(t *testing.T) {
	w := newWorld(t)
	w.connect("slow").mute = true
	w.declare("a", "m1", HookEvict)
	w.later(0)
	w.later(time.Hour)
	w.want(HookEvict, "", "")
	// Nor is nobody: who comes might not be able to use it.
	delete(w.hosts, "slow")
	w.later(time.Hour)
	w.want(HookEvict, "", "")
	w.phase("a", HookEvict, "PENDING 0/0: waiting for a host to connect")
	w.connect("h1")
	w.run()
	w.want(HookEvict, "m1", "built-in")
	w.phase("a", HookEvict, "PROGRAMMED 1/1")
}

func TestNothingIsActivatedWhileSettling(t *testing.T) {
	w := newWorld(t)
	w.settled = false
	w.connect("h1")
	w.declare("a", "m1", HookEvict, HookStatus)
	w.run()
	w.want(HookEvict, "", "")
	w.want(HookStatus, "m1", "built-in")
	w.settled = true
	w.run()
	w.want(HookEvict, "m1", "built-in")
}

func TestStatusNeedsNoHost(t *testing.T) {
	w := newWorld(t)
	w.connect("h1").mute = true
	w.declare("a", "m1", HookStatus)
	w.run()
	w.want(HookStatus, "m1", "built-in")
	w.phase("a", HookStatus, "PROGRAMMED 1/1")
	if len(w.out.Plan.Entries) != 0 {
		t.Errorf("hosts are told of it: %v", w.out.Plan)
	}
	w.self().states["m1"] = syncv1.GenerationState_GENERATION_STATE_DEGRADED
	w.run()
	w.want(HookStatus, "", "")
	w.phase("a", HookStatus, "ROLLED_BACK: host controller: m1 traps")
}

func TestAFailureKeepsTheOld(t *testing.T) {
	for name, breakIt := range map[string]func(w *world){
		"unreadable":      func(w *world) { w.set("a", "hook", "evict") },
		"refused":         func(w *world) { w.broken["a"] = "ConfigMap a: import: env.socket" },
		"on a host":       func(w *world) { w.hosts["h2"].fails["m2"] = "limit: memory" },
		"degraded before": func(w *world) { w.hosts["h2"].states["m2"] = syncv1.GenerationState_GENERATION_STATE_DEGRADED },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.connect("h1")
			w.connect("h2")
			w.declare("a", "m1", HookEvict)
			w.run()
			w.told("a " + EventProgrammed)
			w.declare("a", "m2", HookEvict)
			breakIt(w)
			w.run()
			w.want(HookEvict, "m1", "built-in")
			w.phase("a", HookEvict, "INVALID")
			w.told("a " + EventRefused)
			w.restart()
			w.run()
			w.want(HookEvict, "m1", "built-in")
			w.phase("a", HookEvict, "INVALID")
			w.events = nil

			w.declare("a", "m3", HookEvict)
			delete(w.broken, "a")
			w.run()
			w.want(HookEvict, "m3", "m1")
			w.told("a " + EventProgrammed)
		})
	}
}

func TestLowestNameWins(t *testing.T) {
	w := newWorld(t)
	w.connect("h1")
	w.declare("b", "mb", HookEvict)
	w.run()
	w.want(HookEvict, "mb", "built-in")
	w.declare("a", "ma", HookEvict)
	w.unverified["a"] = true
	w.run()
	w.want(HookEvict, "mb", "built-in")
	w.unverified["a"] = false
	w.run()
	w.want(HookEvict, "ma", "mb")
	w.phase("b", HookEvict, "CONFLICT: ConfigMap a has hook evict")
	w.told("b "+EventProgrammed, "b "+EventConflict, "a "+EventProgrammed)
	delete(w.maps, "a")
	w.run()
	w.want(HookEvict, "mb", "built-in")
	w.told("a "+EventRemoved, "b "+EventProgrammed)
	// One that cannot be used does not stand in the way of the next.
	w.declare("a", "bad", HookEvict)
	w.broken["a"] = "no"
	w.run()
	w.phase("a", "", "INVALID")
	w.phase("b", HookEvict, "PROGRAMMED 1/1")
	w.set("a", "hooks", "evict")
	w.declare("b", "mb2", HookEvict)
	w.run()
	w.want(HookEvict, "mb2", "mb")
	w.phase("a", HookEvict, "INVALID")
	delete(w.maps, "b")
	w.run()
	w.want(HookEvict, "", "")
}

func TestRemovalReturnsToTheBuiltIn(t *testing.T) {
	w := newWorld(t)
	w.connect("h1")
	w.declare("a", "m1", HookEvict, HookPlace)
	w.run()
	w.declare("a", "m2", HookPlace)
	w.run()
	w.want(HookEvict, "", "")
	w.want(HookPlace, "m2", "m1")
	delete(w.maps, "a")
	w.run()
	w.want(HookPlace, "", "")
	if len(w.out.Plan.Entries) != 0 || len(w.out.Policies) != 0 {
		t.Errorf("left: %v %v", w.out.Plan, w.out.Policies)
	}
}

func TestRollBackOfWhatFails(t *testing.T) {
	w := newWorld(t)
	w.connect("h1")
	w.connect("h2")
	w.declare("a", "m1", HookEvict)
	w.run()
	w.declare("a", "m2", HookEvict)
	w.run()
	w.hosts["h2"].states["m2"] = syncv1.GenerationState_GENERATION_STATE_DEGRADED
	w.events = nil
	w.run()
	w.want(HookEvict, "m1", "built-in")
	w.phase("a", HookEvict, "ROLLED_BACK: host h2: m2 traps")
	w.told("a " + EventRolledBack)
	if _, still := w.roles(HookEvict)["m2"]; still {
		t.Error("what was taken back is still in the plan")
	}
	// It stays so, whoever restarts and whatever else changes.
	w.hosts["h2"].states = map[string]syncv1.GenerationState{}
	w.restart()
	w.declare("b", "mb", HookEvict)
	w.run()
	w.want(HookEvict, "m1", "built-in")
	w.phase("a", HookEvict, "ROLLED_BACK: host h2: m2 traps")
	w.phase("b", HookEvict, "CONFLICT: ConfigMap a")
	// The one before fails as well.
	w.hosts["h1"].states["m1"] = syncv1.GenerationState_GENERATION_STATE_DEGRADED
	w.run()
	w.want(HookEvict, "", "")
	w.phase("a", HookEvict, "ROLLED_BACK: host h2: m2 traps")
	// An edit ends it.
	w.declare("a", "m3", HookEvict)
	w.run()
	w.want(HookEvict, "m3", "built-in")
}

func TestOldReportsDoNotRollBack(t *testing.T) {
	w := newWorld(t)
	h := w.connect("h1")
	w.declare("a", "m1", HookEvict)
	w.run()
	h.states["m1"] = syncv1.GenerationState_GENERATION_STATE_DEGRADED
	w.once()
	h.mute = true // Its last report says that m1 is degraded.
	w.run()
	w.phase("a", HookEvict, "ROLLED_BACK")
	delete(w.maps, "a")
	w.run()
	w.declare("a", "m1", HookEvict)
	w.run()
	w.phase("a", HookEvict, "PENDING 0/1: being prepared")
	h.mute, h.states = false, map[string]syncv1.GenerationState{}
	w.run()
	w.want(HookEvict, "m1", "built-in")
	// A report about a plan of the controller before says nothing of this one's.
	h.states["m1"], h.mute = syncv1.GenerationState_GENERATION_STATE_DEGRADED, false
	h.follow(w.out.Plan, w.machine)
	h.mute = true
	w.restart()
	w.run()
	w.want(HookEvict, "m1", "built-in")
}

func TestRollBackByHand(t *testing.T) {
	w := newWorld(t)
	w.connect("h1")
	if _, err := w.machine.RollBack(HookEvict, w.input()); err == nil || !strings.Contains(err.Error(), "nothing before") {
		t.Errorf("nothing to take back: %v", err)
	}
	if _, err := w.machine.RollBack("move", w.input()); err == nil {
		t.Error("an unknown hook")
	}
	w.declare("a", "m1", HookEvict)
	w.run()
	w.declare("a", "m2", HookEvict)
	w.run()
	message, err := w.machine.RollBack(HookEvict, w.input())
	if err != nil || !strings.Contains(message, "of policy a") {
		t.Errorf("%q, error %v", message, err)
	}
	w.events = nil
	w.run()
	w.want(HookEvict, "m1", "built-in")
	w.phase("a", HookEvict, "SUSPENDED: taken back by hand")
	w.told("a " + EventSuspended)
	w.restart()
	w.run()
	w.phase("a", HookEvict, "SUSPENDED: taken back by hand")
	if message, err = w.machine.RollBack(HookEvict, w.input()); err != nil || !strings.Contains(message, "built-in policy cost-aware") {
		t.Errorf("%q, error %v", message, err)
	}
	w.run()
	w.want(HookEvict, "", "")
	w.set("a", "config", "x=1")
	w.run()
	w.want(HookEvict, "m2", "built-in")
}

// A generation that was taken back to serves even when its ConfigMap is gone, as long as the one that was taken back is
// there.
func TestRollBackToWhatIsGone(t *testing.T) {
	w := newWorld(t)
	w.connect("h1")
	w.declare("b", "mb", HookEvict)
	w.run()
	w.declare("a", "ma", HookEvict)
	w.run()
	delete(w.maps, "b")
	w.run()
	w.want(HookEvict, "ma", "mb")
	if _, err := w.machine.RollBack(HookEvict, w.input()); err != nil {
		t.Fatal(err)
	}
	w.run()
	w.want(HookEvict, "mb", "built-in")
	w.restart()
	w.run()
	w.want(HookEvict, "mb", "built-in")
	delete(w.maps, "a")
	w.run()
	w.want(HookEvict, "", "")
}

// What decides after a rollback goes with its ConfigMap, though another policy was taken back to it.
func TestRemovalAfterRollBack(t *testing.T) {
	w := newWorld(t)
	w.connect("h1")
	w.declare("b", "mb", HookEvict)
	w.run()
	w.declare("a", "ma", HookEvict)
	w.run()
	if _, err := w.machine.RollBack(HookEvict, w.input()); err != nil {
		t.Fatal(err)
	}
	w.run()
	w.want(HookEvict, "mb", "built-in")
	w.phase("b", HookEvict, "PROGRAMMED 1/1")
	delete(w.maps, "b")
	w.run()
	w.want(HookEvict, "", "")
	w.phase("a", HookEvict, "SUSPENDED")
}

// While a restarted controller has yet to verify a policy, it does not forget what became of it.
func TestRestartBeforeVerification(t *testing.T) {
	w := newWorld(t)
	w.connect("h1")
	w.declare("b", "mb", HookEvict)
	w.run()
	w.declare("a", "ma", HookEvict)
	w.run()
	delete(w.maps, "b")
	if _, err := w.machine.RollBack(HookEvict, w.input()); err != nil {
		t.Fatal(err)
	}
	w.run()
	w.restart()
	w.unverified["a"] = true
	w.run()
	w.want(HookEvict, "mb", "built-in")
	w.phase("a", HookEvict, "SUSPENDED")
	w.unverified["a"] = false
	w.run()
	w.want(HookEvict, "mb", "built-in")
}

// Of two new policies the first is waited for, though the second was verified first.
func TestVerificationOutOfOrder(t *testing.T) {
	w := newWorld(t)
	w.connect("h1")
	w.declare("a", "ma", HookEvict)
	w.declare("b", "mb", HookEvict)
	w.unverified["a"] = true
	w.run()
	w.want(HookEvict, "", "")
	w.phase("b", HookEvict, "PENDING: waiting for a policy of a lower name")
	w.broken["a"], w.unverified["a"] = "no", false
	w.run()
	w.want(HookEvict, "mb", "built-in")
	w.phase("b", HookEvict, "PROGRAMMED 1/1")
}

func TestShadow(t *testing.T) {
	w := newWorld(t)
	w.connect("h1")
	w.declare("a", "ma", HookEvict)
	w.declare("s1", "shadow", HookEvict)
	w.set("s1", "mode", "shadow")
	w.declare("s2", "other", HookEvict)
	w.set("s2", "mode", "shadow")
	w.run()
	w.want(HookEvict, "ma", "built-in")
	w.phase("s1", HookEvict, "SHADOW 1/1")
	w.phase("s2", HookEvict, "CONFLICT: ConfigMap s1")
	if role := w.roles(HookEvict)["shadow"]; role != syncv1.PolicyRole_POLICY_ROLE_SHADOW {
		t.Errorf("role %v", role)
	}
	w.hosts["h1"].fails["shadow"] = "trap: unreachable"
	w.run()
	w.phase("s1", HookEvict, "INVALID: trap: unreachable")
	w.phase("s2", HookEvict, "SHADOW 1/1")
	w.want(HookEvict, "ma", "built-in")
	// The shadow takes over by an edit of its mode.
	delete(w.maps, "a")
	w.set("s2", "mode", "active")
	w.run()
	w.want(HookEvict, "other", "built-in")
	w.declare("t", "other", HookEvict)
	w.maps["t"].BinaryData = map[string][]byte{"t.wasm": w.maps["s2"].BinaryData["s2.wasm"]}
	w.set("t", "mode", "shadow")
	w.run()
	w.phase("t", HookEvict, "CONFLICT: nothing to compare")
}

// Edits faster than hosts can follow: only the newest counts, and nothing piles up.
func TestQuickSwaps(t *testing.T) {
	w := newWorld(t)
	h := w.connect("h1")
	for i := range 100 {
		w.declare("a", fmt.Sprint("m", i), HookEvict, HookPlace)
		h.mute = i%3 == 1
		w.once()
		if n := len(w.out.Plan.Entries); n > 6 {
			t.Fatalf("%d entries in a plan", n)
		}
		if n := len(w.machine.Modules()); n > 3 {
			t.Fatalf("%d modules are held", n)
		}
	}
	h.mute = false
	w.run()
	w.want(HookEvict, "m99", cmp.Or(w.text(w.out.Hooks[1].Previous), "built-in"))
	w.phase("a", HookEvict, "PROGRAMMED 1/1")
	if v := w.out.Plan.Version; v.Term != 1 || v.Sequence < 100 {
		t.Errorf("version %v", v)
	}
}

func TestRestoreOfDamage(t *testing.T) {
	w := newWorld(t)
	w.connect("h1")
	w.declare("a", "m1", HookEvict)
	w.run()
	record, modules := w.machine.Memory()
	for digest := range modules {
		modules[digest] = []byte("other")
	}
	m := New(Config{})
	if err := m.Restore(record, modules); err == nil || !strings.Contains(err.Error(), "missing or damaged") {
		t.Errorf("a module was exchanged: %v", err)
	}
	if len(m.Modules()) != 0 {
		t.Error("it is used all the same")
	}
	if err := m.Restore([]byte("{"), nil); err == nil {
		t.Error("no JSON")
	}
}
