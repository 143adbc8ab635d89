package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
)

// Engine compiles modules, one at a time. It is safe for concurrent use.
type Engine struct {
	cacheDir    string
	limits      Limits
	fuel        FuelTable
	interpreter bool
	logger      *slog.Logger

	// compiling holds one token: compiling a Go guest takes a core for half a second and tens of megabytes.
	compiling chan struct{}
	// programs are those that have not been closed.
	programs atomic.Int64

	mu     sync.Mutex
	closed bool
	// growing are the goroutines that make instances. Each has a reference to its program.
	growing sync.WaitGroup
}

// New makes an engine. It fails when Config.CacheDir cannot be used safely.
func New(c Config) (*Engine, error) {
	e := &Engine{
		cacheDir:    c.CacheDir,
		limits:      c.Limits.withDefaults(),
		fuel:        c.Fuel.withDefaults(),
		interpreter: c.Interpreter,
		logger:      c.Logger,
		compiling:   make(chan struct{}, 1),
	}
	if e.logger == nil {
		e.logger = slog.New(slog.DiscardHandler)
	}
	if e.cacheDir != "" {
		if err := os.MkdirAll(e.cacheDir, 0o700); err != nil {
			return nil, fmt.Errorf("make cache directory of compiled policies: %w", err)
		}
		info, err := os.Stat(e.cacheDir)
		if err != nil {
			return nil, fmt.Errorf("look at cache directory of compiled policies: %w", err)
		}
		if info.Mode().Perm()&0o022 != 0 {
			return nil, fmt.Errorf("cache directory of compiled policies %s has mode %v: others could put machine code there; chmod it to 0700 or name another",
				e.cacheDir, info.Mode().Perm())
		}
	}
	return e, nil
}

// Programs is how many programs have been compiled and not closed.
func (e *Engine) Programs() int { return int(e.programs.Load()) }

// Close ends compiling and waits for what the engine does in the background. Programs belong to who compiled them: it is
// an error to leave any open, and they stay usable, but get no more instances.
func (e *Engine) Close() error {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.compiling <- struct{}{}
	<-e.compiling
	e.growing.Wait()
	if n := e.Programs(); n > 0 {
		return fmt.Errorf("close policy engine: %d programs are still open", n)
	}
	return nil
}

// start begins background work, unless the engine is closed. The caller ends it with e.growing.Done.
func (e *Engine) start() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return false
	}
	e.growing.Add(1)
	return true
}

// turn waits for the right to compile.
func (e *Engine) turn(ctx context.Context) (done func(), err error) {
	select {
	case e.compiling <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("wait to compile: %w", ctx.Err())
	}
	e.mu.Lock()
	closed := e.closed
	e.mu.Unlock()
	if closed {
		<-e.compiling
		return nil, errors.New("compile: the policy engine is closed")
	}
	return func() { <-e.compiling }, nil
}
