package hook

import (
	"sync"
	"time"
)

// Rules of the breaker. Five failures in a minute is what a request path notices; the rate finds a policy that fails
// seldom, but on each of the rare decisions that matter.
const (
	breakerFailures = 5
	breakerWithin   = 60 * time.Second
	// breakerWindow decisions are looked back on; more than breakerPerWindow failures among them, 1 %, are too many. A
	// window that is not full says nothing.
	breakerWindow    = 200
	breakerPerWindow = breakerWindow / 100

	firstRest = time.Second
	maxRest   = 5 * time.Minute
	// recovery is how long a generation must have answered well before its rests start from the shortest again, and
	// before it counts as well.
	recovery = 5 * time.Minute
)

// breaker keeps a failing generation from being asked. Closed: it is asked. Open: it rests, and after the rest one
// decision at a time probes it, until a probe succeeds and closes the breaker or fails and doubles the rest.
type breaker struct {
	mu sync.Mutex // guards below
	// recent is a ring of the times of the last failures; next is the oldest.
	recent [breakerFailures]time.Time
	next   int
	// window is a ring of the last decisions, true for a failure; at is the oldest once seen is breakerWindow.
	window  [breakerWindow]bool
	at      int
	seen    int
	failing int

	open    bool
	probing bool
	until   time.Time
	rest    time.Duration
	// closed is when the last rest ended well; zero when there was none.
	closed time.Time
}

// allow answers whether the generation may be asked now, and whether that is a probe. The caller must then say how it
// went: succeeded, failed or undecided.
func (b *breaker) allow(now time.Time) (allowed, probe bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open {
		return true, false
	}
	if b.probing || now.Before(b.until) {
		return false, false
	}
	b.probing = true
	return true, true
}

// succeeded records an answer, or that the policy left it to the built-in one.
func (b *breaker) succeeded(now time.Time, probe bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if probe {
		b.open, b.probing, b.closed = false, false, now
		b.recent, b.window = [breakerFailures]time.Time{}, [breakerWindow]bool{}
		b.seen, b.failing = 0, 0
		return
	}
	b.count(false)
}

// failed records a failure and answers whether it opened the breaker.
func (b *breaker) failed(now time.Time, probe bool) (opened bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if probe {
		b.probing = false
		b.takeRest(now)
		return false
	}
	if b.open {
		return false // A decision that had begun before the breaker opened.
	}
	b.count(true)
	b.recent[b.next] = now
	b.next = (b.next + 1) % breakerFailures
	oldest := b.recent[b.next]
	burst := !oldest.IsZero() && now.Sub(oldest) <= breakerWithin
	often := b.seen == breakerWindow && b.failing > breakerPerWindow
	if !burst && !often {
		return false
	}
	b.open = true
	b.takeRest(now)
	return true
}

// undecided takes back an allow that led to no call.
func (b *breaker) undecided(probe bool) {
	if !probe {
		return
	}
	b.mu.Lock()
	b.probing = false
	b.mu.Unlock()
}

// degraded answers whether the generation fails so often that it should be rolled back. It stays so for a while after a
// probe has succeeded: one good answer proves little.
func (b *breaker) degraded(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.open || b.recovering(now)
}

func (b *breaker) recovering(now time.Time) bool {
	return !b.closed.IsZero() && now.Sub(b.closed) < recovery
}

func (b *breaker) takeRest(now time.Time) {
	if b.rest == 0 || b.probed(now) {
		b.rest = firstRest
	} else {
		b.rest = min(2*b.rest, maxRest)
	}
	b.until = now.Add(b.rest)
}

// probed answers whether the last rest ended so long ago that it no longer counts.
func (b *breaker) probed(now time.Time) bool { return !b.closed.Before(b.until) && !b.recovering(now) }

func (b *breaker) count(failure bool) {
	if b.seen == breakerWindow {
		if b.window[b.at] {
			b.failing--
		}
	} else {
		b.seen++
	}
	b.window[b.at] = failure
	b.at = (b.at + 1) % breakerWindow
	if failure {
		b.failing++
	}
}
