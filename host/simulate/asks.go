package simulate

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/wasmesh/wasmesh/host/arbiter"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
)

// As in package mesh.
const (
	placeTimeout = 2 * time.Second
	askAgain     = 100 * time.Millisecond
	askTimeout   = 15 * time.Second
)

// errLate ends a call that took too long.
var errLate = errors.New("the host did not answer in time")

// asking is a question to arbiters; requests that ask the same share the answer.
type asking struct {
	model    string
	purpose  policyabi.Purpose
	excluded string
}

// asked is one that is under way.
type asked struct {
	question asking
	exclude  []string
	until    time.Duration
	done     []func(arbiter.Result)
}

// place has the model's arbiter decide; done runs once.
func (m *mesh) place(model string, purpose policyabi.Purpose, exclude []string, done func(arbiter.Result)) {
	sorted := slices.Sorted(slices.Values(exclude))
	question := asking{model, purpose, strings.Join(sorted, " ")}
	if a := m.asks[question]; a != nil {
		a.done = append(a.done, done)
		return
	}
	a := &asked{question: question, exclude: sorted, until: m.host.world.clock.now + askTimeout, done: []func(arbiter.Result){done}}
	m.asks[question] = a
	m.host.note("ask "+purpose.String(), model, int64(len(exclude)))
	m.askNext(a, nil)
}

// askNext asks the first arbiter that has not been asked.
func (m *mesh) askNext(a *asked, passed []string) {
	h := m.host
	key := h.world.model(a.question.model).key
	arbiters := h.peers.view.Arbiters(key, runtimes())
	if len(arbiters) == 0 {
		m.answer(a, unplaced(peerv1.UnplacedReason_UNPLACED_REASON_NO_HOST))
		return
	}
	for _, next := range arbiters {
		if slices.Contains(passed, next.ID) {
			continue
		}
		m.askOne(a, next.ID, passed)
		return
	}
	if h.world.clock.now >= a.until {
		m.answer(a, unplaced(peerv1.UnplacedReason_UNPLACED_REASON_NOT_ARBITER))
		return
	}
	again := false
	next := func() {
		if !again {
			again = true
			m.askNext(a, nil)
		}
	}
	m.moved = append(m.moved, next)
	h.plan(askAgain, next)
}

// askOne asks one; the next is asked when that one does not decide.
func (m *mesh) askOne(a *asked, id string, passed []string) {
	h := m.host
	over := false
	timer := func() {
		if !over {
			over = true
			m.askNext(a, append(slices.Clone(passed), id))
		}
	}
	h.plan(placeTimeout, timer)
	settle := func(answer any, err error) {
		if over {
			return
		}
		result, ok := answer.(arbiter.Result)
		if err != nil || !ok || result.Unplaced != nil && undecided(result.Unplaced.Reason) {
			timer()
			return
		}
		over = true
		m.answer(a, result)
	}
	event := arbiter.PlaceAsked{
		Model: a.question.model, Purpose: a.question.purpose, Exclude: a.exclude, PassedOver: passed, Asker: h.spec.Name,
	}
	version := h.applied
	if id == h.spec.Name {
		m.asked(event, version, func(result arbiter.Result) { settle(result, nil) })
		return
	}
	target := h.world.host(id)
	h.conns[target.index].ask(func(answer func(any)) {
		target.mesh.asked(event, version, func(result arbiter.Result) { answer(result) })
	}, settle)
}

// asked is the arbiter's part.
func (m *mesh) asked(event arbiter.PlaceAsked, version int, answer func(arbiter.Result)) {
	h := m.host
	switch {
	case h.spec.Gateway || !h.peers.arbiter:
		answer(unplaced(peerv1.UnplacedReason_UNPLACED_REASON_NOT_ARBITER))
		return
	case h.applied < version || !h.lists(event.Model):
		answer(unplaced(peerv1.UnplacedReason_UNPLACED_REASON_STALE))
		return
	}
	m.lastAsk++
	event.Ask = arbiter.AskID(m.lastAsk)
	m.answers[event.Ask] = awaited{answer, h.world.clock.now}
	h.world.excluded(event.Model, event.Exclude)
	m.step(event)
}

func (m *mesh) answer(a *asked, result arbiter.Result) {
	delete(m.asks, a.question)
	if result.Placed != nil {
		m.host.note("placed on "+result.Placed.Host, a.question.model, int64(len(a.done)))
	} else {
		m.host.note("unplaced "+result.Unplaced.Reason.String(), a.question.model, int64(len(a.done)))
	}
	for _, done := range a.done {
		done(result)
	}
}

func undecided(reason peerv1.UnplacedReason) bool {
	switch reason {
	case peerv1.UnplacedReason_UNPLACED_REASON_UNSPECIFIED, peerv1.UnplacedReason_UNPLACED_REASON_NOT_ARBITER,
		peerv1.UnplacedReason_UNPLACED_REASON_STALE:
		return true
	}
	return false
}

func unplaced(reason peerv1.UnplacedReason) arbiter.Result {
	return arbiter.Result{Unplaced: &arbiter.Unplaced{Reason: reason, Message: "simulated: " + reason.String(), RetryAfter: askAgain}}
}
