package hook

import (
	"testing"
	"time"
)

// drive runs a script against a breaker, one letter a second: s success, f failure, - nothing. It answers at which letter
// the breaker opened, -1 for never.
func drive(script string, every time.Duration) (b *breaker, opened int) {
	b, now := &breaker{}, time.UnixMilli(0)
	for i, letter := range script {
		now = now.Add(every)
		switch letter {
		case 's':
			b.succeeded(now, false)
		case 'f':
			if b.failed(now, false) {
				return b, i
			}
		}
	}
	return b, -1
}

func repeat(text string, n int) (all string) {
	for range n {
		all += text
	}
	return all
}

func TestBreakerOpens(t *testing.T) {
	for name, test := range map[string]struct {
		script string
		every  time.Duration
		want   int
	}{
		"five at once":                        {"fffff", 0, 4},
		"four at once":                        {"ffff", 0, -1},
		"five within a minute":                {"fffff", 15 * time.Second, 4},
		"five in more than a minute":          {"fffff", 16 * time.Second, -1},
		"five among many successes":           {repeat("ssssssssf", 5), time.Second, 44},
		"six, a burst at the end":             {"f" + repeat("-", 100) + "fffff", time.Second, 105},
		"one percent is allowed":              {repeat(repeat("s", 99)+"f", 10), time.Hour, -1},
		"more than one percent":               {repeat("s", 100) + "f" + repeat("s", 98) + "f" + "f", time.Hour, 200},
		"a window that is not full":           {"f" + repeat("s", 90) + "f" + repeat("s", 90) + "f", time.Hour, -1},
		"the same once the window has filled": {"f" + repeat("s", 90) + "f" + repeat("s", 90) + "f" + repeat("s", 16) + "f", time.Hour, 199},
	} {
		t.Run(name, func(t *testing.T) {
			if _, got := drive(test.script, test.every); got != test.want {
				t.Errorf("opened at %d, want %d", got, test.want)
			}
		})
	}
}

func TestBreakerRestsLongerAndLonger(t *testing.T) {
	b, _ := drive("fffff", 0)
	now := time.UnixMilli(0)
	for rest := firstRest; rest < 4*maxRest; rest *= 2 {
		want := min(rest, maxRest)
		if allowed, _ := b.allow(now.Add(want - 1)); allowed {
			t.Fatalf("asked after less than %v", want)
		}
		now = now.Add(want)
		allowed, probe := b.allow(now)
		if !allowed || !probe {
			t.Fatalf("not probed after %v", want)
		}
		if again, _ := b.allow(now); again {
			t.Fatal("probed twice at once")
		}
		b.undecided(true) // No instance was free: the next may probe.
		if _, probe = b.allow(now); !probe {
			t.Fatal("not probed after a probe that found nobody")
		}
		b.failed(now, true)
	}
	now = now.Add(maxRest)
	b.allow(now)
	b.succeeded(now, true)
	if allowed, probe := b.allow(now); !allowed || probe || !b.degraded(now) {
		t.Fatalf("after a good probe: allowed %v, probe %v, degraded %v; want it asked, and still not trusted", allowed, probe, b.degraded(now))
	}
	// It fails again soon: as little trust as before.
	for range breakerFailures {
		b.failed(now, false)
	}
	if allowed, _ := b.allow(now.Add(maxRest - 1)); allowed {
		t.Fatal("a relapse rests less than the longest rest")
	}
	now = now.Add(maxRest)
	b.allow(now)
	b.succeeded(now, true)
	now = now.Add(recovery)
	if b.degraded(now) {
		t.Fatal("still degraded after it has recovered")
	}
	for range breakerFailures {
		b.failed(now, false)
	}
	if allowed, _ := b.allow(now.Add(firstRest)); !allowed {
		t.Fatal("a new failure after recovery rests longer than the shortest rest")
	}
}

// Decisions that had begun before the breaker opened neither close it nor lengthen the rest.
func TestBreakerIgnoresLateComers(t *testing.T) {
	b, _ := drive("fffff", 0)
	now := time.UnixMilli(0).Add(firstRest)
	b.succeeded(now, false)
	if b.failed(now, false) {
		t.Fatal("opened twice")
	}
	if allowed, probe := b.allow(now); !allowed || !probe {
		t.Fatalf("allowed %v, probe %v", allowed, probe)
	}
}
