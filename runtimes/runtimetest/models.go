package runtimetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// life follows one model from its load to its second unload.
func (s *suite) life(t *testing.T) {
	ctx, adapter := s.host(t)
	const id = "life__isvc-0000000001"
	s.absent(ctx, t, adapter, id)
	s.load(ctx, t, adapter, s.Good(t, id))
	s.present(ctx, t, adapter, id)
	for _, nth := range []string{"first", "second"} {
		if err := adapter.Unload(ctx, id); err != nil {
			t.Fatalf("%s Unload: %v", nth, err)
		}
		s.absent(ctx, t, adapter, id)
	}
	s.load(ctx, t, adapter, s.Good(t, id))
	s.present(ctx, t, adapter, id)
}

// unknown asks after a model that was never loaded.
func (s *suite) unknown(t *testing.T) {
	ctx, adapter := s.host(t)
	const id = "never__isvc-0000000002"
	if err := adapter.Unload(ctx, id); err != nil {
		t.Errorf("Unload of an unknown model: %v; want success", err)
	}
	s.absent(ctx, t, adapter, id)
}

// broken expects the server's own words, nothing left behind, and no harm to other models or to a later try.
func (s *suite) broken(t *testing.T) {
	ctx, adapter := s.host(t)
	const id, other = "broken__isvc-0000000003", "sound__isvc-0000000004"
	s.load(ctx, t, adapter, s.Good(t, other))
	_, err := adapter.Load(ctx, s.Broken(t, id))
	wantRejected(t, err)
	if !strings.Contains(err.Error(), s.BrokenWords) {
		t.Errorf("the refusal reads %q; want the server's words %q in it", err, s.BrokenWords)
	}
	s.absent(ctx, t, adapter, id)
	s.present(ctx, t, adapter, other)

	s.load(ctx, t, adapter, s.Good(t, id))
	s.present(ctx, t, adapter, id)
}

// concurrent loads and unloads several models at once.
func (s *suite) concurrent(t *testing.T) {
	ctx, adapter := s.host(t)
	ids := make([]string, 6)
	for i := range ids {
		ids[i] = fmt.Sprintf("many-%d__isvc-0000000005", i)
	}
	atOnce := func(call string, do func(id string) error) {
		t.Helper()
		var wg sync.WaitGroup
		for _, id := range ids {
			wg.Go(func() {
				if err := do(id); err != nil {
					t.Errorf("%s %s beside others: %v", call, id, err)
				}
			})
		}
		wg.Wait()
	}
	models := make(map[string]func() error, len(ids))
	for _, id := range ids {
		model := s.Good(t, id)
		models[id] = func() error { _, err := adapter.Load(ctx, model); return err }
	}
	atOnce("Load", func(id string) error { return models[id]() })
	for _, id := range ids {
		s.present(ctx, t, adapter, id)
	}
	atOnce("Unload", func(id string) error { return adapter.Unload(ctx, id) })
	for _, id := range ids {
		s.absent(ctx, t, adapter, id)
	}
}

// hostDied leaves models loaded and goes on with a new adapter, which knows of none of them.
func (s *suite) hostDied(t *testing.T) {
	ctx, dead := s.host(t)
	ids := []string{"orphan-1__isvc-0000000006", "orphan-2__isvc-0000000007"}
	for _, id := range ids {
		s.load(ctx, t, dead, s.Good(t, id))
		s.present(ctx, t, dead, id)
	}
	ctx, adapter := s.host(t)
	for _, id := range ids {
		s.absent(ctx, t, adapter, id)
	}
	s.load(ctx, t, adapter, s.Good(t, ids[0]))
	s.present(ctx, t, adapter, ids[0])
}

// hostDiedLoading breaks the connection while the server loads; the next host must find the way free.
func (s *suite) hostDiedLoading(t *testing.T) {
	ctx, _ := s.host(t)
	const id = "half__isvc-0000000011"
	dying := s.Open(t)
	model, started := s.Slow(t, id)
	ended := make(chan error, 1)
	go func() {
		_, err := dying.Load(ctx, model)
		ended <- err
	}()
	if err := started(ctx); err != nil {
		t.Fatalf("the server did not begin to load: %v", err)
	}
	if err := dying.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	if err := <-ended; err == nil {
		t.Error("Load over a closed connection succeeded")
	}
	ctx, adapter := s.host(t)
	s.absent(ctx, t, adapter, id)
	s.load(ctx, t, adapter, s.Good(t, id))
	s.present(ctx, t, adapter, id)
}

// givenUp cancels a load that the server is at, and unloads at once, before Load has returned.
func (s *suite) givenUp(t *testing.T) {
	ctx, adapter := s.host(t)
	const id = "given-up__isvc-0000000008"
	model, started := s.Slow(t, id)
	loading, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := adapter.Load(loading, model)
		ended <- err
	}()
	if err := started(ctx); err != nil {
		t.Fatalf("the server did not begin to load: %v", err)
	}
	if _, err := adapter.Status(ctx); err != nil {
		t.Errorf("Status while a model loads: %v", err)
	}
	cancel()
	if err := adapter.Unload(ctx, id); err != nil {
		t.Errorf("Unload of a model whose load was just given up: %v", err)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Load that was given up: %v; want context.Canceled", err)
	}
	s.absent(ctx, t, adapter, id)

	s.load(ctx, t, adapter, s.Good(t, id))
	s.present(ctx, t, adapter, id)
}

// late lets a load run into its deadline; nobody but the adapter unloads.
func (s *suite) late(t *testing.T) {
	ctx, adapter := s.host(t)
	const id = "late__isvc-0000000009"
	model, _ := s.Slow(t, id)
	loading, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if _, err := adapter.Load(loading, model); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Load past its deadline: %v; want context.DeadlineExceeded", err)
	}
	s.absent(ctx, t, adapter, id)
}
