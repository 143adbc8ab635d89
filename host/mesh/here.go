package mesh

import (
	"context"
	"errors"

	"github.com/wasmesh/wasmesh/host/forward"
	"github.com/wasmesh/wasmesh/host/ingress"
	"github.com/wasmesh/wasmesh/host/lifecycle"
	"github.com/wasmesh/wasmesh/host/lifecycle/machine"
	"github.com/wasmesh/wasmesh/host/route"
)

// Here serves requests that other hosts pass on, from the copies of this host and from no others.
type Here struct{ *Mesh }

var _ ingress.Here = Here{}

// TryAcquire implements ingress.Here.
func (h Here) TryAcquire(modelID string) (ingress.Lease, error) {
	lease, why := h.tryHere(modelID, h.key(modelID))
	if why != nil {
		return nil, why
	}
	return lease, nil
}

// Join implements ingress.Here.
func (h Here) Join(ctx context.Context, modelID string) (ingress.Lease, error) {
	lease, err := h.joinHere(ctx, modelID, h.key(modelID), false)
	if err != nil {
		return nil, err
	}
	return lease, nil
}

// hereLease is a lease of this host's own copy.
type hereLease struct {
	*lifecycle.Lease
	mesh *Mesh
	key  uint64
}

// Target implements ingress.Lease.
func (l *hereLease) Target() forward.Target { return l.mesh.runtime.Target() }

// Local implements ingress.Lease.
func (l *hereLease) Local() bool { return true }

// Waits implements ingress.Lease.
func (l *hereLease) Waits() bool { return false }

// Release implements ingress.Lease.
func (l *hereLease) Release() {
	l.Lease.Release()
	l.mesh.flights.end(l.key, l.mesh.config.HostID)
}

// absent answers for a gateway. It is not changed.
var absent = &route.NotHere{Reason: route.Absent}

// tryHere takes a lease of the copy here, or says why there is none.
func (m *Mesh) tryHere(id string, key uint64) (ingress.Lease, *route.NotHere) {
	if m.executor == nil {
		return nil, absent
	}
	held, ok := m.executor.TryAcquire(id)
	if !ok {
		return nil, &route.NotHere{Reason: reasonOf(m.executor.State(id))}
	}
	m.flights.begin(key, m.config.HostID)
	return &hereLease{held, m, key}, nil
}

// joinHere waits for the copy here; near as in lifecycle.Executor.Join. Errors are *route.NotHere, *route.Error and the context's.
func (m *Mesh) joinHere(ctx context.Context, id string, key uint64, near bool) (ingress.Lease, error) {
	if m.executor == nil {
		return nil, absent
	}
	// Who waits counts: it is going to be in the copy.
	m.flights.begin(key, m.config.HostID)
	held, err := m.executor.Join(ctx, id, near)
	if err == nil {
		return &hereLease{held, m, key}, nil
	}
	m.flights.end(key, m.config.HostID)
	if why, ok := errors.AsType[*lifecycle.NotHere](err); ok {
		return nil, m.notHere(why)
	}
	return nil, err
}

// notHere is what the executor says, as it goes over the wire.
func (m *Mesh) notHere(why *lifecycle.NotHere) *route.NotHere {
	reason := reasonOf(why.State)
	if why.Failure != nil {
		reason = route.Failed
	}
	if why.Err != nil && reason != route.Failed {
		switch why.Err.Outcome {
		case route.QueueFull, route.CannotFit, route.UnknownModel:
			reason = route.Refused
		}
	}
	return &route.NotHere{Reason: reason, Err: why.Err}
}

// reasonOf is why a request is not served by a model in this state.
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
