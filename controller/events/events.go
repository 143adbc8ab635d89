// Package events writes what the controller has to say about objects to the API server, as Events (events.k8s.io/v1) that
// `kubectl describe` and `kubectl get events` show. The loop in controller/reconcile hands it every decide.Event; the
// reconcilers hand it theirs.
//
// Invariants:
//   - Record never blocks and never fails: what does not fit into the queue is dropped and counted.
//   - What is said again, word for word, about one object becomes a count on the Event that is there, written at most every
//     repeatInterval. What is said in other words is another Event. (client-go's recorder compares all but the words, and
//     of two failures within six minutes shows the first only.)
//   - Memory and the rate of writing are bounded, however much happens.
package events

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wasmesh/wasmesh/controller/decide"
)

const (
	// queueSize bounds the Events that wait to be written. Ten thousand objects that are created at once have one each.
	queueSize = 16384
	// rememberedEvents bounds the Events that a repetition can be counted on.
	rememberedEvents = 4096
	// repeatInterval is how often the count of an Event is written, and how soon.
	repeatInterval = 10 * time.Second
	// rememberFor is how long an Event is counted on. The API server keeps it for an hour after its last write.
	rememberFor = 30 * time.Minute
	// writeInterval and writeBurst bound the rate of writing: Events must not keep the API server from answering others.
	writeInterval = 20 * time.Millisecond
	writeBurst    = 200
	// writeTimeout bounds one write.
	writeTimeout = 10 * time.Second
)

// Config of a Recorder.
type Config struct {
	// Client reads the objects that Events are about, which should cost nothing, and writes Events.
	Client client.Client
	// Instance is who speaks, among several: the name of the controller's pod.
	Instance string
	// LegacyPredictors says that Predictors may be of kubernetes.LegacyGroupVersion.
	LegacyPredictors bool
	// Metrics is where what was dropped is counted; nil for nowhere.
	Metrics prometheus.Registerer
	Logger  *slog.Logger
}

// Recorder writes Events. Record may be called from any goroutine, Run once.
type Recorder struct {
	config Config
	wake   chan struct{}
	counts *prometheus.CounterVec
	// named is the end of the newest Event's name; for Run.
	named int64

	mu sync.Mutex // guards below
	// pending is what waits to be written. Its keys are in fresh, or in repeats if they are counted on an Event that is there.
	pending        map[saying]*heard
	fresh, repeats []saying
	written        *lru.LRU[saying, record]
}

// saying is what makes one Event another than the next.
type saying struct {
	object                     decide.Key
	eventType, reason, message string
}

// heard is how often and when something was said since it was last written.
type heard struct {
	first, last time.Time
	count       int32
}

// record is an Event as it was last written.
type record struct {
	name  string
	count int32
	at    time.Time
}

// New makes a Recorder that writes nothing before Run.
func New(config Config) (*Recorder, error) {
	if config.Client == nil || config.Logger == nil {
		return nil, errors.New("make event recorder: it needs a client and a logger")
	}
	written, err := lru.NewLRU[saying, record](rememberedEvents, nil)
	if err != nil {
		return nil, fmt.Errorf("make event recorder: %w", err)
	}
	r := &Recorder{
		config: config, wake: make(chan struct{}, 1), pending: map[saying]*heard{}, written: written,
		counts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wasmesh_controller_events_total",
			Help: "Events about objects, by outcome: written, dropped since too many waited, or refused by the API server.",
		}, []string{"outcome"}),
	}
	for _, outcome := range []string{outcomeWritten, outcomeDropped, outcomeRefused} {
		r.counts.WithLabelValues(outcome)
	}
	if config.Metrics != nil {
		if err := config.Metrics.Register(r.counts); err != nil {
			return nil, fmt.Errorf("register metrics of Events: %w", err)
		}
	}
	return r, nil
}

// Outcomes of Events, as the metric counts them.
const (
	outcomeWritten = "written"
	outcomeDropped = "dropped"
	outcomeRefused = "refused"
)

// Record takes an Event to be written.
func (r *Recorder) Record(e decide.Event) {
	now := time.Now()
	s := saying{object: e.Object, eventType: e.Type, reason: e.Reason, message: e.Message}
	r.mu.Lock()
	defer r.mu.Unlock()
	if h := r.pending[s]; h != nil {
		h.count, h.last = h.count+1, now
		return
	}
	if len(r.pending) >= queueSize {
		r.counts.WithLabelValues(outcomeDropped).Inc()
		return
	}
	r.pending[s] = &heard{first: now, last: now, count: 1}
	if before, said := r.written.Peek(s); said && now.Sub(before.at) < rememberFor {
		r.repeats = append(r.repeats, s)
	} else {
		r.fresh = append(r.fresh, s)
	}
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Run writes until the context ends, and returns nil then. What waits at that time is lost.
func (r *Recorder) Run(ctx context.Context) error {
	var pace pace
	for {
		s, h, due := r.next(time.Now())
		if h == nil {
			if !r.wait(ctx, due) {
				return nil
			}
			continue
		}
		if !sleep(ctx, pace.delay(time.Now())) || !r.write(ctx, s, *h) {
			return nil
		}
	}
}

// next takes what is to be written now; without anything, it answers when there will be, zero for not before it is said.
func (r *Recorder) next(now time.Time) (s saying, h *heard, due time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	from := &r.fresh
	if len(r.fresh) == 0 {
		if len(r.repeats) == 0 {
			return s, nil, due
		}
		from = &r.repeats
		// One that is remembered no more is due.
		before, _ := r.written.Peek(r.repeats[0])
		if due = before.at.Add(repeatInterval); now.Before(due) {
			return s, nil, due
		}
	}
	s = (*from)[0]
	if *from = (*from)[1:]; len(*from) == 0 {
		*from = nil
	}
	h = r.pending[s]
	delete(r.pending, s)
	return s, h, due
}

// wait returns when something was said, or is due; false when the context ended.
func (r *Recorder) wait(ctx context.Context, due time.Time) bool {
	var at <-chan time.Time
	if !due.IsZero() {
		at = time.After(time.Until(due))
	}
	select {
	case <-ctx.Done():
		return false
	case <-r.wake:
	case <-at:
	}
	return true
}

// sleep returns false when the context ended before.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// pace spaces writes: writeBurst at once, then one each writeInterval.
type pace struct{ until time.Time }

// delay answers how long to wait before the next write.
func (p *pace) delay(now time.Time) time.Duration {
	if earliest := now.Add(-writeBurst * writeInterval); p.until.Before(earliest) {
		p.until = earliest
	}
	p.until = p.until.Add(writeInterval)
	return p.until.Sub(now)
}
