package launcher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"
	"unicode"
)

// How long each kind of process may take to end after SIGTERM. Hosts go first and finish what is in flight; together
// they stay under the ten seconds that a person waits after Ctrl-C.
const (
	hostGrace       = 6 * time.Second
	runtimeGrace    = 2 * time.Second
	controllerGrace = 1 * time.Second
)

// Config is what `wasmesh up` was asked for.
type Config struct {
	// Sources are YAML files or directories of them.
	Sources []string
	DataDir string
	// HostsPerRuntime is how many hosts each needed ServingRuntime gets.
	HostsPerRuntime int
	// Gateway adds a host without a runtime, which is the first.
	Gateway bool
	// Zones are given to the hosts of each runtime in turn; empty for none.
	Zones []string
	// GRPCAddress and RESTAddress are those of the first host; the next ones listen on the ports after, as far as they go.
	GRPCAddress, RESTAddress string
	// RuntimesDir is searched for runtimes' programs, before PATH; empty for none.
	RuntimesDir string
	// BinDir holds wasmesh-host and wasmesh-controller.
	BinDir string
	// HostArgs are passed to every host as they are.
	HostArgs []string
	// Progress gets one line per phase, each in one Write, from several goroutines.
	Progress io.Writer
	Logger   *slog.Logger
}

const (
	// publicHosts is how many ports lie between the REST and the gRPC listener of the first host: 8008+25 is 8033.
	publicHosts = 25
	// maxHosts is far more than one machine has memory for; each takes nine ports.
	maxHosts = 256
)

// launcher is the state of one Up, owned by its goroutine.
type launcher struct {
	config Config
	paths  Paths
	lock   *os.File
	ports  *ports

	// Three groups, stopped in this order: requests end before runtimes, runtimes before the catalog.
	hosts, runtimes, controller *group

	// places and members by "<namespace>/<runtime>/<k>". A place is kept when its member could not be started.
	places  map[string]*place
	members map[string]*member
	// faults is why a ServingRuntime of the last plan cannot run here, by "<namespace>/<runtime>".
	faults map[string]string
	// idleReported keeps the line about nothing to run from being printed twice.
	idleReported bool
}

// Up runs the mesh until ctx ends, then stops it in order. It returns when no process is left. The error is about what
// keeps the mesh from running at all: a flag, a port or a runtime's program.
func Up(ctx context.Context, config Config) error {
	l, err := prepare(config)
	if err != nil {
		return err
	}
	defer l.close()
	spec, err := l.controllerSpec()
	if err != nil {
		return err
	}
	if _, err := findProgram(config.BinDir, hostProgram); err != nil {
		return err // before anything runs
	}
	l.progress("controller: reading %s, logs in %s", strings.Join(config.Sources, ", "), l.paths.Logs())
	l.controller.start(spec)
	if config.Gateway {
		err = l.startGateway()
	}
	if err == nil {
		err = l.followPlan(ctx)
	}
	l.progress("stopping")
	l.hosts.stop()
	l.runtimes.stop()
	l.controller.stop()
	return err
}

// prepare checks everything that can be wrong before the first process starts.
func prepare(config Config) (*launcher, error) {
	if config.HostsPerRuntime < 1 || config.HostsPerRuntime > maxHosts {
		return nil, fmt.Errorf("--hosts %d: must be 1 to %d", config.HostsPerRuntime, maxHosts)
	}
	for _, zone := range config.Zones {
		if zone == "" || strings.ContainsFunc(zone, unicode.IsSpace) {
			return nil, fmt.Errorf("--zones %s: each zone needs a name, without spaces: write them as a,b", strings.Join(config.Zones, ","))
		}
	}
	for _, source := range config.Sources {
		if _, err := os.Stat(source); err != nil {
			return nil, fmt.Errorf("-f: %w", err)
		}
	}
	paths, err := makePaths(config.DataDir)
	if err != nil {
		return nil, err
	}
	lock, err := paths.lock()
	if err != nil {
		return nil, err
	}
	if err := errors.Join(noteSources(lock, config.Sources), paths.makeMeshKey()); err != nil {
		lock.Close()
		return nil, err
	}
	l := &launcher{
		config: config, paths: paths, lock: lock, ports: &ports{},
		places: make(map[string]*place), members: make(map[string]*member),
	}
	s := supervisor{paths: paths, logger: config.Logger, progress: l.progress}
	l.hosts, l.runtimes, l.controller = newGroup(s), newGroup(s), newGroup(s)
	if err := l.claimPorts(); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// claimPorts takes those that must be free whatever the YAML says.
func (l *launcher) claimPorts() error {
	for _, listener := range []struct{ flag, address string }{
		{"--grpc-address", l.config.GRPCAddress}, {"--rest-address", l.config.RESTAddress},
	} {
		if err := l.ports.claim(listener.address); err != nil {
			return fmt.Errorf("%s: %w", listener.flag, err)
		}
	}
	return nil
}

func (l *launcher) close() {
	l.ports.close()
	l.lock.Close()
}

func (l *launcher) progress(format string, args ...any) {
	fmt.Fprintf(l.config.Progress, format+"\n", args...)
}
