package policyconfig

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// A policy that is edited while no host is connected, and that hosts cannot use, does not cost them what worked.
func TestEditWhileNoHostIsConnected(t *testing.T) {
	w := newWorld(t)
	h := w.connect("h1")
	w.declare("a", "m1", HookEvict)
	w.run()
	delete(w.hosts, "h1")
	w.declare("a", "m2", HookEvict)
	w.later(time.Hour)
	w.hosts["h1"], h.report, h.fails["m2"] = h, nil, "limit: memory"
	w.run()
	w.want(HookEvict, "m1", "built-in")
	w.phase("a", HookEvict, "INVALID: host h1: limit: memory")
}

// A host that was not waited for completes the barrier late, by taking the generation back when it cannot use it.
func TestSlowHostFailsAfterTheBarrier(t *testing.T) {
	w := newWorld(t)
	w.connect("h1")
	w.declare("a", "m1", HookEvict)
	w.run()
	w.connect("slow").mute = true
	w.declare("a", "m2", HookEvict)
	w.run()
	w.later(BarrierTimeout)
	w.want(HookEvict, "m2", "m1")
	// Nor can it use what was before, which is not given up for the same reason.
	for _, module := range []string{"m1", "m2"} {
		w.hosts["slow"].fails[module] = "refused (limit): memory"
	}
	w.hosts["slow"].mute = false
	w.restart() // Whether or not the controller remembers.
	w.run()
	w.want(HookEvict, "m1", "built-in")
	w.phase("a", HookEvict, "ROLLED_BACK: host slow: refused (limit)")
}

// A host that comes when a generation is in use everywhere does not end it for all, also across restarts.
func TestNewHostFails(t *testing.T) {
	w := newWorld(t)
	w.connect("h1")
	w.declare("a", "m1", HookEvict)
	w.run()
	w.connect("new").fails["m1"] = "refused (limit): memory"
	w.run()
	w.want(HookEvict, "m1", "built-in")
	w.phase("a", HookEvict, "PROGRAMMED 1/2: host new: refused (limit)")
	w.restart()
	w.run()
	w.want(HookEvict, "m1", "built-in")
}

// An edit takes effect as a whole: what names fewer hooks, or misspells one, ends nothing until it can be used.
func TestInvalidEditOfHooks(t *testing.T) {
	for name, test := range map[string]struct {
		hooks  string
		broken string
		away   bool
	}{
		"misspelt":                    {"evict, plce", "", false},
		"misspelt, first":             {"plce, evict", "", false},
		"fewer, and refused":          {"evict", "refused (format)", false},
		"misspelt while away":         {"evict, plce", "", true},
		"fewer and refused, and away": {"evict", "refused (format)", true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.connect("h1")
			w.declare("a", "m1", HookEvict, HookPlace)
			w.run()
			w.declare("a", "m2", HookEvict, HookPlace)
			w.set("a", "hooks", test.hooks)
			if test.broken != "" {
				w.broken["a"], w.unverified["a"] = test.broken, true
			}
			if test.away {
				w.restart()
			}
			w.run()
			w.unverified["a"] = false
			w.run()
			for _, hook := range []string{HookEvict, HookPlace} {
				w.want(hook, "m1", "built-in")
				w.phase("a", hook, "INVALID")
			}
			if len(w.out.Policies) != 2 {
				t.Errorf("listed %v", w.out.Policies)
			}
			// Mended, it is for what it says.
			delete(w.broken, "a")
			w.set("a", "hooks", "evict")
			w.run()
			w.want(HookEvict, "m2", "m1")
			w.want(HookPlace, "", "")
		})
	}
}

// Of two policies that are the same to the byte, one goes: what decides stays, without a gap, whoever is slow.
func TestIdenticalPolicies(t *testing.T) {
	w := newWorld(t)
	w.connect("h1")
	w.connect("h2")
	w.declare("a", "m", HookEvict)
	w.maps["b"] = w.maps["a"].DeepCopy()
	w.maps["b"].Name = "b"
	w.run()
	w.want(HookEvict, "m", "built-in")
	w.phase("b", HookEvict, "CONFLICT: ConfigMap a")
	w.hosts["h2"].mute, w.hosts["h2"].report = true, nil
	delete(w.maps, "a")
	w.once()
	w.want(HookEvict, "m", "built-in")
	w.phase("b", HookEvict, "PROGRAMMED 1/2")
	if row := w.out.Hooks[1]; row.Policy != "b" {
		t.Errorf("decided by %v", row)
	}
	w.hosts["h2"].mute = false
	delete(w.maps, "b")
	w.run()
	w.want(HookEvict, "", "")
}

// What decides becomes a shadow by an edit that can be used, not by one that is refused or not yet verified.
func TestActiveBecomesShadow(t *testing.T) {
	w := newWorld(t)
	w.connect("h1")
	w.declare("a", "m1", HookEvict)
	w.run()
	w.declare("a", "m2", HookEvict)
	w.set("a", "mode", "shadow")
	w.unverified["a"] = true
	w.run()
	w.want(HookEvict, "m1", "built-in")
	w.phase("a", HookEvict, "PENDING: being verified")
	w.unverified["a"], w.broken["a"] = false, "refused (format)"
	w.run()
	w.want(HookEvict, "m1", "built-in")
	w.phase("a", HookEvict, "INVALID: refused (format)")
	delete(w.broken, "a")
	w.run()
	w.want(HookEvict, "", "")
	w.phase("a", HookEvict, "SHADOW 1/1")
	// And back.
	w.set("a", "mode", "active")
	w.run()
	w.want(HookEvict, "m2", "built-in")
	w.phase("a", HookEvict, "PROGRAMMED 1/1")
}

// However many policies there are, only the modules that hosts may ask for are held uncompressed, and each was opened once.
func TestManyPolicies(t *testing.T) {
	w := newWorld(t)
	w.connect("h1")
	for i := range 200 {
		w.declare(fmt.Sprintf("p%03d", i), fmt.Sprint("m", i), HookEvict)
	}
	w.run()
	w.want(HookEvict, "m0", "built-in")
	if n := len(w.machine.Modules()); n != 1 || w.opened != 1 {
		t.Errorf("%d modules are held, %d were opened", n, w.opened)
	}
	w.phase("p199", HookEvict, "CONFLICT: ConfigMap p000")
}

// What is said of a policy can be sent and shown, whatever a module or a host has in its names.
func TestMessagesAreBounded(t *testing.T) {
	long := strings.Repeat("\u00fc", maxMessage) + "\xff"
	for name, breakIt := range map[string]func(w *world){
		"refused":   func(w *world) { w.broken["a"] = "x" + long },
		"malformed": func(w *world) { w.set("a", "mode", "x"+long) },
		"on a host": func(w *world) { w.hosts["h1"].fails["m"] = "x" + long },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.connect("h1")
			w.declare("a", "m", HookEvict)
			w.set("a", "hooks", "evict")
			breakIt(w)
			w.run()
			w.phase("a", HookEvict, "INVALID")
			for _, row := range w.out.Policies {
				if !utf8.ValidString(row.Message) || len(row.Message) > maxMessage+10 {
					t.Errorf("%d bytes, valid: %t", len(row.Message), utf8.ValidString(row.Message))
				}
			}
		})
	}
}
