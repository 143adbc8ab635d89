package mesh

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wasmesh/wasmesh/host/lifecycle"
	"github.com/wasmesh/wasmesh/host/peers/residency"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

const (
	// DefaultDrainTimeout is room for handing over some hundred copies, eight at a time, within the grace period that a
	// pod is given.
	DefaultDrainTimeout = 2 * time.Minute
	// handovers is how many copies are handed over at once: hosts load few at a time, and queues should stay short.
	handovers = 8
	// inUseWithin: a copy that has answered a request within it is handed over.
	inUseWithin = time.Hour
	// handoverAgain is the pause before a copy that nobody took is tried again, and before its whereabouts are looked at.
	handoverAgain = 500 * time.Millisecond
	// maxHandoverFailures is on how many hosts a model may fail before it is left behind: three say more of the model than of
	// hosts.
	maxHandoverFailures = 3
)

// drain is how far this host is with leaving.
type drain struct {
	// begun: it hands its copies over.
	begun atomic.Bool

	mu sync.Mutex // guards below
	// done are the models that need no more care: moved, or stranded.
	done     map[string]bool
	progress *syncv1.Draining
}

// HandOver has the copies in use here loaded elsewhere: those used within the last hour, pinned ones and those of models
// that are to have copies always, the most recently used first. Until then, and after, this host serves all that it has,
// and others send their requests elsewhere if they can. It returns when every one of them is loaded elsewhere or nobody
// can take it, when timeout (0 is the host's own setting) has passed, or when ctx ends.
func (m *Mesh) HandOver(ctx context.Context, timeout time.Duration) {
	if timeout <= 0 {
		timeout = m.config.DrainTimeout
	}
	started := time.Now()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	m.drain.mu.Lock()
	m.drain.done = make(map[string]bool)
	m.drain.progress = &syncv1.Draining{StartedMs: started.UnixMilli(), DeadlineMs: started.Add(timeout).UnixMilli()}
	m.drain.mu.Unlock()
	m.drain.begun.Store(true)
	m.figures.publish(m)
	m.noteDrain(func(*syncv1.Draining) {})
	if m.executor == nil {
		return
	}
	if err := m.executor.SetDraining(ctx, true); err != nil {
		m.deps.Logger.Warn("lifecycle does not know that this host leaves", "error", err)
	}
	m.deps.Logger.Info("handing copies over", "within", timeout)
	// What is loaded for requests meanwhile is handed over in another round.
	for {
		copies := m.inUse(time.Now())
		if len(copies) == 0 {
			break
		}
		m.handOver(ctx, copies)
		if ctx.Err() != nil {
			break
		}
	}
	m.drain.mu.Lock()
	p := m.drain.progress
	m.deps.Logger.Info("handed copies over", "copies", p.GetCopies(), "moved", p.GetMoved(), "stranded", p.GetStranded(),
		"took", time.Since(started).Round(time.Millisecond), "complete", ctx.Err() == nil)
	m.drain.mu.Unlock()
}

// Closing tells the controller that this host takes no more requests.
func (m *Mesh) Closing() {
	m.noteDrain(func(p *syncv1.Draining) { p.Closing = true })
}

// noteDrain changes the progress and tells of it.
func (m *Mesh) noteDrain(change func(*syncv1.Draining)) {
	m.drain.mu.Lock()
	defer m.drain.mu.Unlock()
	if m.drain.progress == nil {
		m.drain.progress = &syncv1.Draining{StartedMs: time.Now().UnixMilli()}
	}
	change(m.drain.progress)
	p := m.drain.progress
	m.metrics.drainCopies.WithLabelValues("wanted").Set(float64(p.GetCopies()))
	m.metrics.drainCopies.WithLabelValues("moved").Set(float64(p.GetMoved()))
	m.metrics.drainCopies.WithLabelValues("stranded").Set(float64(p.GetStranded()))
	m.deps.Reporter.PublishDraining(&syncv1.Draining{
		Copies: p.GetCopies(), Moved: p.GetMoved(), Stranded: p.GetStranded(), Closing: p.GetClosing(),
		StartedMs: p.GetStartedMs(), DeadlineMs: p.GetDeadlineMs(),
	})
}

// leaving is a copy that is to be handed over.
type leaving struct {
	row  *syncv1.Model
	key  uint64
	used time.Time
}

// inUse are the copies that have to be elsewhere and have not been cared for, the most recently used first.
func (m *Mesh) inUse(now time.Time) []leaving {
	var copies []leaving
	m.drain.mu.Lock()
	defer m.drain.mu.Unlock()
	m.executor.Uses(func(use lifecycle.Use) {
		row, ok := m.rows.model(use.Key)
		if !ok || m.drain.done[use.ModelID] {
			return
		}
		knobs := row.GetKnobs()
		used := use.LastUsed
		if use.InFlight+use.Waiting > 0 {
			used = now
		}
		if now.Sub(used) < inUseWithin || knobs.GetPinned() || knobs.GetMinCopies() > 0 {
			copies = append(copies, leaving{row: row, key: use.Key, used: used})
		}
	})
	slices.SortFunc(copies, func(a, b leaving) int { return b.used.Compare(a.used) })
	return copies
}

