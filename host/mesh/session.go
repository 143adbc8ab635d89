package mesh

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/wasmesh/wasmesh/host/arbiter"
	"github.com/wasmesh/wasmesh/host/forward"
	"github.com/wasmesh/wasmesh/host/ingress"
	"github.com/wasmesh/wasmesh/host/members"
	"github.com/wasmesh/wasmesh/host/peers/residency"
	"github.com/wasmesh/wasmesh/host/route"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// longestWait bounds how long a request without a deadline waits for a host that can hold its model.
const longestWait = 5 * time.Minute

// awaitAtMost is how long a request waits for a change in the mesh before it looks again all the same.
const awaitAtMost = time.Second

// Router finds copies for requests of clients, on this host and on others.
type Router struct{ *Mesh }

var _ ingress.Models = Router{}

// Start implements ingress.Models.
func (r Router) Start(model ingress.Resolved) ingress.Session {
	m := r.Mesh
	s := &session{
		mesh: m, id: model.ModelID, key: m.key(model.ModelID),
		trip: route.NewTrip(route.TripConfig{Model: model.ModelID, AwaitHost: m.config.Gateway || !m.Synced()}),
	}
	s.copies = s.room[:0]
	return s
}

// session is one request on its way.
type session struct {
	mesh *Mesh
	id   string
	key  uint64
	trip route.Trip
	// next is what Try found that it could not do.
	next *step
	// until is for how long it waits for a host, from when it first did.
	until time.Time
	// copies is reused from step to step; room is for most models, which have fewer.
	copies []residency.Copy
	room   [4]residency.Copy
}

// step is an action and the view that it was found in.
type step struct {
	route.Action
	view *members.View
	row  *syncv1.Model
	// moved is closed when view is out of date.
	moved <-chan struct{}
}

// Try implements ingress.Session.
func (s *session) Try() (ingress.Lease, bool) {
	next, err := s.advance()
	if err != nil {
		return nil, false // Acquire says so.
	}
	if !next.Wait {
		if lease, ok := s.take(next); ok {
			return lease, true
		}
	}
	s.next = next
	return nil, false
}

// Acquire implements ingress.Session.
func (s *session) Acquire(ctx context.Context) (ingress.Lease, error) {
	for {
		next := s.next
		s.next = nil
		if next == nil {
			var err error
			if next, err = s.advance(); err != nil {
				return nil, err
			}
		}
		switch next.Do {
		case route.ServeLocal, route.Forward:
			if next.Do == route.ServeLocal && next.Wait {
				lease, err := s.join(ctx)
				if lease != nil || err != nil {
					return lease, err
				}
			} else if lease, ok := s.take(next); ok {
				return lease, nil
			}
		case route.Place:
			if err := s.place(ctx, next); err != nil {
				return nil, err
			}
		case route.Await:
			if err := s.await(ctx, next); err != nil {
				return nil, err
			}
		default:
			return nil, next.Err
		}
	}
}

// Refused implements ingress.Session.
func (s *session) Refused(lease ingress.Lease, why *route.NotHere) {
	host := s.mesh.config.HostID
	if peer, ok := lease.(*peerLease); ok {
		host = peer.host
	}
	s.trip.NotHere(host, why)
}

// advance asks the trip what to do now.
func (s *session) advance() (*step, error) {
	m := s.mesh
	row, ok := m.deps.Catalog.Table().Model(s.id)
	if !ok {
		return nil, route.Errorf(route.UnknownModel, "model %s has been removed", s.id)
	}
	moved := m.whenMoved()
	view := m.peers.View()
	s.copies = m.peers.Table().Copies(s.key, s.copies[:0])
	action := s.trip.Next(route.Input{
		View: view, Runtimes: row.GetRuntimes(), Copies: s.copies, Self: m.config.HostID,
		LocalInFlight: m.flights.of(s.key, m.config.HostID), Target: m.config.CopyConcurrency,
		InFlight: func(host string) int { return m.flights.of(s.key, host) }, Rand: rand.Uint64(),
	})
	return &step{Action: action, view: view, row: row, moved: moved}, nil
}

