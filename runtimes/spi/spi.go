// Package spi drives any inference server, or adapter beside one, that implements ModelMesh's mmesh.ModelRuntime, so that
// custom runtimes made for ModelMesh work unchanged. The runtime fake is driven this way too.
//
// The SPI has no call that looks without touching: runtimeStatus makes the runtime purge its models. Invariant: it is
// sent at most once a connection by Status, whose later answers are remembered, and once by each Reset.
package spi

import (
	"context"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc/status"

	"github.com/wasmesh/wasmesh/runtimes"
	"github.com/wasmesh/wasmesh/runtimes/internal/link"
	"github.com/wasmesh/wasmesh/sdk/proto/mmesh"
)

// pollInterval is the pause between two runtimeStatus calls of Reset while the runtime says STARTING.
const pollInterval = 200 * time.Millisecond

// Adapter is a runtimes.Adapter.
type Adapter struct {
	link   *link.Link
	server mmesh.ModelRuntimeClient

	mu    sync.Mutex
	known known
}

// known is the last READY answer and the connection that it came over.
type known struct {
	status     *mmesh.RuntimeStatusResponse
	connection uint64
}

var _ runtimes.Adapter = (*Adapter)(nil)

// New makes an Adapter without waiting for the server.
func New(config runtimes.Config) (*Adapter, error) {
	connection, err := link.Dial(config.ManagementAddress)
	if err != nil {
		return nil, fmt.Errorf("make ModelRuntime adapter: %w", err)
	}
	return &Adapter{link: connection, server: mmesh.NewModelRuntimeClient(connection)}, nil
}

// Status answers what the runtime said when it was last asked over the connection that stands now. Asking a runtime that
// is new to this adapter makes it drop models of an earlier host, and only those.
func (a *Adapter) Status(ctx context.Context) (runtimes.Status, error) {
	if said := a.recall(); said != nil {
		return translate(said), nil
	}
	said, err := a.ask(ctx)
	if err != nil {
		return runtimes.Status{}, link.NotReady(err)
	}
	if err := ready(said); err != nil {
		return runtimes.Status{}, err
	}
	return translate(said), nil
}

// Reset has the runtime purge itself: it must have done so before it says READY, which is waited for.
func (a *Adapter) Reset(ctx context.Context) error {
	a.link.Arm()
	for {
		said, err := a.ask(ctx)
		if err != nil {
			return err
		}
		err = ready(said)
		if err == nil || said.GetStatus() == mmesh.RuntimeStatusResponse_FAILING {
			return err
		}
		timer := time.NewTimer(pollInterval)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// Holds answers false: the SPI cannot be asked. A host that was told NOT_FOUND by the runtime unloads the model and loads
// it again, as ModelMesh does; the cost is one load where the request was merely wrong.
func (a *Adapter) Holds(ctx context.Context, _ string) (bool, error) { return false, ctx.Err() }

// WaitLost answers as soon as the connection breaks. A runtime that closes idle or old connections would look as if it
// had been restarted, and be reset.
func (a *Adapter) WaitLost(ctx context.Context) error { return a.link.WaitLost(ctx) }

// Close ends the connection.
func (a *Adapter) Close() error { return a.link.Close() }

// ask sends runtimeStatus and remembers a READY answer.
func (a *Adapter) ask(ctx context.Context) (*mmesh.RuntimeStatusResponse, error) {
	before, connected := a.link.Connection()
	said, err := a.server.RuntimeStatus(ctx, &mmesh.RuntimeStatusRequest{})
	if err != nil {
		return nil, a.unavailable(ctx, "ask the model runtime for its status", err)
	}
	after, still := a.link.Connection()
	if !connected {
		// The call made the connection.
		before = after
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.known = known{}
	if ready(said) == nil && still && before == after {
		a.known = known{status: said, connection: after}
	}
	return said, nil
}

// recall answers the status that holds for the present connection, or nil.
func (a *Adapter) recall() *mmesh.RuntimeStatusResponse {
	connection, ok := a.link.Connection()
	a.mu.Lock()
	defer a.mu.Unlock()
	if !ok || a.known.connection != connection {
		return nil
	}
	return a.known.status
}

func ready(said *mmesh.RuntimeStatusResponse) error {
	if said.GetStatus() == mmesh.RuntimeStatusResponse_READY {
		return nil
	}
	return &runtimes.Error{
		Kind:    runtimes.Unavailable,
		Message: fmt.Sprintf("the model runtime is not ready: it says %s", said.GetStatus()),
	}
}

func translate(said *mmesh.RuntimeStatusResponse) runtimes.Status {
	methods := make(map[string]runtimes.Method, len(said.GetMethodInfos()))
	for name, info := range said.GetMethodInfos() {
		methods[name] = runtimes.Method{IDPath: info.GetIdInjectionPath()}
	}
	return runtimes.Status{
		Version:               said.GetRuntimeVersion(),
		CapacityBytes:         int64(said.GetCapacityInBytes()),
		MaxLoadingConcurrency: int(said.GetMaxLoadingConcurrency()),
		LoadTimeout:           time.Duration(said.GetModelLoadingTimeoutMs()) * time.Millisecond,
		DefaultModelBytes:     int64(said.GetDefaultModelSizeInBytes()),
		Methods:               methods,
		// An empty list of methods allows any, by the SPI.
		AllowAnyMethod: said.GetAllowAnyMethod() || len(methods) == 0,
	}
}

// unavailable wraps the error of a call that no model can be blamed for.
func (a *Adapter) unavailable(ctx context.Context, action string, err error) error {
	if failure := a.link.Failure(ctx, "the model runtime", err); failure != nil {
		return failure
	}
	return &runtimes.Error{
		Kind:    runtimes.Unavailable,
		Message: fmt.Sprintf("%s: %s", action, status.Convert(err).Message()),
		Err:     err,
	}
}
