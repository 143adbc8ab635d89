// Package standalone is the controller without Kubernetes: the directory source, the loop, the stream to hosts and the
// admin service in one process, with its state in files. cmd/wasmesh-controller runs it; the launcher restarts it.
//
// Everything that it writes lies below its data directory: state/ outlives it, run/ has the socket while it runs. Where
// hosts reach it, its log says; whoever starts it with an address of their own, as the launcher does, knows it already.
package standalone

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/wasmesh/wasmesh/controller/admin"
	"github.com/wasmesh/wasmesh/controller/decide"
	"github.com/wasmesh/wasmesh/controller/reconcile"
	"github.com/wasmesh/wasmesh/controller/source/directory"
	syncserver "github.com/wasmesh/wasmesh/controller/sync"
)

// defaultNamespace is given to objects that name none.
const defaultNamespace = "default"

// Files below the data directory.
const (
	stateFolder = "state"
	runFolder   = "run"
	socketFile  = "admin.sock"
)

// Config of a standalone controller.
type Config struct {
	// Sources are the files and directories of YAML.
	Sources []string
	// DataDir is made if need be; one controller at a time works on it.
	DataDir string
	// SyncAddress is host:port for the stream to hosts; port 0 takes a free one.
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
	loop := reconcile.New(reconcile.Config{
		Source: objects, Mesh: mesh, Store: state, Restored: state.Restored(),
		Endpoints: config.Endpoints, Logger: config.Logger,
	})
	ends, err := listen(config)
	if err != nil {
		return err
	}
	defer ends.close()
	config.Logger.Info("controller is up", "term", term, "sync", ends.sync.Addr().String(), "admin", ends.admin.Addr().String())
	return serve(ctx, parts{objects: objects, mesh: mesh, loop: loop, ends: ends})
}

// parts of a running controller.
type parts struct {
	objects *directory.Source
	mesh    *syncserver.Server
	loop    *reconcile.Loop
	ends    *endpoints
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
		return admin.New(p.loop, p.mesh).Serve(answering, p.ends.admin)
	})
	return group.Wait()
}

// endpoints are the listeners: for hosts and for operators.
type endpoints struct {
	sync, admin net.Listener
}

func listen(config Config) (*endpoints, error) {
	folder, err := filepath.Abs(filepath.Join(config.DataDir, runFolder))
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	e := &endpoints{}
	if e.sync, err = net.Listen("tcp", config.SyncAddress); err != nil {
		return nil, fmt.Errorf("listen for hosts: %w", err)
	}
	if e.admin, err = listenUnix(filepath.Join(folder, socketFile)); err != nil {
		_ = e.sync.Close()
		return nil, err
	}
	return e, nil
}

// maxSocketPath is what Linux allows for the path of a unix socket (sun_path of unix(7), less the final zero).
const maxSocketPath = 107

// listenUnix replaces the socket of a controller that died: the lock on the state says that none lives.
func listenUnix(path string) (net.Listener, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("listen for operators: the path %s has %d bytes and a unix socket may have %d: "+
			"choose a data directory with a shorter path", path, len(path), maxSocketPath)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("listen for operators: remove what a former controller left: %w", err)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen for operators: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = listener.Close()
		return nil, fmt.Errorf("listen for operators: %w", err)
	}
	return listener, nil
}

// close also removes the socket; closing twice does no harm.
func (e *endpoints) close() {
	_ = e.sync.Close()
	_ = e.admin.Close()
}
