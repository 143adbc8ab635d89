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
	} {
		t.Run(name, func(t *testing.T) {
			var r restarts
			for i, e := range ends {
				if wait, tell := r.after(e.ran); wait != e.wait || tell != e.tell {
					t.Errorf("end %d: wait %v, tell %v; want %v, %v", i+1, wait, tell, e.wait, e.tell)
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
		wait, tell := r.after(time.Second)
		if wait < firstRestart || wait > maxRestart {
			t.Fatalf("wait %v", wait)
		}
		if tell {
			told++
		}
	}
	if told == 0 || told > 20 {
		t.Errorf("told %d times", told)
	}
}
