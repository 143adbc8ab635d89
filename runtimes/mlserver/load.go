package mlserver

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/wasmesh/wasmesh/runtimes"
	"github.com/wasmesh/wasmesh/sdk/proto/inference"
)

// Load lays the model out and has MLServer load it. MLServer measures no memory, so the size is left to the host.
func (a *Adapter) Load(ctx context.Context, model runtimes.Model) (runtimes.Loaded, error) {
	if err := ctx.Err(); err != nil {
		return runtimes.Loaded{}, err
	}
	declared, err := a.repository.lay(model)
	if err == nil {
		err = a.ask(ctx, model, declared)
	}
	if err == nil {
		a.repository.settle(model.ID)
		return runtimes.Loaded{}, nil
	}
	return runtimes.Loaded{}, a.withdraw(ctx, model.ID, err)
}

// ask sends the load and explains its failure.
func (a *Adapter) ask(ctx context.Context, model runtimes.Model, declared settings) error {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, defaultLoadTimeout)
		defer cancel()
	}
	_, err := a.server.RepositoryModelLoad(ctx, &inference.RepositoryModelLoadRequest{ModelName: model.ID})
	if err == nil {
		return nil
	}
	if failure := a.link.Failure(ctx, "MLServer", err); failure != nil {
		return failure
	}
	return &runtimes.Error{Kind: runtimes.ModelRejected, Message: a.explain(model, declared, status.Convert(err)), Err: err}
}

// explain words a refused load for a user: what was tried, then what MLServer said.
func (a *Adapter) explain(model runtimes.Model, declared settings, said *status.Status) string {
	name := filepath.Base(model.Path)
	switch {
	case said.Code() == codes.NotFound && !declared.named():
		return fmt.Sprintf("MLServer has no implementation for model format %q. It knows %s; for another one, put a %s with "+
			"an \"implementation\" into the model's directory, or set MLSERVER_MODEL_IMPLEMENTATION in the container of the ServingRuntime",
			model.FormatName, formats(), settingsFile)
	case said.Code() == codes.NotFound:
		return fmt.Sprintf("MLServer did not accept the settings of %q: its log says which field is wrong. "+
			"If it refuses every model, it was not started on %s", name, a.repository.root)
	}
	tried := fmt.Sprintf("MLServer could not load %q with %v", name, declared["implementation"])
	if !declared.named() {
		tried = fmt.Sprintf("MLServer could not load %q as format %q", name, model.FormatName)
	}
	if said.Code() == codes.Internal {
		return tried + ": " + elaborate(said.Message())
	}
	return tried + ": " + said.Message()
}

// elaborate makes up for exceptions without words: joblib says "110" of a file that is no joblib.
func elaborate(message string) string {
	if strings.Contains(message, " ") {
		return message + " (MLServer's log has the traceback)"
	}
	if message == "" {
		message = "no message"
	}
	return message + " (MLServer says no more than that. Most often the file is not of the declared format, is cut off, " +
		"or was written by another version of its library; MLServer's log has the traceback)"
}

// withdraw makes sure that after a failed load the server holds nothing of the model and answers the load's error. If
// that cannot be made sure, the server is the trouble.
func (a *Adapter) withdraw(ctx context.Context, id string, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), withdrawTimeout)
	defer cancel()
	err := a.Unload(ctx, id)
	if err == nil || runtimes.IsUnavailable(cause) {
		return cause
	}
	return &runtimes.Error{
		Kind:    runtimes.Unavailable,
		Message: fmt.Sprintf("%v; then MLServer could not be made to drop the model: %v", cause, err),
		Err:     errors.Join(cause, err),
	}
}

// Unload has MLServer drop the model, then removes its directory.
func (a *Adapter) Unload(ctx context.Context, modelID string) error {
	err := a.drop(ctx, modelID)
	if err != nil && ctx.Err() == nil && !runtimes.IsUnavailable(a.link.Failure(ctx, "MLServer", err)) {
		// The model's own unload raised, or two unloads met: Load's, after it was given up, and the host's. MLServer has
		// dropped the model by then, but for an entry that the second call takes away.
		err = a.drop(ctx, modelID)
	}
	if err != nil {
		return a.unavailable(ctx, "unload model "+modelID+" from MLServer", err)
	}
	return a.repository.remove(modelID)
}

// drop sends the unload. Of an unknown model MLServer says NOT_FOUND, older versions INVALID_ARGUMENT.
func (a *Adapter) drop(ctx context.Context, modelID string) error {
	_, err := a.server.RepositoryModelUnload(ctx, &inference.RepositoryModelUnloadRequest{ModelName: modelID})
	switch status.Code(err) {
	case codes.OK, codes.NotFound, codes.InvalidArgument:
		return nil
	}
	return err
}

// Reset unloads what the index lists and what has a directory, since the index is silent about models whose settings
// are out of sight; then it clears the repository.
func (a *Adapter) Reset(ctx context.Context) error {
	a.link.Arm()
	index, err := a.server.RepositoryIndex(ctx, &inference.RepositoryIndexRequest{})
	if err != nil {
		return a.unavailable(ctx, "list the models of MLServer", err)
	}
	ids, err := a.repository.ids()
	if err != nil {
		return err
	}
	for _, model := range index.GetModels() {
		ids = append(ids, model.GetName())
	}
	for _, id := range ids {
		if id == "" {
			continue // settings that come from the environment alone need not have a name
		}
		if err := a.Unload(ctx, id); err != nil {
			return err
		}
	}
	return a.repository.clear()
}
