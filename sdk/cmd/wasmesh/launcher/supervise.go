package launcher

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"sync"
	"time"

	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/process"
)

// Spec says how to run one process.
type Spec struct {
	// Name is unique in the mesh and names the log and the record under run/.
	Name string
	// Program is an absolute path.
	Program string
	Args    []string
	Env     []string
	// Dir is the working directory.
	Dir string
	// Ours: the program ends when its standard input does.
	Ours bool
	// Grace is how long it may take to end after SIGTERM before it is killed.
	Grace time.Duration
	// Leaves: the program ends with status 0 when it has been asked to leave the mesh, which is no failure.
	Leaves bool
	// Ports by name, written to the record.
	Ports map[string]string
}

// supervisor is what every process of the mesh is supervised with.
type supervisor struct {
	paths    Paths
	logger   *slog.Logger
	progress func(format string, args ...any)
}

// run starts the process, and starts it again whenever it has ended, until ctx ends; then it asks the process to end,
// and returns when it has.
func (s supervisor) run(ctx context.Context, spec Spec) {
	var restarts restarts
	for ctx.Err() == nil {
		started := time.Now()
		last, err := s.once(ctx, spec)
		if ctx.Err() != nil {
			return
		}
		next := restarts.after(time.Since(started), spec.Leaves && errors.Is(err, errEnded))
		log := s.paths.log(spec.Name)
		if next.left {
			s.progress("%s has left the mesh; starting it again as a new host", spec.Name)
		} else {
			s.logger.Warn("process ended; starting it again", "process", spec.Name, "error", err, "in", next.wait, "log", log)
		}
		if next.tell {
			s.progress("%s keeps ending (%v) and being started again; its last words, in %s: %s", spec.Name, err, log, last)
		}
		select {
		case <-ctx.Done():
		case <-time.After(next.wait):
		}
	}
}

// once runs the process to its end and answers how it ended, never nil, and the last line that it wrote.
func (s supervisor) once(ctx context.Context, spec Spec) (last string, err error) {
	log, err := openLog(s.paths.log(spec.Name), maxLogBytes)
	if err != nil {
		return "", err
	}
	defer log.Close()
	command := exec.Command(spec.Program, spec.Args...)
	command.Env, command.Dir = spec.Env, spec.Dir
	command.Stdout, command.Stderr = log, log
	start := process.Start
	if spec.Ours {
		start = process.StartTethered
	}
	child, err := start(command)
	if err != nil {
		return "", err
	}
	record := Record{Name: spec.Name, PID: child.PID(), Program: spec.Program, Ports: spec.Ports}
	if err := s.paths.writeRecord(record); err != nil {
		s.logger.Error("record not written", "process", spec.Name, "error", err)
	}
	defer s.paths.removeRecord(spec.Name)
	select {
	case <-child.Done():
	case <-ctx.Done():
		if !child.Stop(spec.Grace) {
			s.logger.Warn("process did not end in time and was killed", "process", spec.Name, "after", spec.Grace)
		}
	}
	if err := child.Err(); err != nil {
		return log.lastLine(), err
	}
	return log.lastLine(), errEnded
}

// errEnded is how a process ended that ended by itself, with nothing to complain of.
var errEnded = errors.New("exit status 0")

// group is a set of processes that are stopped together. Its methods are called by one goroutine.
type group struct {
	supervisor supervisor
	ctx        context.Context
	cancel     context.CancelFunc
	running    sync.WaitGroup
}

// newGroup makes a group that ends by stop alone: the order among groups is the launcher's.
func newGroup(s supervisor) *group {
	g := &group{supervisor: s}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	return g
}

// supervised is one process of a group.
type supervised struct {
	cancel context.CancelFunc
	ended  chan struct{}
}

// start keeps the process running until it or the group is stopped.
func (g *group) start(spec Spec) *supervised {
	ctx, cancel := context.WithCancel(g.ctx)
	s := &supervised{cancel: cancel, ended: make(chan struct{})}
	g.running.Go(func() {
		defer close(s.ended)
		g.supervisor.run(ctx, spec)
	})
	return s
}

// stop asks the process to end and waits until it has, or until ctx ends: then it still ends, within its grace, but its
// successor must not be started.
func (s *supervised) stop(ctx context.Context) error {
	s.cancel()
	select {
	case <-s.ended:
		return ctx.Err()
	case <-ctx.Done():
		return fmt.Errorf("stop process: %w", ctx.Err())
	}
}

// stop ends all processes of the group at the same time and returns when none is left.
func (g *group) stop() {
	g.cancel()
	g.running.Wait()
}
