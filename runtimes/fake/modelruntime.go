package fake

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/wasmesh/wasmesh/sdk/proto/mmesh"
)

// modelRuntime serves the management half.
type modelRuntime struct {
	mmesh.UnimplementedModelRuntimeServer
	server *Server
}

// RuntimeStatus purges, as the SPI wants, and is always ready.
func (r *modelRuntime) RuntimeStatus(ctx context.Context, _ *mmesh.RuntimeStatusRequest) (*mmesh.RuntimeStatusResponse, error) {
	s := r.server
	s.mu.Lock()
	s.calls.Statuses++
	ids := make([]string, 0, len(s.models))
	for id := range s.models {
		ids = append(ids, id)
	}
	s.mu.Unlock()
	for _, id := range ids {
		if err := s.unload(ctx, id); err != nil && status.Code(err) != codes.NotFound {
			return nil, err
		}
	}
	name := &mmesh.RuntimeStatusResponse_MethodInfo{IdInjectionPath: []uint32{1}}
	return &mmesh.RuntimeStatusResponse{
		Status:                  mmesh.RuntimeStatusResponse_READY,
		CapacityInBytes:         uint64(s.config.CapacityBytes),
		MaxLoadingConcurrency:   uint32(s.config.MaxLoadingConcurrency),
		ModelLoadingTimeoutMs:   uint32(s.config.LoadTimeout.Milliseconds()),
		DefaultModelSizeInBytes: uint64(s.config.DefaultModelBytes),
		RuntimeVersion:          Version,
		LimitModelConcurrency:   true,
		MethodInfos: map[string]*mmesh.RuntimeStatusResponse_MethodInfo{
			"inference.GRPCInferenceService/ModelInfer":    name,
			"inference.GRPCInferenceService/ModelMetadata": name,
			"inference.GRPCInferenceService/ModelReady":    name,
		},
	}, nil
}

// LoadModel does what the artifact says. A model that is loaded already answers at once.
func (r *modelRuntime) LoadModel(ctx context.Context, request *mmesh.LoadModelRequest) (*mmesh.LoadModelResponse, error) {
	m, err := r.server.load(ctx, request.GetModelId(), request.GetModelPath())
	if err != nil {
		return nil, err
	}
	return &mmesh.LoadModelResponse{SizeInBytes: uint64(m.bytes), MaxConcurrency: m.artifact.MaxConcurrency}, nil
}

// UnloadModel ends a load that is under way, too.
func (r *modelRuntime) UnloadModel(ctx context.Context, request *mmesh.UnloadModelRequest) (*mmesh.UnloadModelResponse, error) {
	s := r.server
	s.mu.Lock()
	s.calls.Unloads++
	if m := s.models[request.GetModelId()]; m != nil && m.inFlight > 0 {
		s.calls.UnloadedInFlight++
	}
	s.mu.Unlock()
	if err := s.unload(ctx, request.GetModelId()); err != nil {
		return nil, err
	}
	return &mmesh.UnloadModelResponse{}, nil
}

// ModelSize answers the size of a loaded model.
func (r *modelRuntime) ModelSize(_ context.Context, request *mmesh.ModelSizeRequest) (*mmesh.ModelSizeResponse, error) {
	s := r.server
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls.Sizes++
	m := s.models[request.GetModelId()]
	if m == nil || !m.loaded {
		return nil, notFound(request.GetModelId())
	}
	return &mmesh.ModelSizeResponse{SizeInBytes: uint64(m.bytes)}, nil
}

// PredictModelSize answers what the artifact states, before the load.
func (r *modelRuntime) PredictModelSize(_ context.Context, request *mmesh.PredictModelSizeRequest) (*mmesh.PredictModelSizeResponse, error) {
	artifact, err := readArtifact(request.GetModelPath())
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	return &mmesh.PredictModelSizeResponse{SizeInBytes: uint64(r.server.bytes(artifact))}, nil
}

func (s *Server) bytes(artifact Artifact) int64 {
	if artifact.SizeBytes > 0 {
		return artifact.SizeBytes
	}
	return s.config.DefaultModelBytes
}

