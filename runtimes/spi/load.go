package spi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/wasmesh/wasmesh/runtimes"
	"github.com/wasmesh/wasmesh/sdk/proto/mmesh"
)

const (
	// sizeTimeout bounds modelSize, withdrawTimeout the unload after a failed load; 30 s is ModelMesh's bound on sizing.
	sizeTimeout     = 30 * time.Second
	withdrawTimeout = 30 * time.Second
)

// modelKey is the JSON object that ModelMesh's puller puts into LoadModelRequest.modelKey once the files are local.
type modelKey struct {
	ModelType     modelType `json:"model_type"`
	DiskSizeBytes int64     `json:"disk_size_bytes"`
	SchemaPath    string    `json:"schema_path,omitempty"`
}

type modelType struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
}

// Load sends loadModel, and modelSize if the answer has no size.
func (a *Adapter) Load(ctx context.Context, model runtimes.Model) (runtimes.Loaded, error) {
	if err := ctx.Err(); err != nil {
		return runtimes.Loaded{}, err
	}
	request, err := loadRequest(model)
	if err != nil {
		return runtimes.Loaded{}, err
	}
	response, err := a.server.LoadModel(ctx, request)
	if err != nil {
		return runtimes.Loaded{}, a.loadFailure(ctx, model.ID, err)
	}
	loaded := runtimes.Loaded{SizeBytes: int64(response.GetSizeInBytes())}
	if said := a.recall(); said.GetLimitModelConcurrency() {
		loaded.MaxConcurrency = int(response.GetMaxConcurrency())
	}
	if loaded.SizeBytes == 0 {
		loaded.SizeBytes, err = a.size(ctx, model.ID)
	}
	if err != nil {
		return runtimes.Loaded{}, a.withdraw(ctx, model.ID, err)
	}
	return loaded, nil
}

func loadRequest(model runtimes.Model) (*mmesh.LoadModelRequest, error) {
	key, err := json.Marshal(modelKey{
		ModelType:     modelType{Name: model.FormatName, Version: model.FormatVersion},
		DiskSizeBytes: model.DiskBytes,
		SchemaPath:    model.SchemaPath,
	})
	if err != nil {
		return nil, fmt.Errorf("encode model key: %w", err)
	}
	// The type label of ModelMesh's controller.
	label := "mt:" + model.FormatName
	if model.FormatVersion != "" {
		label += ":" + model.FormatVersion
	}
	return &mmesh.LoadModelRequest{ModelId: model.ID, ModelType: label, ModelPath: model.Path, ModelKey: string(key)}, nil
}

// loadFailure sorts the error of loadModel. Two codes say that nothing was attempted; after any other the runtime is told
// to unload.
func (a *Adapter) loadFailure(ctx context.Context, id string, err error) error {
	failure := a.link.Failure(ctx, "the model runtime", err)
	if failure == nil {
		failure = &runtimes.Error{
			Kind:    runtimes.ModelRejected,
			Message: "the model runtime could not load the model: " + words(err),
			Err:     err,
		}
	}
	switch status.Code(err) {
	case codes.FailedPrecondition, codes.InvalidArgument:
		return failure
	}
	return a.withdraw(ctx, id, failure)
}

// words answers a message that is never empty.
func words(err error) string {
	said := status.Convert(err)
	if said.Message() == "" {
		return said.Code().String()
	}
	return said.Message()
}

// size asks modelSize; 0 if the runtime cannot tell.
func (a *Adapter) size(ctx context.Context, id string) (int64, error) {
	bounded, cancel := context.WithTimeout(ctx, sizeTimeout)
	defer cancel()
	response, err := a.server.ModelSize(bounded, &mmesh.ModelSizeRequest{ModelId: id})
	if err == nil {
		return int64(response.GetSizeInBytes()), nil
	}
	// Judged by the caller's context: a sizing that takes too long is no reason to give the load up.
	return 0, a.link.Failure(ctx, "the model runtime", err)
}

// withdraw makes sure that after a failed load the runtime holds nothing of the model and answers the load's error. If
// that cannot be made sure, the runtime is the trouble.
func (a *Adapter) withdraw(ctx context.Context, id string, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), withdrawTimeout)
	defer cancel()
	err := a.Unload(ctx, id)
	if err == nil || runtimes.IsUnavailable(cause) {
		return cause
	}
	return &runtimes.Error{
		Kind:    runtimes.Unavailable,
		Message: fmt.Sprintf("%v; then the model runtime could not be made to drop the model: %v", cause, err),
		Err:     errors.Join(cause, err),
	}
}

// Unload sends unloadModel; NOT_FOUND is success.
func (a *Adapter) Unload(ctx context.Context, modelID string) error {
	_, err := a.server.UnloadModel(ctx, &mmesh.UnloadModelRequest{ModelId: modelID})
	if err == nil || status.Code(err) == codes.NotFound {
		return nil
	}
	return a.unavailable(ctx, "unload model "+modelID, err)
}