// take makes a lease without waiting. When there is nothing to take, the trip knows.
func (s *session) take(next *step) (ingress.Lease, bool) {
	switch next.Do {
	case route.ServeLocal:
		lease, why := s.mesh.tryHere(s.id, s.key)
		if why != nil {
			s.trip.NotHere(s.mesh.config.HostID, why)
			return nil, false
		}
		return lease, true
	case route.Forward:
		peer := next.view.Find(next.Host)
		if peer == nil {
			s.trip.NotHere(next.Host, &route.NotHere{Reason: route.Unreachable})
			return nil, false
		}
		return s.mesh.newPeerLease(peer, s.id, s.key, next.Wait), true
	}
	return nil, false
}

// join waits for the copy of this host. Neither a lease nor an error: the trip knows why, and goes on.
func (s *session) join(ctx context.Context) (ingress.Lease, error) {
	lease, err := s.mesh.joinHere(ctx, s.id, s.key, true)
	if why, ok := errors.AsType[*route.NotHere](err); ok {
		s.trip.NotHere(s.mesh.config.HostID, why)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return lease, nil
}

func (s *session) place(ctx context.Context, next *step) error {
	result, err := s.mesh.asks.place(ctx, question{row: next.row, purpose: policyabi.PurposeMiss, exclude: next.Exclude})
	switch {
	case err != nil:
		return err
	case result.Placed != nil:
		s.trip.Placed(result.Placed.Host)
	default:
		s.trip.Unplaced(result.Unplaced.Reason, unplacedError(result.Unplaced))
	}
	return nil
}

// await waits until something has changed in the mesh. Meanwhile the controller knows what is waited for.
func (s *session) await(ctx context.Context, next *step) error {
	m := s.mesh
	defer m.demand.wait(next.row.GetRuntimes())()
	now := time.Now()
	if s.until.IsZero() {
		s.until = now.Add(longestWait)
	}
	switch {
	case !now.Before(s.until):
		return next.Err
	case !pause(ctx, next.moved, min(awaitAtMost, s.until.Sub(now))):
		return ctx.Err()
	}
	return nil
}

// unplacedError is what a request hears for which no host was found.
func unplacedError(u *arbiter.Unplaced) *route.Error {
	return route.UnplacedError(u.Reason, u.Message, u.RetryAfter)
}

// peerLease is leave to send one request to another host.
type peerLease struct {
	mesh   *Mesh
	host   string
	id     string
	key    uint64
	waits  bool
	target forward.Target
}

func (m *Mesh) newPeerLease(peer *members.Member, id string, key uint64, waits bool) *peerLease {
	m.flights.begin(key, peer.ID)
	return &peerLease{
		mesh: m, host: peer.ID, id: id, key: key, waits: waits,
		target: forward.Target{Address: peer.PeerAddress, Peer: true, Host: peer.ID, Header: http.Header{route.HeaderToken: {m.peers.Token()}}},
	}
}

// Target implements ingress.Lease.
func (l *peerLease) Target() forward.Target { return l.target }

// ModelID implements ingress.Lease.
func (l *peerLease) ModelID() string { return l.id }

// Local implements ingress.Lease.
func (l *peerLease) Local() bool { return false }

// Waits implements ingress.Lease.
func (l *peerLease) Waits() bool { return l.waits }

// Release implements ingress.Lease.
func (l *peerLease) Release() { l.mesh.flights.end(l.key, l.host) }

// Forgot implements ingress.Models and ingress.Here.
func (m *Mesh) Forgot(ctx context.Context, modelID string) bool {
	return m.executor != nil && m.executor.Forgot(ctx, modelID)
}

// Suspect implements ingress.Models and ingress.Here.
func (m *Mesh) Suspect() {
	if m.executor != nil {
		m.executor.Suspect()
	}
}
