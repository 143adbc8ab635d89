package mesh

import (
	"testing"
	"time"
)

// watch runs a meter over one copy that was loaded long ago, and answers when it was told that it is above its target.
func watch(requests func(at time.Duration) int, target int, loadedAt time.Duration, until time.Duration) (told []time.Duration) {
	start := time.Unix(1_700_000_000, 0)
	m := newMeter()
	for at := time.Duration(0); at <= until; at += sampleEvery {
		m.begin()
		now := start.Add(at)
		g := m.sample(now, reading{key: 1, requests: requests(at), target: target, loadedAt: start.Add(loadedAt)})
		m.end()
		if !g.quiet() && g.due(now, false, "a") {
			if g.milli() > g.targetMilli() {
				told = append(told, at)
			}
			g.tell(now, false, "a")
		}
	}
	return told
}

const longAgo = -time.Hour

// A step is told of within a second, and then four times a second.
func TestAStepIsToldOfWithinASecond(t *testing.T) {
	const step = time.Second
	for _, times := range []int{2, 10, 100} {
		told := watch(func(at time.Duration) int {
			if at < step {
				return 4
			}
			return 4 * times
		}, 6, longAgo, 5*time.Second)
		if len(told) < 10 || told[0] > step+time.Second {
			t.Errorf("a step to %d times was told of at %v", times, told)
		}
	}
}

// A burst, however high, is not worth a copy, nor are the requests that waited for the load.
func TestABurstIsNotToldOf(t *testing.T) {
	burst := func(at time.Duration) int {
		if at > 0 && at <= 400*time.Millisecond {
			return 1000
		}
		return 1
	}
	if told := watch(burst, 8, longAgo, 5*time.Second); len(told) > 0 {
		t.Errorf("told at %v", told)
	}
	waited := func(at time.Duration) int {
		if at <= time.Second {
			return 1000
		}
		return 1
	}
	if told := watch(waited, 8, 0, 5*time.Second); len(told) > 0 {
		t.Errorf("after a load told at %v", told)
	}
}

// Requests that come unevenly, but are too many on the whole, are told of.
func TestUnevenUseIsToldOf(t *testing.T) {
	uneven := func(at time.Duration) int { return []int{14, 6, 12, 8, 15, 5}[at/sampleEvery%6] }
	if told := watch(uneven, 7, longAgo, 5*time.Second); len(told) == 0 {
		t.Error("never told")
	}
}

// What becomes calm is said once; what is watched, again and again; a copy that is gone is forgotten.
func TestWhatIsToldOfCalmCopies(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	m := newMeter()
	told := 0
	round := func(at time.Duration, requests int, watched bool) *gauge {
		m.begin()
		defer m.end()
		now := start.Add(at)
		g := m.sample(now, reading{key: 1, requests: requests, target: 2, loadedAt: start.Add(longAgo)})
		g.watched = watched
		if !g.quiet() && g.due(now, false, "a") {
			told++
			g.tell(now, false, "a")
		}
		return g
	}
	at := time.Duration(0)
	for ; at < 2*time.Second; at += sampleEvery {
		round(at, 10, false)
	}
	if told == 0 {
		t.Fatal("not told of a busy copy")
	}
	told = 0
	for end := at + 20*time.Second; at < end; at += sampleEvery {
		round(at, 0, false)
	}
	if last := m.copies[1].told; told == 0 || last > 2000 {
		t.Errorf("told %d times of a copy that became calm, the last time %d", told, last)
	}
	told = 0
	for end := at + 20*time.Second; at < end; at += sampleEvery {
		round(at, 0, true)
	}
	if told < int(20*time.Second/sameEvery)-1 {
		t.Errorf("told %d times of a copy that is watched", told)
	}
	m.begin()
	m.end()
	if len(m.copies) != 0 {
		t.Error("a copy that is gone is remembered")
	}
}