// load puts a model into memory, or answers the one that is there.
func (s *Server) load(ctx context.Context, id, path string) (*model, error) {
	began := time.Now()
	artifact, broken := readArtifact(path)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	fresh := &model{artifact: artifact, bytes: s.bytes(artifact), began: began, cancel: cancel, done: make(chan struct{})}
	m, err := s.admit(id, fresh, broken)
	if err != nil || m != fresh {
		return m, err
	}
	defer close(m.done)
	if err := s.loading(ctx, m); err != nil {
		s.forget(id, m)
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m.loaded, m.ended = true, time.Now()
	s.calls.LoadsDone++
	s.changed.Broadcast()
	return m, nil
}

// admit enters fresh as a model that loads, its memory taken, or answers the one that is loaded, or says why neither.
// broken is why the artifact cannot be read.
func (s *Server) admit(id string, fresh *model, broken error) (*model, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls.Loads++
	if id == "" {
		return nil, status.Error(codes.InvalidArgument, "modelId is empty")
	}
	if m := s.models[id]; m != nil {
		if m.loaded {
			return m, nil
		}
		return nil, status.Errorf(codes.FailedPrecondition, "model %s is being loaded already", id)
	}
	if len(s.steer.failNext) > 0 {
		err := s.steer.failNext[0]
		s.steer.failNext = s.steer.failNext[1:]
		return nil, err
	}
	if broken != nil {
		return nil, status.Error(codes.Internal, broken.Error())
	}
	if s.config.CapacityBytes > 0 && s.calls.Bytes+fresh.bytes > s.config.CapacityBytes {
		s.calls.OverCapacity++
		return nil, status.Errorf(codes.ResourceExhausted, "model %s takes %d bytes, but %d of %d are taken",
			id, fresh.bytes, s.calls.Bytes, s.config.CapacityBytes)
	}
	s.calls.Bytes += fresh.bytes
	s.calls.PeakBytes = max(s.calls.PeakBytes, s.calls.Bytes)
	s.models[id] = fresh
	s.changed.Broadcast()
	return fresh, nil
}

// loading takes the time of a load and its bad end, if the artifact has one.
func (s *Server) loading(ctx context.Context, m *model) error {
	if s.loads != nil {
		select {
		case s.loads <- struct{}{}:
			defer func() { <-s.loads }()
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		}
	}
	s.mu.Lock()
	s.calls.loading++
	s.calls.PeakLoading = max(s.calls.PeakLoading, s.calls.loading)
	delay, hold := s.config.LoadDelay, s.steer.hold
	if s.steer.loadDelay != nil {
		delay = *s.steer.loadDelay
	}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.calls.loading--
	}()
	if err := pause(ctx, orDefault(m.artifact.LoadMS, delay)); err != nil {
		return err
	}
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		}
	}
	if m.artifact.CrashOnLoad {
		s.crash()
		return status.Error(codes.Unavailable, "the fake runtime crashed, as its model says")
	}
	if m.artifact.Fail != "" {
		return status.Error(codes.Internal, m.artifact.Fail)
	}
	return nil
}

func (s *Server) crash() {
	if s.config.Crash != nil {
		s.config.Crash()
		return
	}
	// In a goroutine, since Kill waits for the end of serving and this is a handler; and waited for, so that nobody gets an
	// answer after the crash.
	go s.Kill()
	<-s.served
}

// unload removes a model; of one that is loading it ends the load first.
func (s *Server) unload(ctx context.Context, id string) error {
	s.mu.Lock()
	m := s.models[id]
	s.mu.Unlock()
	if m == nil {
		return notFound(id)
	}
	m.cancel()
	select {
	case <-m.done:
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
	s.forget(id, m)
	return nil
}

// forget gives the memory of m back, once.
func (s *Server) forget(id string, m *model) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.models[id] != m {
		return
	}
	delete(s.models, id)
	s.calls.Bytes -= m.bytes
	s.changed.Broadcast()
}

func notFound(id string) error { return status.Errorf(codes.NotFound, "model %s is not loaded", id) }

// pause takes time, less if ctx ends.
func pause(ctx context.Context, duration time.Duration) error {
	if duration <= 0 {
		return nil
	}
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
}
