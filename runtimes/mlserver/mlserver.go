// Package mlserver drives Seldon's MLServer through its own repository API: it owns the server's model repository on
// disk, writes a settings file for a model there, and asks the server to load and unload it.
//
// Invariant: a model's directory stands while the server may hold the model. MLServer's index forgets a loaded model
// whose files are gone, so the directories, not the index, say what there is to unload.
//
// A host owns one Adapter for the one MLServer beside it; Process is how the launcher starts that server without a
// cluster. What is said here of MLServer was seen in version 1.7.1.
package mlserver

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/wasmesh/wasmesh/runtimes"
	"github.com/wasmesh/wasmesh/runtimes/internal/link"
	"github.com/wasmesh/wasmesh/sdk/proto/inference"
)

const (
	// defaultLoadTimeout bounds a load whose caller sets no deadline, since MLServer can take a load and never answer.
	// It is the modelLoadingTimeoutMillis of ModelMesh's ServingRuntime.
	defaultLoadTimeout = 90 * time.Second
	// withdrawTimeout bounds the unload after a failed load. The server may first have to finish the load: it does not
	// interrupt a library call.
	withdrawTimeout = 30 * time.Second
)

// Adapter is a runtimes.Adapter.
type Adapter struct {
	link       *link.Link
	server     inference.GRPCInferenceServiceClient
	repository repository
}

var _ runtimes.Adapter = (*Adapter)(nil)

// New makes an Adapter. It neither waits for the server nor touches the disk.
func New(config runtimes.Config) (*Adapter, error) {
	if !filepath.IsAbs(config.ModelsDir) {
		return nil, fmt.Errorf("make MLServer adapter: models directory %q is not absolute", config.ModelsDir)
	}
	connection, err := link.Dial(config.ManagementAddress)
	if err != nil {
		return nil, fmt.Errorf("make MLServer adapter: %w", err)
	}
	return &Adapter{
		link:       connection,
		server:     inference.NewGRPCInferenceServiceClient(connection),
		repository: repository{root: RepositoryDir(config.ModelsDir)},
	}, nil
}

// Status asks for the version. ServerReady would be the wrong question: MLServer answers it with false as long as any
// model is not ready, be it one that is loading or one whose load a dead host has left behind, and only Reset ends that.
func (a *Adapter) Status(ctx context.Context) (runtimes.Status, error) {
	metadata, err := a.server.ServerMetadata(ctx, &inference.ServerMetadataRequest{})
	if err != nil {
		return runtimes.Status{}, link.NotReady(a.unavailable(ctx, "ask MLServer for its version", err))
	}
	name := runtimes.Method{IDPath: []uint32{1}}
	return runtimes.Status{
		Version: metadata.GetVersion(),
		Methods: map[string]runtimes.Method{
			method(inference.GRPCInferenceService_ModelInfer_FullMethodName):    name,
			method(inference.GRPCInferenceService_ModelMetadata_FullMethodName): name,
			method(inference.GRPCInferenceService_ModelReady_FullMethodName):    name,
		},
	}, nil
}

func method(fullName string) string { return strings.TrimPrefix(fullName, "/") }

// Holds asks ModelReady, which MLServer answers with UNKNOWN for a model that it does not have.
func (a *Adapter) Holds(ctx context.Context, modelID string) (bool, error) {
	answer, err := a.server.ModelReady(ctx, &inference.ModelReadyRequest{Name: modelID})
	if err == nil {
		return answer.GetReady(), nil
	}
	switch said := status.Convert(err); {
	case said.Code() == codes.NotFound,
		said.Code() == codes.Unknown && strings.HasSuffix(said.Message(), "not found"):
		return false, nil
	}
	return false, a.unavailable(ctx, "ask MLServer for model "+modelID, err)
}

// WaitLost answers as soon as the connection breaks; MLServer's own process keeps it open otherwise.
func (a *Adapter) WaitLost(ctx context.Context) error { return a.link.WaitLost(ctx) }

// Close ends the connection.
func (a *Adapter) Close() error { return a.link.Close() }

// unavailable wraps the error of a call that no model can be blamed for.
func (a *Adapter) unavailable(ctx context.Context, action string, err error) error {
	if failure := a.link.Failure(ctx, "MLServer", err); failure != nil {
		return failure
	}
	return &runtimes.Error{
		Kind:    runtimes.Unavailable,
		Message: fmt.Sprintf("%s: %s", action, status.Convert(err).Message()),
		Err:     err,
	}
}
