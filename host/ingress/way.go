package ingress

import (
	"context"
	"errors"
	"time"

	"github.com/wasmesh/wasmesh/host/route"
)

// way is how a request comes to its leases: the name that it gives, the session for the model behind the name, and what
// it costs while it waits.
type way struct {
	server  *Server
	rq      *request
	session Session
	// modelID is what session is for.
	modelID string
	charge  charge
}

func newWay(s *Server, rq *request) *way {
	return &way{server: s, rq: rq, charge: charge{server: s}}
}

// acquire takes the next lease on the model that the request names now. At first a loaded copy costs no wait.
func (w *way) acquire(ctx context.Context) (Lease, error) {
	first := w.session == nil
	if err := w.resolve(); err != nil {
		return nil, err
	}
	if first {
		if lease, ok := w.session.Try(); ok {
			return lease, nil
		}
	}
	if err := w.charge.take(w.rq.cost()); err != nil {
		return nil, err
	}
	w.rq.share.give()
	for {
		lease, err := w.session.Acquire(ctx)
		if err == nil {
			return w.got(ctx, lease)
		}
		gone, ok := errors.AsType[*route.Error](err)
		if !ok || gone.Outcome != route.UnknownModel {
			return nil, waitError(ctx, w.rq, err)
		}
		// The model was removed while the request waited; its alias may point elsewhere by now.
		before := w.modelID
		if unresolved := w.resolve(); unresolved != nil {
			return nil, unresolved
		}
		if w.modelID == before {
			return nil, err
		}
	}
}

// got ends the wait, unless the request goes on waiting at a peer.
func (w *way) got(ctx context.Context, lease Lease) (Lease, error) {
	if lease.Waits() {
		return lease, nil
	}
	if err := w.settle(ctx); err != nil {
		lease.Release()
		return nil, err
	}
	return lease, nil
}

// settle says that the request waits for its model no longer.
func (w *way) settle(ctx context.Context) error {
	w.charge.give()
	return w.rq.share.take(ctx)
}

// refused tells the session how its last lease ended.
func (w *way) refused(lease Lease, why *route.NotHere) { w.session.Refused(lease, why) }

// end gives back what the request holds of the budget.
func (w *way) end() { w.charge.give() }

// resolve has session be for the model behind the name.
func (w *way) resolve() error {
	resolved, err := w.server.resolve(w.rq.name)
	if err != nil {
		return err
	}
	if w.session == nil || w.modelID != resolved.ModelID {
		w.session, w.modelID = w.server.models.Start(resolved), resolved.ModelID
	}
	return nil
}

// charge is what one waiting request has of the budget.
type charge struct {
	server *Server
	cost   int64 // 0: nothing
}

// take charges the budget, unless the request is charged already.
func (c *charge) take(cost int64) error {
	if c.cost != 0 {
		return nil
	}
	if err := c.server.budget.Take(cost); err != nil {
		err.RetryAfter = time.Second
		return err
	}
	c.cost = cost
	c.server.metrics.waiting.Inc()
	return nil
}

func (c *charge) give() {
	if c.cost != 0 {
		c.server.budget.Give(c.cost)
		c.server.metrics.waiting.Dec()
		c.cost = 0
	}
}

// resolve finds the model behind a name, if this host can serve it.
func (s *Server) resolve(name string) (Resolved, error) {
	resolved, err := s.catalog.Resolve(name)
	switch {
	case err == nil && resolved.Reason != "":
		return Resolved{}, route.Errorf(route.LoadFailed, "model %s cannot be served: %s", name, resolved.Reason)
	case err == nil && resolved.NotHere != "":
		return Resolved{}, route.Errorf(route.NoHost, "model %s cannot be served here: %s", name, resolved.NotHere)
	case err == nil:
		return resolved, nil
	case err.Outcome == route.UnknownModel && !s.catalog.Ready():
		unsure := route.Errorf(route.NoHost, "this host has not received its catalog yet, so it cannot tell whether model %s exists; try again", name)
		unsure.RetryAfter = time.Second
		return Resolved{}, unsure
	default:
		return Resolved{}, err
	}
}
