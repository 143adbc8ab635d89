package ingress

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"

	"github.com/wasmesh/wasmesh/sdk/proto/inference"
)

// serverName is what server metadata says, on gRPC and REST.
const serverName = "wasmesh"

// newLocal makes the server of the methods that the mesh answers itself. Reflection lists all of the inference
// service, so that generic clients can make requests that are then forwarded.
func (s *Server) newLocal() *grpc.Server {
	server := grpc.NewServer()
	inference.RegisterGRPCInferenceServiceServer(server, &local{server: s})
	healthv1.RegisterHealthServer(server, &health{server: s})
	reflection.Register(server)
	return server
}

// local is the inference service's part that concerns the mesh as a whole.
type local struct {
	inference.UnimplementedGRPCInferenceServiceServer
	server *Server
}

func (l *local) ServerLive(context.Context, *inference.ServerLiveRequest) (*inference.ServerLiveResponse, error) {
	return &inference.ServerLiveResponse{Live: true}, nil
}

func (l *local) ServerReady(context.Context, *inference.ServerReadyRequest) (*inference.ServerReadyResponse, error) {
	return &inference.ServerReadyResponse{Ready: l.server.Ready()}, nil
}

func (l *local) ServerMetadata(context.Context, *inference.ServerMetadataRequest) (*inference.ServerMetadataResponse, error) {
	return &inference.ServerMetadataResponse{Name: serverName, Version: l.server.config.Version}, nil
}

func (l *local) ModelReady(_ context.Context, r *inference.ModelReadyRequest) (*inference.ModelReadyResponse, error) {
	model, err := l.server.modelStatus(r.GetName())
	if err != nil {
		end := answerOf(err)
		return nil, status.Error(end.code, end.message)
	}
	return &inference.ModelReadyResponse{Ready: model.Ready}, nil
}

// modelStatus is Catalog.ModelStatus, but sure of what is unknown only once the catalog is complete.
func (s *Server) modelStatus(name string) (ModelStatus, error) {
	if model, err := s.catalog.ModelStatus(name); err == nil {
		return model, nil
	} else if s.catalog.Ready() {
		return ModelStatus{}, err
	}
	_, err := s.resolve(name)
	return ModelStatus{Reason: "this host has not received its catalog yet"}, err
}

// managed says why the repository calls are not offered.
var errManaged = status.Error(codes.Unimplemented, "the mesh loads and unloads models by itself; declare them as InferenceServices")

func (l *local) RepositoryModelLoad(context.Context, *inference.RepositoryModelLoadRequest) (*inference.RepositoryModelLoadResponse, error) {
	return nil, errManaged
}

func (l *local) RepositoryModelUnload(context.Context, *inference.RepositoryModelUnloadRequest) (*inference.RepositoryModelUnloadResponse, error) {
	return nil, errManaged
}

// health answers grpc.health.v1 from the server's readiness.
type health struct {
	healthv1.UnimplementedHealthServer
	server *Server
}

// healthPoll is how often a watch looks for a change.
const healthPoll = time.Second

func (h *health) status(service string) (healthv1.HealthCheckResponse_ServingStatus, bool) {
	switch service {
	case "", "inference.GRPCInferenceService":
	default:
		return healthv1.HealthCheckResponse_SERVICE_UNKNOWN, false
	}
	if h.server.Ready() {
		return healthv1.HealthCheckResponse_SERVING, true
	}
	return healthv1.HealthCheckResponse_NOT_SERVING, true
}

func (h *health) Check(_ context.Context, r *healthv1.HealthCheckRequest) (*healthv1.HealthCheckResponse, error) {
	state, ok := h.status(r.GetService())
	if !ok {
		return nil, status.Errorf(codes.NotFound, "unknown service %q", r.GetService())
	}
	return &healthv1.HealthCheckResponse{Status: state}, nil
}

// Watch sends the status whenever it changes. It ends when the server drains, so that it does not hold up the end.
func (h *health) Watch(r *healthv1.HealthCheckRequest, stream grpc.ServerStreamingServer[healthv1.HealthCheckResponse]) error {
	ticker := time.NewTicker(healthPoll)
	defer ticker.Stop()
	last := healthv1.HealthCheckResponse_UNKNOWN
	for {
		state, _ := h.status(r.GetService())
		if state != last {
			if err := stream.Send(&healthv1.HealthCheckResponse{Status: state}); err != nil {
				return err
			}
			last = state
		}
		select {
		case <-ticker.C:
		case <-h.server.drained:
			if last != healthv1.HealthCheckResponse_SERVING {
				return status.Error(codes.Unavailable, "this host is going away")
			}
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
}
