package mesh

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/wasmesh/wasmesh/host/arbiter"
	"github.com/wasmesh/wasmesh/host/members"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

const (
	// placeTimeout is how long one arbiter has: a decision takes a few round trips, and one that is slower is passed over.
	placeTimeout = 2 * time.Second
	// askAgain is the pause before the arbiters are asked again when none of them would decide; a change in the mesh ends
	// it early.
	askAgain = 100 * time.Millisecond
	// askTimeout bounds all of it, whoever still waits.
	askTimeout = 15 * time.Second
)

// asks are the questions to arbiters that are under way. All requests of this host that wait for one model share one.
type asks struct {
	mesh *Mesh

	mu     sync.Mutex // guards below
	flying map[string]*flyingAsk
}

// flyingAsk is one. result is set when done is closed.
type flyingAsk struct {
	done   chan struct{}
	result arbiter.Result
}

// question is what arbiters are asked.
type question struct {
	row     *syncv1.Model
	purpose policyabi.Purpose
	exclude []string
}

// name tells questions apart.
func (q question) name() string {
	excluded := slices.Sorted(slices.Values(q.exclude))
	return q.row.GetId() + "\x00" + string(rune(q.purpose)) + "\x00" + strings.Join(excluded, "\x00")
}

// place has the model's arbiter decide. The error is ctx's: what was asked goes on for whoever else waits, and comes to its
// end by itself.
func (a *asks) place(ctx context.Context, q question) (arbiter.Result, error) {
	name := q.name()
	a.mu.Lock()
	flying := a.flying[name]
	if flying == nil {
		flying = &flyingAsk{done: make(chan struct{})}
		a.flying[name] = flying
		a.mesh.workers.Go(func() {
			ctx, cancel := context.WithTimeout(a.mesh.base, askTimeout)
			defer cancel()
			flying.result = a.mesh.askArbiters(ctx, q)
			a.mu.Lock()
			delete(a.flying, name)
			a.mu.Unlock()
			close(flying.done)
		})
	}
	a.mu.Unlock()
	select {
	case <-flying.done:
		return flying.result, nil
	case <-ctx.Done():
		return arbiter.Result{}, ctx.Err()
	}
}

// askArbiters asks them in order until one decides, and again when something has changed.
func (m *Mesh) askArbiters(ctx context.Context, q question) arbiter.Result {
	key := m.key(q.row.GetId())
	last := unplaced(peerv1.UnplacedReason_UNPLACED_REASON_NO_HOST, askAgain, "no live host has a runtime for model "+q.row.GetId())
	for {
		moved := m.whenMoved()
		arbiters := m.peers.View().Arbiters(key, q.row.GetRuntimes())
		if len(arbiters) == 0 {
			return last
		}
		var passed []string
		for _, a := range arbiters {
			result, decided := m.askOne(ctx, a, q, passed)
			if decided {
				return result
			}
			passed = append(passed, a.ID)
		}
		last = unplaced(peerv1.UnplacedReason_UNPLACED_REASON_NOT_ARBITER, askAgain,
			"no host decides where model "+q.row.GetId()+" goes at the moment: "+strings.Join(passed, ", ")+" did not answer or have just come")
		if !pause(ctx, moved, askAgain) {
			return last
		}
	}
}

// askOne reports false for an arbiter that did not decide: the next is to be asked.
func (m *Mesh) askOne(ctx context.Context, a *members.Member, q question, passed []string) (arbiter.Result, bool) {
	ctx, cancel := context.WithTimeout(ctx, placeTimeout)
	defer cancel()
	started := time.Now()
	request := &peerv1.PlaceRequest{
		ModelId: q.row.GetId(), CatalogVersion: m.deps.Catalog.Table().Version(), Exclude: q.exclude,
		Purpose: peerv1.Purpose(q.purpose), Asker: m.config.HostID, PassedOver: passed,
	}
	var response *peerv1.PlaceResponse
	var err error
	if a.ID == m.config.HostID {
		response, err = m.Place(ctx, request)
	} else if client, unreachable := m.peers.Client(a.ID); unreachable != nil {
		err = unreachable
	} else {
		response, err = client.Place(ctx, request)
	}
	result := resultOf(response)
	decided := err == nil && (result.Placed != nil || !undecided(result.Unplaced.Reason))
	m.metrics.asked(q.purpose, result, decided, time.Since(started))
	if err != nil {
		m.deps.Logger.Debug("arbiter did not answer", "arbiter", a.ID, "model", q.row.GetId(), "error", err)
	}
	return result, decided
}

// undecided reports whether the next arbiter is to be asked.
func undecided(reason peerv1.UnplacedReason) bool {
	switch reason {
	case peerv1.UnplacedReason_UNPLACED_REASON_UNSPECIFIED, peerv1.UnplacedReason_UNPLACED_REASON_NOT_ARBITER,
		peerv1.UnplacedReason_UNPLACED_REASON_STALE:
		return true
	}
	return false
}

// pause waits for so long, or until early is closed; false when ctx ends first.
func pause(ctx context.Context, early <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-early:
		return true
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
