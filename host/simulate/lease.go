package simulate

import (
	"slices"
	"strings"
	"time"

	"github.com/wasmesh/wasmesh/host/lifecycle/machine"
	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/host/route"
)

// served is a loaded copy as requests find it, with the gate before it if it takes so many requests at once, as in package
// lifecycle.
type served struct {
	*modelcache.Copy
	model *model
	gauge gauge
	// limit is 0 for none; bound is how many may wait.
	limit, bound int
	inside       int
	queue        []*place
}

// place is a request in the queue before a copy. The copy has been acquired for it.
type place struct {
	// turn is told true when it may go in, and false when the copy is gone.
	turn func(bool)
}

func newServed(p machine.Publish, m *model) *served {
	return &served{Copy: p.Copy, model: m, limit: p.MaxConcurrency, bound: max(16, 8*p.MaxConcurrency)}
}

// serve has requests find a copy, and unserve lets them find it no more.
func (e *executor) serve(s *served) {
	name := s.model.spec.Name
	e.served[name] = s
	i, _ := e.placeOf(name)
	e.inOrder = slices.Insert(e.inOrder, i, s)
}

func (e *executor) unserve(s *served) {
	name := s.model.spec.Name
	delete(e.served, name)
	if i, found := e.placeOf(name); found {
		e.inOrder = slices.Delete(e.inOrder, i, i+1)
	}
	s.turnAway()
}

func (e *executor) placeOf(name string) (int, bool) {
	return slices.BinarySearchFunc(e.inOrder, name, func(s *served, name string) int { return strings.Compare(s.model.spec.Name, name) })
}

// leave lets the next one in.
func (s *served) leave() {
	s.inside--
	if s.limit > 0 && len(s.queue) > 0 {
		first := s.queue[0]
		s.queue = s.queue[1:]
		s.inside++
		first.turn(true)
	}
}

// turnAway tells everybody in the queue that the copy is gone.
func (s *served) turnAway() {
	queue := s.queue
	s.queue = nil
	for _, p := range queue {
		p.turn(false)
	}
}

// lease keeps a copy from being unloaded while a request uses it.
type lease struct {
	executor *executor
	on       *served
	// done is for whoever counts.
	done func()
}

func (l *lease) release() {
	l.on.leave()
	l.executor.release(l.on.Copy)
	if l.done != nil {
		l.done()
	}
}

func (e *executor) release(c *modelcache.Copy) {
	if !c.Release() || e.idle {
		return
	}
	e.idle = true
	e.host.plan(0, func() {
		e.idle = false
		e.step(machine.Idle{})
	})
}

// tryAcquire takes a lease if the model is loaded and the copy takes one more.
func (e *executor) tryAcquire(model string) *lease {
	found := e.served[model]
	if found == nil || found.limit > 0 && found.inside >= found.limit || !found.Acquire(e.host.now()) {
		return nil
	}
	found.inside++
	return &lease{executor: e, on: found}
}

// joining is a request that waits at a host for a copy there.
type joining struct {
	executor *executor
	model    string
	// done is nil once it has run, or the request has left.
	done func(*lease, *route.NotHere)
	// quit leaves what it waits in.
	quit func()
}

// join has a request wait for a model that is here, or on its way here. done runs once, unless the request leaves first.
func (e *executor) join(model string, done func(*lease, *route.NotHere)) (leave func()) {
	j := &joining{executor: e, model: model, done: done}
	j.enter()
	return func() {
		if j.done != nil {
			j.done = nil
			j.quit()
		}
	}
}

func (j *joining) end(l *lease, why *route.NotHere) {
	done := j.done
	j.done = nil
	done(l, why)
}

// enter takes the copy that is loaded, or waits for one.
func (j *joining) enter() {
	e := j.executor
	found := e.served[j.model]
	switch {
	case found == nil:
		j.await()
	case found.limit > 0 && found.inside >= found.limit && len(found.queue) >= found.bound:
		j.end(nil, notHere(machine.Loaded, nil, route.Errorf(route.QueueFull, "model queue overload")))
	case !found.Acquire(e.host.now()):
		j.await()
	default:
		j.pass(found)
	}
}

