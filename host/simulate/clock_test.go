package simulate

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// Events fire in the order of their times, those of one moment in the order in which they were planned, and time never goes
// back: as from a list that is sorted anew each time.
func TestClock(t *testing.T) {
	type planned struct {
		at time.Duration
		n  int
	}
	random := rand.New(rand.NewPCG(1, 1))
	var c clock
	var twin []planned
	var fired []int
	n := 0
	plan := func() {
		wait := time.Duration(random.IntN(20)-2) * time.Millisecond
		n++
		mine := n
		twin = append(twin, planned{c.now + max(wait, 0), mine})
		c.after(wait, func() { fired = append(fired, mine) })
	}
	for range 3000 {
		for range random.IntN(3) {
			plan()
		}
		until := c.now + time.Duration(random.IntN(4))*time.Millisecond
		for {
			before := c.now
			fire, ok := c.next(until)
			if c.now < before || c.now > until {
				t.Fatalf("at %v after %v, until %v", c.now, before, until)
			}
			slices.SortStableFunc(twin, func(a, b planned) int { return cmp.Compare(a.at, b.at) })
			if want := len(twin) > 0 && twin[0].at <= until; ok != want {
				t.Fatalf("an event: %v, want %v", ok, want)
			}
			if !ok {
				break
			}
			fire()
			if got := fired[len(fired)-1]; got != twin[0].n || c.now != twin[0].at {
				t.Fatalf("event %d at %v, want %d at %v", got, c.now, twin[0].n, twin[0].at)
			}
			twin = twin[1:]
		}
	}
	if c.fired != len(fired) || len(fired) < 1000 {
		t.Errorf("%d events fired, and %d counted", len(fired), c.fired)
	}
}

// Everybody's luck is his own, and the same each time.
func TestDice(t *testing.T) {
	roll := func(seed uint64, names ...string) (rolls [4]uint64) {
		d := newDice(seed, names...)
		for i := range rolls {
			rolls[i] = d.roll()
		}
		return rolls
	}
	seen := map[[4]uint64]bool{}
	for _, names := range [][]string{nil, {"a"}, {"b"}, {"a", "b"}, {"b", "a"}, {"ab"}} {
		for seed := range uint64(3) {
			rolls := roll(seed, names...)
			if seen[rolls] || rolls != roll(seed, names...) {
				t.Errorf("seed %d, %v: %v", seed, names, rolls)
			}
			seen[rolls] = true
		}
	}
	d := newDice(1)
	for range 1000 {
		if at := d.between(time.Second, 2*time.Second); at < time.Second || at >= 2*time.Second {
			t.Fatalf("%v is not between one second and two", at)
		}
	}
}
