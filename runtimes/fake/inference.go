package fake

import (
	"context"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/wasmesh/wasmesh/sdk/proto/inference"
)

const (
	// largeRequests is how many large requests are in memory at once; the bodies of more stay with their senders, held
	// back by flow control.
	largeRequests = 8
	// smallBytes is the size up to which a request does not count among them.
	smallBytes = 64 << 10
	// streamWindow is what a sender may send ahead of the reader. Left alone, grpc grows it to many megabytes each.
	streamWindow     = 64 << 10
	connectionWindow = 1 << 20
	// maxStreams bounds the requests of one connection.
	maxStreams = 4096
)

// inferenceServer serves the data half. ModelInfer is not among its methods: see inferenceService.
type inferenceServer struct {
	inference.UnimplementedGRPCInferenceServiceServer
	server *Server
}

// inferenceService describes the service with ModelInfer as a stream handler. On the wire it is unary all the same, but
// the handler starts before the message is read and so can decide when to read it.
func inferenceService() *grpc.ServiceDesc {
	desc := inference.GRPCInferenceService_ServiceDesc
	desc.Methods = nil
	for _, method := range inference.GRPCInferenceService_ServiceDesc.Methods {
		if method.MethodName != "ModelInfer" {
			desc.Methods = append(desc.Methods, method)
		}
	}
	desc.Streams = []grpc.StreamDesc{{
		StreamName:    "ModelInfer",
		ClientStreams: true,
		ServerStreams: true,
		Handler: func(server any, stream grpc.ServerStream) error {
			return server.(*inferenceServer).inferStream(stream)
		},
	}}
	return &desc
}

func (i *inferenceServer) inferStream(stream grpc.ServerStream) error {
	select {
	case i.server.large <- struct{}{}:
	case <-stream.Context().Done():
		return status.FromContextError(stream.Context().Err()).Err()
	}
	release := func() { <-i.server.large }
	request := &inference.ModelInferRequest{}
	if err := stream.RecvMsg(request); err != nil {
		release()
		return err
	}
	if proto.Size(request) > smallBytes {
		defer release()
	} else {
		release()
	}
	response, err := i.ModelInfer(stream.Context(), request)
	if err != nil {
		return err
	}
	return stream.SendMsg(response)
}

// ModelInfer echoes inputs as outputs of the same name and form, raw or typed.
func (i *inferenceServer) ModelInfer(ctx context.Context, request *inference.ModelInferRequest) (*inference.ModelInferResponse, error) {
	s := i.server
	m, err := s.begin(request.GetModelName())
	if err != nil {
		return nil, err
	}
	defer s.end(m)
	if err := pause(ctx, orDefault(m.artifact.ServiceMS, s.config.ServiceTime)); err != nil {
		return nil, err
	}
	response := &inference.ModelInferResponse{
		ModelName:         request.GetModelName(),
		ModelVersion:      request.GetModelVersion(),
		Id:                request.GetId(),
		RawOutputContents: request.GetRawInputContents(),
		Parameters: map[string]*inference.InferParameter{
			"server": {ParameterChoice: &inference.InferParameter_StringParam{StringParam: s.config.Name}},
			"pid":    {ParameterChoice: &inference.InferParameter_Int64Param{Int64Param: int64(os.Getpid())}},
		},
	}
	for _, input := range request.GetInputs() {
		response.Outputs = append(response.Outputs, &inference.ModelInferResponse_InferOutputTensor{
			Name:       input.GetName(),
			Datatype:   input.GetDatatype(),
			Shape:      input.GetShape(),
			Parameters: input.GetParameters(),
			Contents:   input.GetContents(),
		})
	}
	return response, nil
}

// begin counts a request in on a loaded model.
func (s *Server) begin(id string) (*model, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls.Infers++
	m := s.models[id]
	if m == nil || !m.loaded {
		return nil, notFound(id)
	}
	m.inFlight++
	return m, nil
}

func (s *Server) end(m *model) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m.inFlight--
}

// ModelReady answers NOT_FOUND for a model that is not loaded.
func (i *inferenceServer) ModelReady(_ context.Context, request *inference.ModelReadyRequest) (*inference.ModelReadyResponse, error) {
	if !i.server.holds(request.GetName()) {
		return nil, notFound(request.GetName())
	}
	return &inference.ModelReadyResponse{Ready: true}, nil
}

// ModelMetadata names the model and no tensors: any are taken.
func (i *inferenceServer) ModelMetadata(_ context.Context, request *inference.ModelMetadataRequest) (*inference.ModelMetadataResponse, error) {
	if !i.server.holds(request.GetName()) {
		return nil, notFound(request.GetName())
	}
	return &inference.ModelMetadataResponse{Name: request.GetName(), Platform: "fake"}, nil
}

func (s *Server) holds(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.models[id]
	return m != nil && m.loaded
}

// ServerLive answers true.
func (i *inferenceServer) ServerLive(context.Context, *inference.ServerLiveRequest) (*inference.ServerLiveResponse, error) {
	return &inference.ServerLiveResponse{Live: true}, nil
}

// ServerReady answers true.
func (i *inferenceServer) ServerReady(context.Context, *inference.ServerReadyRequest) (*inference.ServerReadyResponse, error) {
	return &inference.ServerReadyResponse{Ready: true}, nil
}

// ServerMetadata answers the name and version.
func (i *inferenceServer) ServerMetadata(context.Context, *inference.ServerMetadataRequest) (*inference.ServerMetadataResponse, error) {
	return &inference.ServerMetadataResponse{Name: i.server.config.Name, Version: Version}, nil
}

// RepositoryIndex refuses: models are managed through mmesh.ModelRuntime.
func (i *inferenceServer) RepositoryIndex(context.Context, *inference.RepositoryIndexRequest) (*inference.RepositoryIndexResponse, error) {
	return nil, status.Error(codes.Unimplemented, "the fake runtime is managed through mmesh.ModelRuntime")
}