// pass waits for the turn of a request for which the copy has been acquired.
func (j *joining) pass(found *served) {
	e := j.executor
	if found.limit == 0 || found.inside < found.limit {
		found.inside++
		j.end(&lease{executor: e, on: found}, nil)
		return
	}
	p := &place{}
	p.turn = func(mine bool) {
		if mine {
			j.end(&lease{executor: e, on: found}, nil)
			return
		}
		e.release(found.Copy)
		j.enter()
	}
	found.queue = append(found.queue, p)
	j.quit = func() {
		if i := slices.Index(found.queue, p); i >= 0 {
			found.queue = slices.Delete(found.queue, i, i+1)
		}
		e.release(found.Copy)
	}
}

// await waits for the machine.
func (j *joining) await() {
	e := j.executor
	e.last++
	id := machine.WaiterID(e.last)
	e.waiters[id] = func(w machine.Wake) {
		if w.Copy == nil {
			j.end(nil, notHere(w.State, w.Failure, w.Err))
			return
		}
		found := e.served[j.model]
		if found == nil || found.Copy != w.Copy {
			found = &served{Copy: w.Copy, model: e.host.world.model(j.model)}
		}
		j.pass(found)
	}
	j.quit = func() {
		delete(e.waiters, id)
		e.step(machine.WaiterGone{Model: j.model, Waiter: id})
	}
	e.step(machine.Wanted{Model: j.model, Waiter: id, Join: true})
}

// tryHere takes a lease of the copy here, or says why there is none, as in package mesh.
func (m *mesh) tryHere(mo *model) (*lease, *route.NotHere) {
	e, name := m.host.exec, mo.spec.Name
	if m.host.spec.Gateway {
		return nil, &route.NotHere{Reason: route.Absent}
	}
	l := e.tryAcquire(name)
	if l == nil {
		return nil, &route.NotHere{Reason: reasonOf(e.stages[name])}
	}
	own := flight{mo.key, m.host.spec.Name}
	m.flights[own]++
	m.meter.calm = false
	l.done = func() { m.landed(own) }
	return l, nil
}

// joinHere waits for the copy here.
func (m *mesh) joinHere(mo *model, done func(*lease, *route.NotHere)) (leave func()) {
	if m.host.spec.Gateway {
		done(nil, &route.NotHere{Reason: route.Absent})
		return func() {}
	}
	own := flight{mo.key, m.host.spec.Name}
	m.flights[own]++
	m.meter.calm = false
	ended := false
	quit := m.host.exec.join(mo.spec.Name, func(l *lease, why *route.NotHere) {
		ended = true
		if l != nil {
			l.done = func() { m.landed(own) }
		} else {
			m.landed(own)
		}
		done(l, why)
	})
	return func() {
		if !ended {
			ended = true
			quit()
			m.landed(own)
		}
	}
}

// landed ends one of this host's requests at a copy.
func (m *mesh) landed(there flight) {
	if m.flights[there]--; m.flights[there] <= 0 {
		delete(m.flights, there)
	}
}

// notHere is what the executor says, as it goes over the wire.
func notHere(state machine.State, failure *machine.Failure, err *route.Error) *route.NotHere {
	reason := reasonOf(state)
	switch {
	case failure != nil:
		reason = route.Failed
	case err != nil && (err.Outcome == route.QueueFull || err.Outcome == route.CannotFit || err.Outcome == route.UnknownModel):
		reason = route.Refused
	}
	return &route.NotHere{Reason: reason, Err: err}
}

func reasonOf(state machine.State) route.Reason {
	switch state {
	case machine.Queued, machine.Estimating, machine.Pulling, machine.Loading, machine.Sizing:
		return route.Loading
	case machine.Loaded:
		return route.Busy
	case machine.Draining:
		return route.Draining
	case machine.Failed:
		return route.Failed
	}
	return route.Absent
}

// work has the runtime work on a request; done runs once, unless the host dies. False: the runtime is not there, or has lost
// the model, which the machine knows by now; the lease is over.
func (e *executor) work(r *request, l *lease, done func(route.Outcome)) bool {
	h := e.host
	if h.runtime.holds[l.on.model.spec.Name] == nil {
		if h.runtime.up {
			e.step(machine.RuntimeForgot{ID: l.on.ID()})
		}
		l.release()
		return false
	}
	w := &working{done: done}
	h.world.clients.working[h.index] = append(h.world.clients.working[h.index], w)
	h.plan(max(r.work, time.Microsecond), func() {
		h.world.clients.forget(h, w)
		l.release()
		w.end(route.Served)
	})
	return true
}

// working is a request that a runtime works on.
type working struct{ done func(route.Outcome) }

func (w *working) end(outcome route.Outcome) {
	if done := w.done; done != nil {
		w.done = nil
		done(outcome)
	}
}
