// Package admin answers operators' tools and the standalone launcher (wasmesh.admin.v1): objects with their status,
// models and hosts, policies and what they decided, Events, and which runtimes must run. It reads: from the loop what was
// decided, from the sync server what hosts say. It changes two things only: which policy decides (RollbackPolicy), and
// whether a host stays (DrainHost).
package admin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/wasmesh/wasmesh/controller/decide"
	"github.com/wasmesh/wasmesh/controller/reconcile"
	syncserver "github.com/wasmesh/wasmesh/controller/sync"
	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// maxDrainTimeout is far more than any load takes; beyond, somebody took another unit.
const maxDrainTimeout = 24 * time.Hour

// Decisions is what was decided; *reconcile.Loop is one.
type Decisions interface {
	View() (*reconcile.View, <-chan struct{})
	Events(object decide.Key) []reconcile.Event
}

// Mesh is what hosts hold and say; *syncserver.Server is one.
type Mesh interface {
	Rows() []*syncv1.Row
	Hosts() []decide.Host
	Decisions(context.Context, *syncv1.DecisionsQuery) []syncserver.HostDecisions
	Drain(ctx context.Context, id string, timeout time.Duration, progress func(*syncv1.Draining) error) error
}

// Policies is what decides; *policies.Runner is one.
type Policies interface {
	List() ([]*adminv1.ListPoliciesResponse_Policy, []*adminv1.ListPoliciesResponse_Hook)
	RollBack(ctx context.Context, hook string) (string, error)
	// Recorded answers what the controller itself has decided.
	Recorded(*syncv1.DecisionsQuery) []*syncv1.Decision
}

// Config of a Server.
type Config struct {
	Decisions Decisions
	Mesh      Mesh
	Policies  Policies
}

// Server implements adminv1.AdminServiceServer.
type Server struct {
	adminv1.UnimplementedAdminServiceServer
	decisions Decisions
	mesh      Mesh
	policies  Policies
}

// New makes a Server.
func New(c Config) *Server {
	return &Server{decisions: c.Decisions, mesh: c.Mesh, policies: c.Policies}
}

// Serve answers on the listener until the context ends. Whoever may connect is trusted: in standalone mode that is the
// owner of the socket.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	server := grpc.NewServer()
	adminv1.RegisterAdminServiceServer(server, s)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, grpc.ErrServerStopped) {
			return err
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		server.Stop() // Watches have no end of their own.
		return nil
	})
	return group.Wait()
}

// view waits for the first.
func (s *Server) view(ctx context.Context) (*reconcile.View, <-chan struct{}, error) {
	for {
		view, changed := s.decisions.View()
		if view != nil {
			return view, changed, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, nil, status.FromContextError(ctx.Err()).Err()
		}
	}
}

// ListHosts implements adminv1.AdminServiceServer.
func (s *Server) ListHosts(context.Context, *adminv1.ListHostsRequest) (*adminv1.ListHostsResponse, error) {
	response := &adminv1.ListHostsResponse{}
	for _, h := range s.mesh.Hosts() {
		host := &adminv1.ListHostsResponse_Host{
			Hello: h.Hello, Connected: h.Connected, Acked: h.Acked, Load: h.Load,
			RuntimeState: h.RuntimeState, RuntimeMessage: h.RuntimeMessage, Draining: h.Draining,
		}
		if h.RuntimeMessage == "" {
			host.RuntimeMessage = demandMessage(h.Demands)
		}
		for _, c := range h.Copies {
			if c.GetState() == syncv1.CopyState_COPY_STATE_LOADED {
				host.CopiesLoaded++
			}
		}
		response.Hosts = append(response.Hosts, host)
	}
	return response, nil
}

// demandMessage tells how many requests wait at a host, and for which runtimes; "" for none.
func demandMessage(demands []*syncv1.Demand) string {
	var parts []string
	for _, d := range demands {
		if d.GetWaiting() > 0 {
			parts = append(parts, fmt.Sprintf("%d for %s", d.GetWaiting(), d.GetRuntime()))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return "requests wait: " + strings.Join(parts, ", ")
}

// DrainHost implements adminv1.AdminServiceServer.
func (s *Server) DrainHost(request *adminv1.DrainHostRequest, stream adminv1.AdminService_DrainHostServer) error {
	millis := request.GetTimeoutMs()
	if request.GetHostId() == "" || millis < 0 || millis > maxDrainTimeout.Milliseconds() {
		return status.Errorf(codes.InvalidArgument, "drain host: the id of the host is needed, and a timeout from 0 to %s", maxDrainTimeout)
	}
	var last *syncv1.Draining
	err := s.mesh.Drain(stream.Context(), request.GetHostId(), time.Duration(millis)*time.Millisecond, func(draining *syncv1.Draining) error {
		last = draining
		return stream.Send(&adminv1.DrainHostResponse{Draining: draining})
	})
	if err != nil {
		return err
	}
	return stream.Send(&adminv1.DrainHostResponse{Draining: last, Left: true})
}

// ListEvents implements adminv1.AdminServiceServer.
func (s *Server) ListEvents(_ context.Context, request *adminv1.ListEventsRequest) (*adminv1.ListEventsResponse, error) {
	if request.GetKind() == "" || request.GetName() == "" {
		return nil, status.Error(codes.InvalidArgument, "list events: kind and name of the object are needed")
	}
	key := decide.Key{Namespace: request.GetNamespace(), Kind: request.GetKind(), Name: request.GetName()}
	response := &adminv1.ListEventsResponse{}
	for _, e := range s.decisions.Events(key) {
		response.Events = append(response.Events, &adminv1.ListEventsResponse_Event{
			Type: e.Type, Reason: e.Reason, Message: e.Message, TimeMs: e.Last.UnixMilli(), Count: e.Count,
		})
	}
	return response, nil
}
