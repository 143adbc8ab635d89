package modelcache

import (
	"math"
	"testing"
	"time"
)

func TestEvictionClock(t *testing.T) {
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	var c EvictionClock
	if got := c.Since(at(0)); got != 0 {
		t.Fatalf("a clock that never moved: %d", got)
	}
	c.Evicted(at(10), 5)
	c.Evicted(at(20), -7) // Never back.
	c.Evicted(at(20), 3)
	c.Evicted(at(20), 2) // Twice at one moment.
	for _, test := range []struct {
		lastUse int
		want    int64
	}{{0, 10}, {9, 10}, {10, 5}, {19, 5}, {20, 0}, {99, 0}} {
		if got := c.Since(at(test.lastUse)); got != test.want {
			t.Errorf("last used at %d: inflation %d, want %d", test.lastUse, got, test.want)
		}
	}
}

// However many evictions there were, the memory is bounded, the recent past exact, and the far past not forgotten.
func TestEvictionClockIsBounded(t *testing.T) {
	var c EvictionClock
	const evictions = 100_000
	for i := range evictions {
		c.Evicted(start.Add(time.Duration(i)*time.Second), 1)
	}
	if len(c.marks) > clockMarks {
		t.Errorf("%d marks", len(c.marks))
	}
	for age := 1; age < evictions; age *= 3 {
		got := c.Since(start.Add(time.Duration(evictions-1-age) * time.Second))
		if got < int64(age) || got > int64(age)+int64(age)/30+1 {
			t.Errorf("inflation of %d since %d evictions ago", got, age)
		}
	}
	if got := c.Since(start.Add(-time.Hour)); got != evictions {
		t.Errorf("inflation %d since before the first of %d evictions", got, evictions)
	}
}

func TestEvictionClockDoesNotOverflow(t *testing.T) {
	c := EvictionClock{total: math.MaxInt64 - 10}
	c.Evicted(start, 100)
	if got := c.Since(start.Add(-time.Hour)); got < 0 {
		t.Errorf("inflation %d", got)
	}
}

// The classic Greedy-Dual algorithm keeps one number per copy: the clock at its last use, plus its value. With the clock
// kept by the host, and keep = value - inflation, the same copies go.
func TestEvictionClockGivesGreedyDual(t *testing.T) {
	const copies, room = 12, 5
	value := func(i int) int64 { return int64(1 + i*i%17) }
	var clock EvictionClock
	last := map[int]time.Time{}
	var classicClock int64
	classic := map[int]int64{}
	now, state := start, uint64(3)
	for range 1500 {
		now = now.Add(time.Second)
		state = state*6364136223846793005 + 1442695040888963407
		asked := int(state>>33) % copies
		if _, here := last[asked]; !here && len(last) == room {
			victim, other := -1, -1
			for i := range copies {
				if used, here := last[i]; here && (victim < 0 || value(i)-clock.Since(used) < value(victim)-clock.Since(last[victim])) {
					victim = i
				}
				if h, here := classic[i]; here && (other < 0 || h < classic[other]) {
					other = i
				}
			}
			if victim != other {
				t.Fatalf("victim %d, by the classic algorithm %d", victim, other)
			}
			clock.Evicted(now, int32(value(victim)-clock.Since(last[victim])))
			classicClock = classic[other]
			delete(last, victim)
			delete(classic, other)
		}
		last[asked] = now
		classic[asked] = classicClock + value(asked)
	}
}

// The wall's clock is set back by a year: copies that are used from then on lose only what goes after that.
func TestEvictionClockIsSetBack(t *testing.T) {
	var c EvictionClock
	for i := range 5 {
		c.Evicted(start.Add(time.Duration(i)*time.Second), 100)
	}
	back := start.AddDate(-1, 0, 0)
	c.Evicted(back, 10)
	for i := range 3 {
		c.Evicted(back.Add(time.Duration(i+1)*time.Minute), 1)
	}
	if got := c.Since(back.Add(time.Minute)); got != 2 {
		t.Errorf("inflation %d since the first of three evictions of 1, want 2", got)
	}
	if got := c.Since(back.Add(-time.Hour)); got != 513 {
		t.Errorf("inflation %d since before everything, want 513", got)
	}
	if got := c.Since(start); got != 0 {
		t.Errorf("inflation %d since a use in the future, want 0", got)
	}
}

func TestWithoutTier(t *testing.T) {
	const tier = 1 << 27
	for _, test := range []struct{ keep, priority, want int32 }{
		{5, 0, 5}, {tier + 5, 1, 5}, {-3*tier + 5, -3, 5}, {15*tier + tier - 1, 15, tier - 1}, {15*tier + 5, 99, 5},
		{-16*tier + 5, -99, 5}, {math.MinInt32, -16, 0},
		// A policy that writes no tiers.
		{5, 1, 5}, {5, -1, 5}, {math.MaxInt32, 0, math.MaxInt32}, {-7, 2, -7},
	} {
		if got := WithoutTier(test.keep, test.priority); got != test.want {
			t.Errorf("keep %d of priority %d: %d, want %d", test.keep, test.priority, got, test.want)
		}
	}
}
