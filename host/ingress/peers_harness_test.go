package ingress

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/wasmesh/wasmesh/host/forward"
	"github.com/wasmesh/wasmesh/host/route"
)

const meshToken = "the-mesh's-own"

// here are the copies of a host for its peers: all requests get one, unless the test says otherwise.
type here struct {
	target forward.Target
	// try and join, if set, are asked first.
	try, join func(ctx context.Context, id string) error
	forgot    atomic.Bool

	suspects, joins, leases atomic.Int32
}

func (h *here) lease(id string) Lease {
	h.leases.Add(1)
	return &hereLease{h, id}
}

func (h *here) TryAcquire(id string) (Lease, error) {
	if h.try != nil {
		if err := h.try(nil, id); err != nil {
			return nil, err
		}
	}
	return h.lease(id), nil
}

func (h *here) Join(ctx context.Context, id string) (Lease, error) {
	h.joins.Add(1)
	if h.join != nil {
		if err := h.join(ctx, id); err != nil {
			return nil, err
		}
	}
	return h.lease(id), nil
}

func (h *here) Forgot(context.Context, string) bool { return h.forgot.Load() }
func (h *here) Suspect()                            { h.suspects.Add(1) }

type hereLease struct {
	here *here
	id   string
}

func (l *hereLease) Target() forward.Target { return l.here.target }
func (l *hereLease) ModelID() string        { return l.id }
func (l *hereLease) Local() bool            { return true }
func (l *hereLease) Waits() bool            { return false }
func (l *hereLease) Release()               { l.here.leases.Add(-1) }

// peerHost is a Server that other hosts pass requests on to.
type peerHost struct {
	*mesh
	here    *here
	address string
	refused chan string
	// received counts the bytes that came to the peer listener.
	received *countingListener
}

func newPeerHost(t testing.TB, config Config, target forward.Target) *peerHost {
	t.Helper()
	h := &peerHost{here: &here{target: target}, refused: make(chan string, 100)}
	h.mesh = newMeshOf(t, config, target, &Peers{
		Here:       h.here,
		CheckToken: func(token string) bool { return token == meshToken },
		Service:    http.NotFoundHandler(),
		Refused:    func(reason string) { h.refused <- reason },
	})
	h.received = &countingListener{Listener: listen(t), want: 1 << 62}
	h.address = h.received.Addr().String()
	var serving sync.WaitGroup
	serving.Go(func() { h.ServePeers(h.received) })
	t.Cleanup(func() {
		// Registered last, so it runs before the mesh's own: Shutdown is the same for all listeners.
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		h.Shutdown(ctx)
		serving.Wait()
		if n := h.here.leases.Load(); n != 0 {
			t.Errorf("%d leases for peers were not released", n)
		}
	})
	return h
}

// proxiedResults reads wasmesh_proxied_requests_total.
func (h *peerHost) proxiedResults(t testing.TB) map[string]int {
	t.Helper()
	found := map[string]int{}
	for _, metric := range h.gather(t, "wasmesh_proxied_requests_total") {
		found[metric.GetLabel()[0].GetValue()] = int(metric.GetCounter().GetValue())
	}
	return found
}

// relay are Models of a host without copies of its own: where a request goes is the test's to say.
type relay struct {
	// next answers the lease for the n-th attempt of a request, from 1; why is how the one before ended.
	next func(ctx context.Context, n int, why *route.NotHere) (Lease, error)
	// quick lets Try answer too.
	quick bool

	mu      sync.Mutex
	reasons []string // of all requests, in order
	leases  atomic.Int32
}

func (r *relay) Forgot(context.Context, string) bool { return false }
func (r *relay) Suspect()                            {}
func (r *relay) Start(Resolved) Session              { return &relaySession{relay: r} }

func (r *relay) refusals() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.reasons...)
}

type relaySession struct {
	relay *relay
	n     int
	why   *route.NotHere
}

func (s *relaySession) Try() (Lease, bool) {
	if !s.relay.quick {
		return nil, false
	}
	lease, err := s.Acquire(context.Background())
	return lease, err == nil
}

func (s *relaySession) Acquire(ctx context.Context) (Lease, error) {
	s.n++
	lease, err := s.relay.next(ctx, s.n, s.why)
	if err == nil {
		s.relay.leases.Add(1)
	}
	return lease, err
}

func (s *relaySession) Refused(_ Lease, why *route.NotHere) {
	s.why = why
	s.relay.mu.Lock()
	defer s.relay.mu.Unlock()
	s.relay.reasons = append(s.relay.reasons, why.Reason.String())
}

// at is a lease on a peer's copy.
type at struct {
	relay   *relay
	address string
	waits   bool
	token   string
}

func (l *at) Target() forward.Target {
	return forward.Target{Address: l.address, Peer: true, Header: http.Header{route.HeaderToken: {l.token}}}
}
func (l *at) ModelID() string { return "digits__isvc-1" }
func (l *at) Local() bool     { return false }
func (l *at) Waits() bool     { return l.waits }
func (l *at) Release()        { l.relay.leases.Add(-1) }

// newRelay is a host that passes every request on to hosts, in turn; the last is tried again and again.
func newRelay(t testing.TB, config Config, waits bool, hosts ...*peerHost) (*mesh, *relay) {
	t.Helper()
	r := &relay{quick: !waits}
	r.next = func(_ context.Context, n int, _ *route.NotHere) (Lease, error) {
		return &at{relay: r, address: hosts[min(n, len(hosts))-1].address, waits: waits, token: meshToken}, nil
	}
	m := newMesh(t, config, forward.Target{})
	m.models = r
	t.Cleanup(func() {
		m.Shutdown(t.Context())
		if n := r.leases.Load(); n != 0 {
			t.Errorf("%d leases on peers were not released", n)
		}
	})
	return m, r
}
