package policyconfig

import (
	"fmt"
	"testing"
	"time"
)

// Hosts that keep coming do not hold a generation back for longer than one that is slow, and each one that comes later gets
// what decides.
func TestBarrierWithHostsThatKeepComing(t *testing.T) {
	const hosts, every = 8, 5 * time.Second
	w := newWorld(t)
	for i := range hosts {
		w.connect(fmt.Sprintf("h%d", i))
	}
	w.declare("a", "m1", HookPlace)
	w.run()
	w.phase("a", HookPlace, "PROGRAMMED 8/8")

	late := w.connect("late-0")
	late.mute = true
	w.declare("a", "m2", HookPlace)
	w.run()
	w.want(HookPlace, "m1", "built-in")
	for i := 1; time.Duration(i)*every < BarrierTimeout; i++ {
		late.mute = false // The one before has caught up, and another is compiling.
		late = w.connect(fmt.Sprintf("late-%d", i))
		late.mute = true
		w.later(every)
		w.want(HookPlace, "m1", "built-in")
	}
	w.later(every)
	w.want(HookPlace, "m2", "m1")
	w.phase("a", HookPlace, "PENDING 13/14: being taken into use")
	late.mute = false
	w.run()
	w.phase("a", HookPlace, "PROGRAMMED 14/14")

	// One that cannot use what all others use decides by its built-in policy, and takes nothing back.
	w.connect("odd").fails["m2"] = "limit: memory"
	w.run()
	w.want(HookPlace, "m2", "m1")
	w.phase("a", HookPlace, "PROGRAMMED 14/15")
}
