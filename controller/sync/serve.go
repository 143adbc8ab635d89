package syncserver

import (
	"context"
	"errors"
	"net"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

const (
	// maxMessageBytes bounds one message from a host: a complete report of 100,000 copies is about 10 MiB.
	maxMessageBytes = 64 << 20
	// keepaliveAfter and keepaliveTimeout find a host whose machine vanished without closing its connection.
	keepaliveAfter   = 10 * time.Second
	keepaliveTimeout = 5 * time.Second
	// stopGrace is how long hosts have to take the end of their streams when the controller stops.
	stopGrace = time.Second
)

// Serve answers hosts on the listener, and keeps deadlines, until the context ends; then it ends every stream with
// UNAVAILABLE and waits for them.
func (s *Server) Serve(ctx context.Context, listener net.Listener, options ...grpc.ServerOption) error {
	server := grpc.NewServer(append(options,
		grpc.MaxRecvMsgSize(maxMessageBytes),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: keepaliveAfter, Timeout: keepaliveTimeout}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}),
	)...)
	syncv1.RegisterSyncServiceServer(server, s)
	if s.register != nil {
		s.register(server)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, grpc.ErrServerStopped) {
			return err
		}
		return nil
	})
	group.Go(func() error {
		s.keepDeadlines(ctx)
		s.stop()
		// A host that does not read cannot be told; after the grace it is cut off.
		force := time.AfterFunc(stopGrace, server.Stop)
		defer force.Stop()
		server.GracefulStop()
		s.receivers.Wait()
		return nil
	})
	return group.Wait()
}

func (s *Server) keepDeadlines(ctx context.Context) {
	for {
		s.mu.Lock()
		s.sweep()
		next := s.deadline()
		s.mu.Unlock()
		var due <-chan time.Time
		if !next.IsZero() {
			due = time.After(time.Until(next))
		}
		select {
		case <-due:
		case <-s.timer:
		case <-ctx.Done():
			return
		}
	}
}

func (s *Server) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping = true
	for stream := range s.streams {
		stream.cancel(errStopping)
	}
}

// sweep does what is due. The caller holds the lock.
func (s *Server) sweep() {
	now := time.Now()
	if s.catalog.Sweep(now, s.acknowledged) {
		s.published()
	}
	if len(s.expected) > 0 && !now.Before(s.settleBy) {
		s.logger.Warn("hosts from before the restart have not reported", "hosts", len(s.expected))
		clear(s.expected)
		signal(s.changed)
		signal(s.policiesChanged)
	}
	for key, until := range s.known {
		if !now.Before(until) {
			delete(s.known, key)
			if h := s.hosts[key]; h != nil && h.stream == nil {
				h.empty()
			}
			signal(s.changed)
		}
	}
	s.forgetGone(now)
}

// advance does what an event has made due, and lets keepDeadlines look again. The caller holds the lock.
func (s *Server) advance() {
	s.sweep()
	signal(s.timer)
}

// deadline is when sweep has something to do next; zero for never. The caller holds the lock.
func (s *Server) deadline() time.Time {
	earliest := s.catalog.Deadline()
	consider := func(at time.Time) {
		if earliest.IsZero() || at.Before(earliest) {
			earliest = at
		}
	}
	if len(s.expected) > 0 {
		consider(s.settleBy)
	}
	for _, until := range s.known {
		consider(until)
	}
	if !s.forgetAt.IsZero() {
		consider(s.forgetAt)
	}
	return earliest
}

// cause is the status with which a stream whose context has ended is closed.
func cause(ctx context.Context) error {
	err := context.Cause(ctx)
	if _, isStatus := status.FromError(err); isStatus {
		return err
	}
	return status.FromContextError(err).Err()
}
