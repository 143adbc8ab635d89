package mesh

import (
	"context"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wasmesh/wasmesh/host/arbiter"
	"github.com/wasmesh/wasmesh/host/members"
	"github.com/wasmesh/wasmesh/host/peers/residency"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// arbiterEvents lets a burst of asks be handed over without waiting; its size matters little.
const arbiterEvents = 256

// arbiterLoop is this host's arbiter: one goroutine that feeds arbiter.Machine, and workers that ask hosts on its behalf.
// What changes in the mesh is taken in from the first moment; nothing is decided before the host knows what others hold.
type arbiterLoop struct {
	mesh    *Mesh
	machine *arbiter.Machine // The loop's alone.
	events  chan arbiter.Event
	news    news
	// placings are the loop's alone.
	placings *placings
	// ready: it decides.
	ready   atomic.Bool
	stopped chan struct{}
	workers sync.WaitGroup
	// answers is who waits: arbiter.AskID to chan arbiter.Result, of room for one. Whoever takes one out has the last word.
	answers sync.Map
	last    atomic.Uint64
}

func newArbiterLoop(m *Mesh, followed *placings) *arbiterLoop {
	l := &arbiterLoop{mesh: m, events: make(chan arbiter.Event, arbiterEvents), placings: followed, stopped: make(chan struct{})}
	l.news.wake = make(chan struct{}, 1)
	l.machine = arbiter.New(arbiter.Config{
		Self: m.config.HostID,
		View: func() *members.View { return m.peers.View() },
		Copies: func(key uint64, into []residency.Copy) []residency.Copy {
			return m.peers.Table().Copies(key, into)
		},
		Failure:        func(key uint64, host string) *syncv1.Failure { return m.peers.Failure(key, host) },
		Place:          m.deps.Place,
		ScaleDownAfter: m.config.ScaleDownAfter,
	})
	return l
}

// run decides until ctx ends. An error is a defect of ours.
func (l *arbiterLoop) run(ctx context.Context) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer l.workers.Wait()
	defer close(l.stopped)
	defer cancel()
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("run arbiter: defect: %v\n%s", r, debug.Stack())
		}
	}()
	select {
	case <-l.mesh.peers.Synced():
	case <-ctx.Done():
		return nil
	}
	l.ready.Store(true)
	l.mesh.figures.changed()
	l.news.viewChanged()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case event := <-l.events:
			l.step(ctx, timer, event)
		case <-l.news.wake:
			for _, event := range l.news.take() {
				l.step(ctx, timer, event)
			}
		case <-timer.C:
			l.step(ctx, timer, arbiter.Tick{})
		case <-ctx.Done():
			return nil
		}
	}
}

func (l *arbiterLoop) step(ctx context.Context, timer *time.Timer, event arbiter.Event) {
	for _, effect := range l.machine.Step(time.Now(), event) {
		switch effect := effect.(type) {
		case arbiter.Answer:
			l.answer(effect)
		case arbiter.Reserve:
			l.placings.sent(effect)
			l.workers.Go(func() { l.post(ctx, l.mesh.reserve(ctx, effect)) })
		case arbiter.Release:
			l.workers.Go(func() { l.post(ctx, l.mesh.release(ctx, effect)) })
		case arbiter.Note:
			l.mesh.deps.Note(effect.Decision, effect.Effect)
		case arbiter.SetTimer:
			if effect.At.IsZero() {
				timer.Stop()
			} else {
				timer.Reset(time.Until(effect.At))
			}
		}
	}
	l.follow(event)
}

// follow notes what has come of placements that the event is about. It comes after what the machine has to note itself.
func (l *arbiterLoop) follow(event arbiter.Event) {
	var keys []uint64
	switch event := event.(type) {
	case arbiter.Reserved:
		if key, granted := l.placings.answered(event); granted {
			keys = []uint64{key}
		}
	case arbiter.CopiesChanged:
		keys = event.Keys
	}
	var room [8]residency.Copy
	for _, key := range keys {
		decision, note := l.placings.look(key, l.mesh.peers.Table().Copies(key, room[:0]), func(host string) *syncv1.Failure {
			return l.mesh.peers.Failure(key, host)
		})
		if note != "" {
			l.mesh.deps.Note(decision, note)
		}
	}
}

// post hands an event to the loop; false when the loop has ended or ctx has.
func (l *arbiterLoop) post(ctx context.Context, event arbiter.Event) bool {
	select {
	case l.events <- event:
		return true
	case <-l.stopped:
	case <-ctx.Done():
	}
	return false
}

func (l *arbiterLoop) answer(effect arbiter.Answer) {
	for _, id := range effect.Asks {
		if waiting, ok := l.answers.LoadAndDelete(id); ok {
			waiting.(chan arbiter.Result) <- effect.Result
		}
	}
}

// ask has the machine decide, and waits for that; false when ctx or the loop ended before.
func (l *arbiterLoop) ask(ctx context.Context, asked arbiter.PlaceAsked) (arbiter.Result, bool) {
	asked.Ask = arbiter.AskID(l.last.Add(1))
	result := make(chan arbiter.Result, 1)
	l.answers.Store(asked.Ask, result)
	defer l.answers.Delete(asked.Ask)
	if !l.post(ctx, asked) {
		return arbiter.Result{}, false
	}
	select {
	case r := <-result:
		return r, true
	case <-ctx.Done():
	case <-l.stopped:
	}
	return arbiter.Result{}, false
}

// news is what has changed since the loop last looked. Bursts coalesce, so that nobody who tells of a change waits for the
// loop, and what is kept is bounded by the models there are.
type news struct {
	// wake holds one token when there is something new.
	wake chan struct{}

	mu      sync.Mutex // guards below
	view    bool
	keys    map[uint64]struct{}
	upserts map[string]*syncv1.Model
	removed map[string]struct{}
}

func (n *news) viewChanged() {
	n.mu.Lock()
	n.view = true
	n.mu.Unlock()
	n.signal()
}

func (n *news) copiesChanged(keys []uint64) {
	n.mu.Lock()
	if n.keys == nil {
		n.keys = make(map[uint64]struct{}, len(keys))
	}
	for _, key := range keys {
		n.keys[key] = struct{}{}
	}
	n.mu.Unlock()
	n.signal()
}

func (n *news) catalogChanged(upserts []*syncv1.Model, removed []string) {
	n.mu.Lock()
	if n.upserts == nil {
		n.upserts, n.removed = make(map[string]*syncv1.Model, len(upserts)), make(map[string]struct{})
	}
	for _, row := range upserts {
		n.upserts[row.GetId()] = row
		delete(n.removed, row.GetId())
	}
	for _, id := range removed {
		delete(n.upserts, id)
		n.removed[id] = struct{}{}
	}
	n.mu.Unlock()
	n.signal()
}

func (n *news) signal() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// take answers what is new, the catalog first: what is said of models is said of those in it.
func (n *news) take() (events []arbiter.Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.upserts)+len(n.removed) > 0 {
		events = append(events, arbiter.CatalogChanged{
			Upserts: slices.Collect(maps.Values(n.upserts)), Removed: slices.Collect(maps.Keys(n.removed)),
		})
		n.upserts, n.removed = nil, nil
	}
	if n.view {
		events = append(events, arbiter.ViewChanged{})
		n.view = false
	}
	if len(n.keys) > 0 {
		events = append(events, arbiter.CopiesChanged{Keys: slices.Collect(maps.Keys(n.keys))})
		n.keys = nil
	}
	return events
}
