package ingress

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"

	"github.com/wasmesh/wasmesh/host/forward"
)

// Defaults of Config.
const (
	// DefaultMaxMessageBytes is ModelMesh's grpcMaxMessageSizeBytes.
	DefaultMaxMessageBytes = 16 << 20
	// DefaultWaitingBytes lets about seven hundred large requests, or two thousand small ones, wait for loads.
	DefaultWaitingBytes = 64 << 20
	// DefaultRESTTimeout bounds a REST request, which carries no deadline of its own: longer than any usual load.
	DefaultRESTTimeout = 5 * time.Minute
)

// Config are the limits of a Server; zero values take the defaults.
type Config struct {
	// MaxMessageBytes bounds a request message, a REST body, and the answer to a REST request.
	MaxMessageBytes int64
	// WaitingBytes bounds the memory of all requests that wait for a model.
	WaitingBytes int64
	// RESTTimeout bounds a REST request.
	RESTTimeout time.Duration
	// MaxConnectionAge is when a gRPC connection is closed gracefully, so that clients that resolved the service once
	// find new hosts; zero is never.
	MaxConnectionAge time.Duration
	// PeerTLS is what to connect with to the host of this id; nil is plain text.
	PeerTLS func(host string) *tls.Config
	// AccessLog has a line logged for each request to a model that came here first.
	AccessLog bool
	// Version is what server metadata says.
	Version string
}

// Deps are what a Server works with.
type Deps struct {
	Catalog Catalog
	Models  Models
	// Peers is nil for a host that is alone.
	Peers *Peers
	Log   *slog.Logger
	// Metrics is where the request metrics are registered.
	Metrics prometheus.Registerer
}

// Server answers clients. Make it with New, give it listeners, end it with Shutdown.
type Server struct {
	config    Config
	catalog   Catalog
	models    Models
	peers     *Peers
	log       *slog.Logger
	metrics   *metrics
	methods   map[string]method
	budget    *Budget
	forwarder *forward.Forwarder
	copies    sync.Pool // *[]byte, for answers on their way
	decoding  *decodeLimit

	grpcServer *http.Server
	restServer *http.Server
	peerServer *http.Server
	local      *grpc.Server

	// base is what all requests' contexts come from; breakOff ends it when Shutdown is out of time.
	base     context.Context
	breakOff context.CancelFunc
	// service is what calls of Peers.Service live within; endService ends them.
	service    context.Context
	endService context.CancelFunc

	// drainingSince is nil while the server does not drain; drained is closed after it was set.
	drainingSince atomic.Pointer[time.Time]
	drained       chan struct{}
	// turningAway: what peers pass on is not taken any more.
	turningAway atomic.Bool
	// handlers and proxied count the requests to models that are being handled: those of clients, and of peers.
	handlers, proxied handlers
}

// New makes a Server.
func New(config Config, deps Deps) *Server {
	if config.MaxMessageBytes == 0 {
		config.MaxMessageBytes = DefaultMaxMessageBytes
	}
	if config.WaitingBytes == 0 {
		config.WaitingBytes = DefaultWaitingBytes
	}
	if config.RESTTimeout == 0 {
		config.RESTTimeout = DefaultRESTTimeout
	}
	budget := NewBudget(config.WaitingBytes)
	s := &Server{
		config:    config,
		catalog:   deps.Catalog,
		models:    deps.Models,
		peers:     deps.Peers,
		log:       deps.Log,
		methods:   namedMethods(),
		budget:    budget,
		forwarder: forward.New(forward.Config{MaxMessageBytes: config.MaxMessageBytes, Memory: budget, PeerTLS: config.PeerTLS}),
		copies:    sync.Pool{New: func() any { b := make([]byte, copyBytes); return &b }},
		decoding:  newDecodeLimit(config.MaxMessageBytes),
		drained:   make(chan struct{}),
	}
	s.base, s.breakOff = context.WithCancel(context.Background())
	s.service, s.endService = context.WithCancel(s.base)
	s.metrics = newMetrics(deps.Metrics, budget)
	s.local = s.newLocal()
	s.grpcServer = s.newGRPCServer()
	s.restServer = s.newRESTServer()
	s.peerServer = s.newPeerServer()
	return s
}

