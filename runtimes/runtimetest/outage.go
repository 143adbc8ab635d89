package runtimetest

import (
	"context"
	"errors"
	"testing"

	"github.com/wasmesh/wasmesh/runtimes"
)

// serverDied kills the server beside a host, whose adapter must notice at once, say so, and work again when it is back.
func (s *suite) serverDied(t *testing.T) {
	ctx, adapter := s.host(t)
	const id = "survivor__isvc-0000000010"
	model := s.Good(t, id)
	s.load(ctx, t, adapter, model)
	s.present(ctx, t, adapter, id)

	waiting, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	wait := func() { ended <- adapter.WaitLost(waiting) }
	go wait()
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatalf("WaitLost while the server lives, given up: %v; want context.Canceled", err)
	}

	waiting = ctx
	go wait()
	s.Kill(t)
	if err := <-ended; err != nil {
		t.Fatalf("WaitLost after the server was killed: %v; want nil", err)
	}
	s.down(ctx, t, adapter, id)

	s.Start(t)
	AwaitReady(ctx, t, adapter)
	if err := adapter.Reset(ctx); err != nil {
		t.Fatalf("Reset after the server came back: %v", err)
	}
	s.absent(ctx, t, adapter, id)
	s.load(ctx, t, adapter, model)
	s.present(ctx, t, adapter, id)

	// A loss that nobody waited for is told to the next who asks, although the server is back by then.
	s.Kill(t)
	s.Start(t)
	AwaitReady(ctx, t, adapter)
	if err := adapter.WaitLost(ctx); err != nil {
		t.Errorf("WaitLost after a restart that nobody saw: %v; want nil", err)
	}
}

// down expects of every call that it blames the server.
func (s *suite) down(ctx context.Context, t *testing.T, adapter runtimes.Adapter, id string) {
	t.Helper()
	_, err := adapter.Status(ctx)
	wantUnavailable(t, "Status of a dead server", err)
	wantUnavailable(t, "Reset of a dead server", adapter.Reset(ctx))
	_, err = adapter.Load(ctx, s.Good(t, id))
	wantUnavailable(t, "Load into a dead server", err)
	wantUnavailable(t, "Unload from a dead server", adapter.Unload(ctx, id))
	if !s.CannotTell {
		_, err = adapter.Holds(ctx, id)
		wantUnavailable(t, "Holds of a dead server", err)
	}
	if err := adapter.WaitLost(ctx); err != nil {
		t.Errorf("WaitLost without a server: %v; want nil", err)
	}
}
