// Package standalone is the controller without Kubernetes: the directory source, the loop, policies, the stream to hosts
// and the admin service in one process, with its state in files. cmd/wasmesh-controller runs it; the launcher restarts it.
//
// Everything that it writes lies below its data directory, but for a hosts' socket that is asked for elsewhere: state/
// outlives it, run/ has the sockets while it runs. Where hosts reach it, its log says; whoever starts it with an address
// of their own, as the launcher does, knows it already.
package standalone

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/wasmesh/wasmesh/controller/admin"
	"github.com/wasmesh/wasmesh/controller/decide"
	"github.com/wasmesh/wasmesh/controller/policies"
	"github.com/wasmesh/wasmesh/controller/reconcile"
	"github.com/wasmesh/wasmesh/controller/source/directory"
	syncserver "github.com/wasmesh/wasmesh/controller/sync"
	"github.com/wasmesh/wasmesh/wasm-policies/engine"
)

// defaultNamespace is given to objects that name none.
const defaultNamespace = "default"

// Folders below the data directory.
const (
	stateFolder = "state"
	runFolder   = "run"
	// compiledFolder, below the state, has machine code of policies. It may be removed at any time.
	compiledFolder = "compiled"
)

// Config of a standalone controller.
type Config struct {
	// Sources are the files and directories of YAML.
	Sources []string
	// DataDir is made if need be; one controller at a time works on it.
	DataDir string
	// SyncAddress is where hosts connect: "unix:PATH" for a socket that only its owner may use, or host:port, where port 0
	// takes a free one. Empty is a socket in the data directory. Whoever connects is given storage credentials.
	SyncAddress string
	// Endpoints are written into statuses.
	Endpoints decide.Endpoints
	Logger    *slog.Logger
}

// Run runs the controller until the context ends, then stops in order: first the decisions, then the streams to the
// hosts, then the admin service.
func Run(ctx context.Context, config Config) error {
	state, err := OpenState(filepath.Join(config.DataDir, stateFolder), config.Logger)
	if err != nil {
		return err
	}
	defer func() { _ = state.Close() }()
	objects, err := directory.New(directory.Config{
		Paths: config.Sources, Exclude: config.DataDir, DefaultNamespace: defaultNamespace,
		Saved: state.Objects(), Save: state.SaveObjects, Logger: config.Logger,
	})
	if err != nil {
		return err
	}
	term, err := state.NextTerm()
	if err != nil {
		return err
	}
	mesh := syncserver.New(syncserver.Config{Term: term, Known: state.Hosts(), Logger: config.Logger})
	policing, err := openPolicies(ctx, config, state, mesh, term)
	if err != nil {
		return err
	}
	defer policing.close()
	loop := reconcile.New(reconcile.Config{
		Source: objects, Mesh: mesh, Store: state, Policies: policing.runner, Restored: state.Restored(),
		Endpoints: config.Endpoints, Logger: config.Logger,
	})
	ends, err := listen(config)
	if err != nil {
		return err
	}
	defer ends.close()
	config.Logger.Info("controller is up", "term", term, "sync", ends.syncTarget(), "admin", ends.admin.Addr().String())
	return serve(ctx, parts{objects: objects, mesh: mesh, policies: policing.runner, loop: loop, ends: ends})
}

// parts of a running controller.
type parts struct {
	objects  *directory.Source
	mesh     *syncserver.Server
	policies *policies.Runner
	loop     *reconcile.Loop
	ends     *endpoints
}

// serve runs the parts until the context ends or one of them does. Whatever ends first, the order is the same: the end of
// the decisions ends the streams, the end of the streams ends the admin service.
func serve(ctx context.Context, p parts) error {
	deciding, stopDeciding := context.WithCancel(ctx)
	streaming, stopStreaming := context.WithCancel(context.WithoutCancel(ctx))
	answering, stopAnswering := context.WithCancel(context.WithoutCancel(ctx))
	var group errgroup.Group
	group.Go(func() error {
		defer stopDeciding()
		return p.objects.Run(deciding)
	})
	group.Go(func() error {
		defer stopDeciding()
		return p.policies.Run(deciding)
	})
	group.Go(func() error {
		defer stopStreaming()
		defer stopDeciding()
		return p.loop.Run(deciding)
	})
	group.Go(func() error {
		defer stopAnswering()
		defer stopDeciding()
		return p.mesh.Serve(streaming, p.ends.sync)
	})
	group.Go(func() error {
		defer stopDeciding()
		server := admin.New(admin.Config{Decisions: p.loop, Mesh: p.mesh, Policies: p.policies})
		return server.Serve(answering, p.ends.admin)
	})
	return group.Wait()
}

// policing is the runner of policies with the engine that it uses.
type policing struct {
	engine *engine.Engine
	runner *policies.Runner
	logger *slog.Logger
}

func openPolicies(ctx context.Context, config Config, state *State, mesh *syncserver.Server, term uint64) (*policing, error) {
	e, err := engine.New(engine.Config{CacheDir: filepath.Join(config.DataDir, stateFolder, compiledFolder), Logger: config.Logger})
	if err != nil {
		return nil, fmt.Errorf("open policies: %w", err)
	}
	runner, err := policies.New(ctx, policies.Config{
		Namespace: defaultNamespace, Term: term, Engine: e, Mesh: mesh,
		Store: state, Restored: state.Policies(), Logger: config.Logger,
	})
	if err != nil {
		_ = e.Close() // Nothing was compiled with it.
		return nil, err
	}
	return &policing{engine: e, runner: runner, logger: config.Logger}, nil
}

func (p *policing) close() {
	p.runner.Close()
	if err := p.engine.Close(); err != nil {
		p.logger.Error("policies are not closed", "error", err)
	}
}
