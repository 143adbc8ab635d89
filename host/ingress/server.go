package ingress

import (
	"context"
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
	// DefaultWaitingBytes lets about seven hundred large requests, or several thousand small ones, wait for loads.
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
	// Version is what server metadata says.
	Version string
}

// Deps are what a Server works with.
type Deps struct {
	Catalog Catalog
	Models  Models
	Log     *slog.Logger
	// Metrics is where the request metrics are registered.
	Metrics prometheus.Registerer
}

// Server answers clients. Make it with New, give it listeners, end it with Shutdown.
type Server struct {
	config    Config
	catalog   Catalog
	models    Models
	log       *slog.Logger
	metrics   *metrics
	methods   map[string]method
	budget    *Budget
	forwarder *forward.Forwarder
	copies    sync.Pool // *[]byte, for answers on their way
	decoding  *decodeLimit

	grpcServer *http.Server
	restServer *http.Server
	local      *grpc.Server

	// base is what all requests' contexts come from; breakOff ends it when Shutdown is out of time.
	base     context.Context
	breakOff context.CancelFunc

	draining atomic.Bool
	drained  chan struct{}
	handlers handlers
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
		log:       deps.Log,
		methods:   namedMethods(),
		budget:    budget,
		forwarder: forward.New(forward.Config{MaxMessageBytes: config.MaxMessageBytes, Memory: budget}),
		copies:    sync.Pool{New: func() any { b := make([]byte, copyBytes); return &b }},
		decoding:  newDecodeLimit(config.MaxMessageBytes),
		drained:   make(chan struct{}),
	}
	s.base, s.breakOff = context.WithCancel(context.Background())
	s.metrics = newMetrics(deps.Metrics, budget)
	s.local = s.newLocal()
	s.grpcServer = s.newGRPCServer()
	s.restServer = s.newRESTServer()
	return s
}

// Ready reports whether clients should be sent here.
func (s *Server) Ready() bool { return s.catalog.Ready() && !s.draining.Load() }

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

// Drain makes the server not ready, and has every connection closed gracefully with the next answer on it. Requests
// are still served.
func (s *Server) Drain() {
	if s.draining.CompareAndSwap(false, true) {
		close(s.drained)
	}
}

// Shutdown drains, takes no more connections, sends GOAWAY on those there are, and waits for the requests in flight
// until ctx ends, which breaks them off. When it returns, no request to a model is being handled and every lease is
// released.
func (s *Server) Shutdown(ctx context.Context) error {
	s.Drain()
	servers := []*http.Server{s.grpcServer, s.restServer}
	done := make(chan error, len(servers))
	for _, server := range servers {
		go func() { done <- server.Shutdown(ctx) }()
	}
	var err error
	for range servers {
		err = errors.Join(err, <-done)
	}
	if err != nil {
		// Out of time. Closing its connection ends most requests, but not one behind which the client has sent another.
		s.breakOff()
		s.grpcServer.Close()
		s.restServer.Close()
	}
	s.handlers.wait()
	s.breakOff()
	s.local.Stop()
	s.forwarder.Close()
	return err
}

// baseContext is for net/http: what the contexts of a listener's requests come from.
func (s *Server) baseContext(net.Listener) context.Context { return s.base }

// handlers counts the requests that are being handled.
type handlers struct {
	mu    sync.Mutex
	count int
	// idle is closed when count has come down to 0; nil when nobody waits.
	idle chan struct{}
}

func (h *handlers) begin() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.count++
}

func (h *handlers) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.count--; h.count == 0 && h.idle != nil {
		close(h.idle)
		h.idle = nil
	}
}

// wait returns when none is left. It is called once, when no new ones begin.
func (h *handlers) wait() {
	h.mu.Lock()
	if h.count == 0 {
		h.mu.Unlock()
		return
	}
	idle := make(chan struct{})
	h.idle = idle
	h.mu.Unlock()
	<-idle
}
