// Package fake is an inference server whose behaviour a test or an operator writes down: how long a load takes, whether
// it fails, how large a model is, how long a request takes. It speaks mmesh.ModelRuntime and the Open Inference Protocol
// on one gRPC port and echoes what it is sent, so that the mesh can be tried without a model or Python.
//
// Each model is programmed by its own artifact, see Artifact; Config holds for all; the methods of Server steer a
// server in the same process. Two mistakes of a host are counted, not hidden: loads beyond the capacity, and unloads of
// a model that is serving.
//
// The program is cmd/fake-runtime; the host drives it with runtimes/spi.
package fake

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/wasmesh/wasmesh/sdk/proto/inference"
	"github.com/wasmesh/wasmesh/sdk/proto/mmesh"
)

const (
	// DefaultMaxMessageBytes bounds a request and an answer.
	DefaultMaxMessageBytes = 64 << 20
	// DefaultModelBytes is the size of a model that does not say its own.
	DefaultModelBytes = 1 << 20
	// Version is what the server says of itself.
	Version = "fake-1"
)

// Config programs a server as a whole. The zero value loads at once, answers at once and has no bound on memory.
type Config struct {
	// Name is told in every answer as parameter "server", so that a client sees which copy served it. Default "pid-<pid>".
	Name string
	// CapacityBytes is stated in the status; a load beyond it fails with RESOURCE_EXHAUSTED. 0 states none, and nothing is
	// refused.
	CapacityBytes int64
	// MaxLoadingConcurrency is stated in the status, and further loads wait. 0 is no bound.
	MaxLoadingConcurrency int
	// LoadTimeout and DefaultModelBytes are stated in the status. A model without a size of its own takes
	// DefaultModelBytes, or the constant of that name if 0.
	LoadTimeout       time.Duration
	DefaultModelBytes int64
	// LoadDelay and ServiceTime hold for models whose artifact does not say.
	LoadDelay, ServiceTime time.Duration
	// MaxMessageBytes bounds a request and an answer; 0 is DefaultMaxMessageBytes.
	MaxMessageBytes int
	// Crash is what an artifact with crash_on_load does. Default: Server.Kill.
	Crash func()
}

// Server is a running fake. It is safe for concurrent use.
type Server struct {
	config   Config
	grpc     *grpc.Server
	listener net.Listener
	served   chan struct{} // closed when no connection is accepted any more

	// loads holds a token for each load under way, when bounded.
	loads chan struct{}
	// large holds a token for each request that is being read, or was read and is large.
	large chan struct{}

	mu      sync.Mutex
	changed sync.Cond // broadcast when models change
	models  map[string]*model
	calls   Calls
	steer   steering
}

// model is a model in memory, or on its way there.
type model struct {
	artifact Artifact
	bytes    int64
	loaded   bool
	inFlight int
	// began and ended are of the load.
	began, ended time.Time
	// cancel ends the load; done is closed when the load has ended, either way.
	cancel context.CancelFunc
	done   chan struct{}
}

// Listen starts a server on "host:port" (port 0 picks a free one) or "unix:/path". Stop or Kill ends it.
func Listen(address string, config Config) (*Server, error) {
	network := "tcp"
	if len(address) > 5 && address[:5] == "unix:" {
		network, address = "unix", address[5:]
	}
	listener, err := net.Listen(network, address)
	if err != nil {
		return nil, fmt.Errorf("start fake inference server: %w", err)
	}
	return serve(listener, config), nil
}

func serve(listener net.Listener, config Config) *Server {
	if config.Name == "" {
		config.Name = fmt.Sprintf("pid-%d", os.Getpid())
	}
	if config.DefaultModelBytes == 0 {
		config.DefaultModelBytes = DefaultModelBytes
	}
	if config.MaxMessageBytes == 0 {
		config.MaxMessageBytes = DefaultMaxMessageBytes
	}
	s := &Server{
		config:   config,
		listener: listener,
		served:   make(chan struct{}),
		large:    make(chan struct{}, largeRequests),
		models:   make(map[string]*model),
	}
	s.changed.L = &s.mu
	if config.MaxLoadingConcurrency > 0 {
		s.loads = make(chan struct{}, config.MaxLoadingConcurrency)
	}
	s.grpc = grpc.NewServer(
		grpc.MaxRecvMsgSize(config.MaxMessageBytes),
		grpc.MaxSendMsgSize(config.MaxMessageBytes),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.StaticStreamWindowSize(streamWindow),
		grpc.StaticConnWindowSize(connectionWindow),
	)
	mmesh.RegisterModelRuntimeServer(s.grpc, &modelRuntime{server: s})
	s.grpc.RegisterService(inferenceService(), &inferenceServer{server: s})
	go func() {
		defer close(s.served)
		_ = s.grpc.Serve(listener) // ends with Stop or Kill, and tells nothing else
	}()
	return s
}

// Address is where the server listens: "host:port" or "unix:/path".
func (s *Server) Address() string {
	address := s.listener.Addr()
	if address.Network() == "unix" {
		return "unix:" + address.String()
	}
	return address.String()
}

// Stop lets requests in flight end until ctx does, then ends the rest. Loads are given up.
func (s *Server) Stop(ctx context.Context) {
	s.mu.Lock()
	for _, m := range s.models {
		m.cancel()
	}
	s.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.grpc.GracefulStop()
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		s.grpc.Stop()
		<-ended
	}
	<-s.served
}

// Kill drops every connection at once, as the end of a process would; afterwards the Server is of no use. It does not wait
// for handlers.
func (s *Server) Kill() {
	s.mu.Lock()
	for _, m := range s.models {
		m.cancel()
	}
	s.mu.Unlock()
	s.grpc.Stop()
	<-s.served
}

var (
	_ mmesh.ModelRuntimeServer             = (*modelRuntime)(nil)
	_ inference.GRPCInferenceServiceServer = (*inferenceServer)(nil)
)
