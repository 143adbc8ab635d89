package cluster

import (
	"context"
	"fmt"
	"net"

	"golang.org/x/sync/errgroup"

	"github.com/wasmesh/wasmesh/controller/admin"
	"github.com/wasmesh/wasmesh/controller/policies"
	"github.com/wasmesh/wasmesh/controller/reconcile"
	syncserver "github.com/wasmesh/wasmesh/controller/sync"
	"github.com/wasmesh/wasmesh/wasm-policies/engine"
)

// leader is what runs on the replica that decides.
type leader struct{ *assembly }

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (l *leader) NeedLeaderElection() bool { return true }

// Start implements manager.Runnable. It restores what the leader before has left, decides until the context ends, and then
// stops in order.
func (l *leader) Start(ctx context.Context) error {
	if err := l.source.WaitForSync(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // It was stopped before it began.
		}
		return err
	}
	state := &state{client: l.live, namespace: l.config.Namespace, logger: l.config.Logger}
	term, err := state.nextTerm(ctx)
	if err != nil {
		return err
	}
	known, err := knownHosts(ctx, l.live, l.source.Meshes())
	if err != nil {
		return err
	}
	if err := l.shipRuntimes(ctx); err != nil {
		l.config.Logger.Warn("runtimes of this installation are not there yet", "error", err)
	}
	restored, err := restore(ctx, l.manager.GetCache(), l.source.Snapshot().Objects)
	if err != nil {
		return err
	}
	if err := l.sleep.Restore(ctx, l.manager.GetCache(), l.source.Meshes(), l.source.Config().ScaleToZero.OnIdle); err != nil {
		return err
	}
	mesh := syncserver.New(syncserver.Config{Term: term, Known: known, Register: l.identity.Register, Logger: l.config.Logger})
	policing, err := l.openPolicies(ctx, state, mesh, term)
	if err != nil {
		return err
	}
	defer policing.close()
	loop := reconcile.New(reconcile.Config{
		Source: l.source, Mesh: mesh, Policies: policing.runner, Restored: restored, Recorder: l.recorder, Logger: l.config.Logger,
		Store: newMemory(l.assembly), Sleep: l.sleep,
	})
	ends, err := l.listen()
	if err != nil {
		return err
	}
	defer ends.close()
	l.seat.take(loop, mesh)
	l.config.Logger.Info("controller leads", "term", term, "hosts", len(known), "sync", ends.sync.Addr().String(), "admin", ends.admin.Addr().String())
	return l.serve(ctx, parts{mesh: mesh, policies: policing.runner, loop: loop, ends: ends})
}

// parts of a leader.
type parts struct {
	mesh     *syncserver.Server
	policies *policies.Runner
	loop     *reconcile.Loop
	ends     *endpoints
}

// serve runs the parts until the context ends or one of them does. Whatever ends first, the order is the same: the end of
// the decisions ends the streams, the end of the streams ends the authority, the Events and the admin service.
func (l *leader) serve(ctx context.Context, p parts) error {
	deciding, stopDeciding := context.WithCancel(ctx)
	streaming, stopStreaming := context.WithCancel(context.WithoutCancel(ctx))
	answering, stopAnswering := context.WithCancel(context.WithoutCancel(ctx))
	var group errgroup.Group
	group.Go(func() error {
		defer stopDeciding()
		return p.policies.Run(deciding)
	})
	for _, follow := range []func(context.Context, *reconcile.Loop){l.followMeshes, l.followConfig} {
		group.Go(func() error {
			follow(deciding, p.loop)
			return nil
		})
	}
	group.Go(func() error {
		defer stopStreaming()
		defer stopDeciding()
		return p.loop.Run(deciding)
	})
	group.Go(func() error {
		defer stopAnswering()
		defer stopDeciding()
		return p.mesh.Serve(streaming, p.ends.sync, l.identity.ServerOptions()...)
	})
	for _, run := range []func(context.Context) error{
		l.identity.Run, l.recorder.Run,
		func(ctx context.Context) error {
			server := admin.New(admin.Config{Decisions: p.loop, Mesh: p.mesh, Policies: p.policies})
			return server.Serve(ctx, p.ends.admin)
		},
	} {
		group.Go(func() error {
			defer stopDeciding()
			return run(answering)
		})
	}
	return group.Wait()
}

// followMeshes tells the authority which namespaces have a mesh.
func (l *leader) followMeshes(ctx context.Context, loop *reconcile.Loop) {
	for {
		_, changed := loop.View()
		l.identity.SetNamespaces(l.source.Meshes())
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// endpoints are the listeners: for hosts and for operators.
type endpoints struct{ sync, admin net.Listener }

func (l *leader) listen() (*endpoints, error) {
	e := &endpoints{}
	var err error
	if e.sync, err = net.Listen("tcp", l.config.SyncAddress); err != nil {
		return nil, fmt.Errorf("listen for hosts: %w", err)
	}
	if e.admin, err = net.Listen("tcp", l.config.AdminAddress); err != nil {
		_ = e.sync.Close()
		return nil, fmt.Errorf("listen for operators: %w", err)
	}
	return e, nil
}

// close does no harm when the servers have closed them.
func (e *endpoints) close() {
	_ = e.sync.Close()
	_ = e.admin.Close()
}

// policing is the runner of policies with the engine that it uses.
type policing struct {
	*leader
	engine *engine.Engine
	runner *policies.Runner
}

func (l *leader) openPolicies(ctx context.Context, state *state, mesh *syncserver.Server, term uint64) (*policing, error) {
	e, err := engine.New(engine.Config{CacheDir: l.config.CacheDir, Logger: l.config.Logger})
	if err != nil {
		return nil, fmt.Errorf("open policies: %w", err)
	}
	restored, err := state.policies(ctx)
	if err != nil {
		return nil, err
	}
	runner, err := policies.New(ctx, policies.Config{
		Namespace: l.config.Namespace, Term: term, Engine: e, Mesh: everyMesh{mesh}, Store: state, Restored: restored,
		Logger: l.config.Logger,
	})
	if err != nil {
		_ = e.Close() // Nothing was compiled with it.
		return nil, err
	}
	return &policing{leader: l, engine: e, runner: runner}, nil
}

func (p *policing) close() {
	p.runner.Close()
	if err := p.engine.Close(); err != nil {
		p.config.Logger.Error("policies are not closed", "error", err)
	}
}