// handOver cares for these copies, several at once.
func (m *Mesh) handOver(ctx context.Context, copies []leaving) {
	m.noteDrain(func(p *syncv1.Draining) { p.Copies += uint32(len(copies)) })
	queue := make(chan leaving, len(copies))
	for _, c := range copies {
		queue <- c
	}
	close(queue)
	var workers sync.WaitGroup
	for range min(handovers, len(copies)) {
		workers.Go(func() {
			for c := range queue {
				stranded := m.handOverOne(ctx, c)
				if stranded != "" {
					m.deps.Logger.Warn("copy not handed over", "model", c.row.GetId(), "why", stranded)
				}
				m.drain.mu.Lock()
				m.drain.done[c.row.GetId()] = true
				m.drain.mu.Unlock()
				m.noteDrain(func(p *syncv1.Draining) {
					if stranded == "" {
						p.Moved++
					} else {
						p.Stranded++
					}
				})
			}
		})
	}
	workers.Wait()
}

// handOverOne returns when the model is loaded elsewhere, or says why it is not.
func (m *Mesh) handOverOne(ctx context.Context, c leaving) (stranded string) {
	var failed []string
	why := "the time for handing over is up"
	for ctx.Err() == nil {
		if _, still := m.deps.Catalog.Table().Model(c.row.GetId()); !still || m.loadedElsewhere(c.key) {
			return ""
		}
		if !m.somebodyElse(c.row.GetRuntimes(), failed) {
			return "no other host can hold it"
		}
		result, err := m.asks.place(ctx, question{
			row: c.row, purpose: policyabi.PurposeDrain, exclude: append([]string{m.config.HostID}, failed...),
		})
		switch {
		case err != nil:
		case result.Placed != nil:
			var lost string
			if lost, why = m.awaitLoaded(ctx, c.key, result.Placed.Host); lost != "" {
				if failed = append(failed, lost); len(failed) >= maxHandoverFailures {
					return why
				}
				continue
			}
			if why != "" {
				// The arbiter may see a host that this one does not, and would name it again at once, over and over.
				sleep(ctx, handoverAgain)
			}
		default:
			why = fmt.Sprintf("no host takes it: %s", result.Unplaced.Message)
			if final(result.Unplaced.Reason) {
				return why
			}
			sleep(ctx, max(handoverAgain, result.Unplaced.RetryAfter))
		}
	}
	if m.loadedElsewhere(c.key) {
		return ""
	}
	return why
}

// awaitLoaded returns when the model is loaded on a host that stays, or has no chance to be loaded on the one where it was
// placed: that is lost, then, or empty if it is worth asking again.
func (m *Mesh) awaitLoaded(ctx context.Context, key uint64, host string) (lost, why string) {
	// A reservation is published before it is granted, but the link may be slower than the answer.
	seen, since := false, time.Now()
	for {
		if m.loadedElsewhere(key) {
			return "", ""
		}
		there := residency.Absent
		for _, c := range m.copiesElsewhere(key) {
			if c.Host == host {
				there = c.State
			}
		}
		target := m.peers.View().Find(host)
		switch {
		case there == residency.Queued, there == residency.Loading:
			seen = true
		case there == residency.Failed && (seen || time.Since(since) > handoverAgain):
			why = "it failed to load on " + host
			if f := m.peers.Failure(key, host); f != nil {
				why += ": " + f.GetMessage()
			}
			return host, why
		case target == nil || !target.Live || target.Draining:
			return "", "host " + host + " has gone"
		case seen || time.Since(since) > 2*handoverAgain:
			return "", "it was not loaded on " + host
		}
		if !sleep(ctx, handoverPoll) {
			return "", "it is still being loaded on " + host
		}
	}
}

// handoverPoll is how often the whereabouts of a copy are looked at: a load takes far longer, and some eight are looked at.
const handoverPoll = 20 * time.Millisecond

// loadedElsewhere reports whether a host that stays has the model.
func (m *Mesh) loadedElsewhere(key uint64) bool {
	view := m.peers.View()
	return slices.ContainsFunc(m.copiesElsewhere(key), func(c residency.Copy) bool {
		host := view.Find(c.Host)
		return c.State == residency.Loaded && host != nil && host.Live && !host.Draining
	})
}

// somebodyElse reports whether a host that stays could hold a model of these runtimes.
func (m *Mesh) somebodyElse(runtimes, failed []string) bool {
	all := m.peers.View().All()
	for i := range all {
		h := &all[i]
		if h.ID != m.config.HostID && !h.Draining && h.Eligible(runtimes) && !slices.Contains(failed, h.ID) {
			return true
		}
	}
	return false
}

// final reports whether asking again within a drain is of no use.
func final(reason peerv1.UnplacedReason) bool {
	switch reason {
	case peerv1.UnplacedReason_UNPLACED_REASON_CANNOT_FIT, peerv1.UnplacedReason_UNPLACED_REASON_FAILED,
		peerv1.UnplacedReason_UNPLACED_REASON_ENOUGH:
		return true
	}
	return false
}

// sleep waits for so long; false when ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool { return pause(ctx, nil, d) }
