package simulate

import (
	"time"

	"github.com/wasmesh/wasmesh/host/arbiter"
	"github.com/wasmesh/wasmesh/host/route"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
)

// copyConcurrency is how many requests a copy should have at once, as in package mesh.
const copyConcurrency = 8

// awaitAtMost is the pause before a request that waits for the mesh to change looks again, as in package mesh.
const awaitAtMost = time.Second

// forgottenPause is the pause before a request is tried again whose model the runtime had lost, as in package ingress.
const forgottenPause = 20 * time.Millisecond

// session is one request at the host that its client chose: it drives the Trip, as packages ingress and mesh do.
type session struct {
	mesh    *mesh
	request *request
	trip    route.Trip
	dice    dice
	// stop gives up whatever is under way; nil for nothing.
	stop func()
	over bool
}

// flight is a copy on another host that this host has requests at.
type flight struct {
	key  uint64
	host string
}

// accept takes a client's request.
func (m *mesh) accept(r *request) *session {
	s := &session{
		mesh: m, request: r, dice: newDice(uint64(r.number), m.host.spec.Name),
		trip: route.NewTrip(route.TripConfig{Model: r.model.spec.Name, AwaitHost: m.host.spec.Gateway || !m.host.peers.arbiter}),
	}
	if !m.host.lists(r.model.spec.Name) {
		s.end(route.UnknownModel)
		return s
	}
	s.next()
	return s
}

// next does what the Trip says, until that takes time.
func (s *session) next() {
	h := s.mesh.host
	for !s.over {
		s.stop = nil
		if !h.lists(s.request.model.spec.Name) {
			s.end(route.UnknownModel)
			return
		}
		action := s.trip.Next(s.input())
		s.request.steps++
		h.world.checkTrip(s.request)
		s.request.cold = s.request.cold || action.Wait || action.Do == route.Place
		switch action.Do {
		case route.Fail:
			s.end(action.Err.Outcome)
		case route.ServeLocal:
			if !s.local(action.Wait) {
				continue
			}
		case route.Forward:
			s.forward(action.Host, action.Wait)
		case route.Place:
			s.place(action.Exclude)
		case route.Await:
			s.await()
		}
		return
	}
}

func (s *session) input() route.Input {
	h, m := s.mesh.host, s.request.model
	in := route.Input{
		View: h.peers.view, Runtimes: runtimes(), Copies: h.peers.table.Copies(m.key, nil), Self: h.spec.Name,
		LocalInFlight: s.mesh.flights[flight{m.key, h.spec.Name}], Target: copyConcurrency, Rand: s.dice.roll(),
		InFlight: func(host string) int { return s.mesh.flights[flight{m.key, host}] },
	}
	return in
}

// local serves from this host's own copy, or waits for it. False: it is not here, and the Trip knows.
func (s *session) local(wait bool) bool {
	m, r := s.mesh, s.request
	name := m.host.spec.Name
	if !wait {
		l, why := m.tryHere(r.model)
		if why != nil {
			s.trip.NotHere(name, why)
			return false
		}
		s.work(l)
		return true
	}
	// The answer may come before joinHere returns.
	waiting := true
	stop := m.joinHere(r.model, func(l *lease, why *route.NotHere) {
		waiting = false
		s.stop = nil
		if l != nil {
			s.work(l)
			return
		}
		s.trip.NotHere(name, why)
		m.host.plan(0, s.next)
	})
	if waiting {
		s.stop = stop
	}
	return true
}

// work has the runtime of this host work on it.
func (s *session) work(l *lease) {
	h := s.mesh.host
	if !h.exec.work(s.request, l, s.end) {
		s.trip.NotHere(h.spec.Name, &route.NotHere{Reason: route.Absent})
		h.plan(forgottenPause, s.next)
	}
}

// forward passes the request to another host.
func (s *session) forward(id string, wait bool) {
	h, r := s.mesh.host, s.request
	target := h.world.host(id)
	there := flight{r.model.key, id}
	s.mesh.flights[there]++
	r.touched = append(r.touched, target)
	h.world.stats.Forwards++
	h.note("forward to "+id, r.model.spec.Name, int64(r.number))
	landed := func() { s.mesh.landed(there) }
	// The message is only sent when the other host asks for it (Expect: 100-continue): what it has not heard of has not run.
	heard := false
	call := h.conns[target.index].ask(func(answer func(any)) { heard = true; target.mesh.proxied(r, wait, answer) }, func(answer any, _ error) {
		landed()
		switch answer := answer.(type) {
		case route.Outcome:
			s.end(answer)
		case *route.NotHere:
			s.trip.NotHere(id, answer)
			s.next()
		default:
			if heard { // It may have been acted on.
				s.trip.Lost(id, false)
			} else {
				s.trip.NotHere(id, &route.NotHere{Reason: route.Unreachable})
			}
			s.next()
		}
	})
	s.stop = func() {
		landed()
		call.drop()
	}
}

// proxied is the other host's part: it serves from its own copy or says that it is not here. It never forwards.
func (m *mesh) proxied(r *request, wait bool, answer func(any)) {
	serve := func(l *lease, why *route.NotHere) {
		switch {
		case l == nil:
			answer(why)
		case !m.host.exec.work(r, l, func(outcome route.Outcome) { answer(outcome) }):
			answer(&route.NotHere{Reason: route.Absent})
		}
	}
	if !wait {
		serve(m.tryHere(r.model))
		return
	}
	leave := m.joinHere(r.model, serve)
	m.host.plan(r.deadline-m.host.world.clock.now, leave)
}

// place asks the model's arbiter.
func (s *session) place(exclude []string) {
	stopped := false
	s.stop = func() { stopped = true }
	s.mesh.place(s.request.model.spec.Name, policyabi.PurposeMiss, exclude, func(result arbiter.Result) {
		if stopped || s.over {
			return
		}
		if placed := result.Placed; placed != nil {
			s.trip.Placed(placed.Host)
		} else {
			s.trip.Unplaced(result.Unplaced.Reason, route.UnplacedError(result.Unplaced.Reason, result.Unplaced.Message, result.Unplaced.RetryAfter))
		}
		s.mesh.host.plan(0, s.next)
	})
}

// await waits for the mesh to change, or for a while.
func (s *session) await() {
	once := false
	again := func() {
		if !once && !s.over {
			once = true
			s.next()
		}
	}
	s.stop = func() { once = true }
	s.mesh.moved = append(s.mesh.moved, again)
	s.mesh.host.plan(awaitAtMost, again)
}

// end answers the client.
func (s *session) end(outcome route.Outcome) {
	if s.over {
		return
	}
	s.over = true
	s.stop = nil
	if s.request.ended {
		return // Its client has gone, and this host did not know yet.
	}
	s.request.answer(outcome)
}

// abandon gives the request up: its client has gone.
func (s *session) abandon() {
	if s.over {
		return
	}
	s.over = true
	if s.stop != nil {
		s.stop()
	}
}
