package link

import (
	"sync"
	"time"

	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
)

const (
	// maxStalls is how often in a row silence is put down to this host itself.
	maxStalls = 8
	// lateTimer is a timer that came too late for the machine not to be overloaded.
	lateTimer = Beat / 10
	// lingering is for how long a stream is kept on which the host is silent. Making another one costs both sides far more
	// than to wait a little longer, and many would be made when all are busy, which is when nobody has time for it.
	lingering = 5 * time.Second
)

// watch finds out when a host is silent. It sees to it that a Sink hears of that only between two messages, so that what
// takes long to be taken in is no silence.
type watch struct {
	stalled func() bool
	sink    Sink
	giveUp  func()

	mu      sync.Mutex
	timer   *time.Timer
	due     time.Time // when the timer was to fire
	stalls  int
	silence time.Duration // Silence, or more for a host that has said that it has no time
	whole   bool          // silence may fell the host; before it was not live
	fallen  bool
	stopped bool
}

func (w *watch) start() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.due = time.Now().Add(Patience)
	w.timer = time.AfterFunc(Patience, w.fire)
}

func (w *watch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	w.timer.Stop()
}

func (w *watch) reset(after time.Duration) {
	w.due = time.Now().Add(after)
	w.timer.Reset(after)
}

// heard has the session take a message.
func (w *watch) heard(s *session, m *peerv1.LinkResponse) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stalls = 0
	if w.fallen {
		w.fallen = false
		if err := w.sink.Rose(); err != nil {
			return err
		}
	}
	err := s.take(m)
	if w.whole = s.whole; w.whole {
		w.silence = max(Silence, 2*s.pace+s.pace/2)
		w.reset(w.silence)
	} else {
		w.reset(Patience)
	}
	return err
}

func (w *watch) fire() {
	w.mu.Lock()
	defer w.mu.Unlock()
	behind := time.Since(w.due)
	switch {
	case w.stopped || behind < 0: // a message came first
	case w.stalls < maxStalls && (behind > lateTimer || w.stalled()):
		w.stalls++
		w.reset(max(w.silence, Silence))
	case w.whole && !w.fallen:
		w.fallen = true
		w.sink.Fell()
		w.reset(lingering)
	default:
		w.giveUp()
	}
}