// Ready reports whether clients should be sent here.
func (s *Server) Ready() bool { return s.catalog.Ready() && s.drainingSince.Load() == nil }

// GRPCProtocols and RESTProtocols are what the listeners speak, in ALPN's spelling, for those that are TLS: they must be
// crypto/tls's own.
func GRPCProtocols() []string { return []string{"h2"} }

// RESTProtocols see GRPCProtocols.
func RESTProtocols() []string { return []string{"h2", "http/1.1"} }

// ServeGRPC answers gRPC clients on listener until Shutdown; then it returns nil.
func (s *Server) ServeGRPC(listener net.Listener) error { return serve(s.grpcServer, listener) }

// ServeREST answers REST clients on listener until Shutdown; then it returns nil.
func (s *Server) ServeREST(listener net.Listener) error { return serve(s.restServer, listener) }

func serve(server *http.Server, listener net.Listener) error {
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Drain makes the server not ready, and has every connection closed gracefully with the next answer on it; those that are
// opened after it, when they are drainingConnectionAge old. Requests are still served.
func (s *Server) Drain() {
	if now := time.Now(); s.drainingSince.CompareAndSwap(nil, &now) {
		close(s.drained)
	}
}

// Forget lets go of a peer that has left or is not heard of any more, by the Address of its Target. What waits there goes
// elsewhere; what may be at work there goes on.
func (s *Server) Forget(address string) { s.forwarder.Forget(address) }

// Shutdown drains, takes no more connections, sends GOAWAY on those there are, and waits for the requests in flight until
// ctx ends, which breaks them off: first for those of clients, some of which may be at peers, then for those of peers, which
// are sent elsewhere from then on. When it returns, no request to a model is being handled and every lease is released.
func (s *Server) Shutdown(ctx context.Context) error {
	s.Drain()
	err := errors.Join(s.shutdownClients(ctx), s.shutdownPeers(ctx))
	if err != nil {
		// Out of time. Closing its connection ends most requests, but not one behind which the client has sent another.
		s.breakOff()
		for _, server := range []*http.Server{s.grpcServer, s.restServer, s.peerServer} {
			server.Close()
		}
	}
	<-s.handlers.idle()
	<-s.proxied.idle()
	s.breakOff()
	s.local.Stop()
	s.forwarder.Close()
	return err
}

func (s *Server) shutdownClients(ctx context.Context) (err error) {
	servers := []*http.Server{s.grpcServer, s.restServer}
	done := make(chan error, len(servers))
	for _, server := range servers {
		go func() { done <- server.Shutdown(ctx) }()
	}
	for range servers {
		err = errors.Join(err, <-done)
	}
	return err
}

// shutdownPeers ends the other calls of peers, which do not end by themselves, once no request of theirs is left.
func (s *Server) shutdownPeers(ctx context.Context) error {
	s.turningAway.Store(true)
	done := make(chan error, 1)
	go func() { done <- s.peerServer.Shutdown(ctx) }()
	select {
	case <-s.proxied.idle():
	case <-ctx.Done():
	}
	s.endService()
	return <-done
}

// baseContext is for net/http: what the contexts of a listener's requests come from.
func (s *Server) baseContext(net.Listener) context.Context { return s.base }

// handlers counts the requests that are being handled.
type handlers struct {
	mu    sync.Mutex
	count int
	// done is closed when count has come down to 0; nil when nobody waits.
	done chan struct{}
}

func (h *handlers) begin() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.count++
}

func (h *handlers) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.count--; h.count == 0 && h.done != nil {
		close(h.done)
		h.done = nil
	}
}

// idle is closed when none is left.
func (h *handlers) idle() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.done != nil {
		return h.done
	}
	done := make(chan struct{})
	if h.count == 0 {
		close(done)
	} else {
		h.done = done
	}
	return done
}
