package launcher

import (
	"testing"
	"time"
)

func TestRestarts(t *testing.T) {
	type end struct {
		ran, wait time.Duration
		tell      bool
	}
	const asked = -1 // of wait: the process was asked to leave, and is started again soon
	const quick = time.Millisecond
	for name, ends := range map[string][]end{
		"ever later": {
			{quick, 200 * time.Millisecond, false}, {quick, 400 * time.Millisecond, false}, {quick, 800 * time.Millisecond, true},
			{quick, 1600 * time.Millisecond, false}, {quick, 3200 * time.Millisecond, false}, {quick, 6400 * time.Millisecond, true},
			{quick, 10 * time.Second, false}, {quick, 10 * time.Second, false},
		},
		"soon again after it ran well": {
			{quick, 200 * time.Millisecond, false}, {quick, 400 * time.Millisecond, false},
			{time.Hour, 200 * time.Millisecond, false}, {quick, 400 * time.Millisecond, false}, {quick, 800 * time.Millisecond, true},
		},
		"leaving is no crash": {
			{2 * time.Second, asked, false}, {2 * time.Second, asked, false}, {2 * time.Second, asked, false}, {2 * time.Second, asked, false},
			{quick, 200 * time.Millisecond, false}, {quick, 400 * time.Millisecond, false},
			{2 * time.Second, asked, false}, {quick, 200 * time.Millisecond, false},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var r restarts
			for i, e := range ends {
				want := restart{wait: e.wait, tell: e.tell}
				if e.wait == asked {
					want = restart{wait: firstRestart, left: true}
				}
				if got := r.after(e.ran, want.left); got != want {
					t.Errorf("end %d: %+v, want %+v", i+1, got, want)
				}
			}
		})
	}
}

// A process that keeps ending for days is tried at the same pace and told ever more rarely.
func TestRestartsForDays(t *testing.T) {
	var r restarts
	told := 0
	for range 100_000 {
		next := r.after(time.Second, false)
		if next.wait < firstRestart || next.wait > maxRestart {
			t.Fatalf("wait %v", next.wait)
		}
		if next.tell {
			told++
		}
	}
	if told == 0 || told > 20 {
		t.Errorf("told %d times", told)
	}
}

// A host that ends at once, with status 0, has not left: it would be started again without pause, and nobody told.
func TestEndingAtOnceIsNotLeaving(t *testing.T) {
	var r restarts
	for i := range crashLoop {
		next := r.after(leftAfter-time.Millisecond, true)
		if want := firstRestart << i; next.left || next.wait != want || next.tell != (i == crashLoop-1) {
			t.Errorf("end %d: %+v, want a wait of %v", i+1, next, want)
		}
	}
}
