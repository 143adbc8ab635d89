package live

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/wasmesh/wasmesh/host/forward"
	"github.com/wasmesh/wasmesh/host/storage"
	"github.com/wasmesh/wasmesh/runtimes"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// server is an inference server that is made up: it outlives the host beside it, unless both are killed. It watches over
// what it is told to do.
type server struct {
	world    *world
	name     string
	capacity int64

	mu   sync.Mutex // guards below
	down bool
	lost chan struct{} // closed when it goes down
	// holds is the memory of what is loaded, until its unload has ended; loading of what is being loaded.
	holds, loading map[string]int64
	// serving counts the requests that are being answered from a model.
	serving map[string]int
	// rejects is how many of the next loads fail.
	rejects int
}

func newServer(w *world, name string, capacity int64) *server {
	return &server{
		world: w, name: name, capacity: capacity, lost: make(chan struct{}),
		holds: map[string]int64{}, loading: map[string]int64{}, serving: map[string]int{},
	}
}

var errDown = &runtimes.Error{Kind: runtimes.Unavailable, Message: "connection refused"}

// crash takes it down with everything in it; revive brings it back empty.
func (s *server) crash() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.down {
		s.down = true
		close(s.lost)
		s.empty()
	}
}

func (s *server) revive() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		s.down, s.lost = false, make(chan struct{})
	}
}

func (s *server) empty() {
	clear(s.holds)
	clear(s.serving)
}

func (s *server) rejectNext(loads int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rejects = loads
}

// held are the models that it would answer from.
func (s *server) held() map[string]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := map[string]bool{}
	for id := range s.holds {
		held[id] = true
	}
	return held
}

var (
	errNotFound    = errors.New("no such model")
	errInterrupted = errors.New("connection reset")
)

// infer answers a request with the model's name. errDown: nothing of it came here.
func (s *server) infer(ctx context.Context, request, model string, takes time.Duration) (string, error) {
	s.mu.Lock()
	if s.down {
		s.mu.Unlock()
		return "", errDown
	}
	if _, ok := s.holds[model]; !ok {
		s.mu.Unlock()
		return "", errNotFound
	}
	s.serving[model]++
	lost := s.lost
	s.mu.Unlock()
	s.world.ran(request)
	select {
	case <-time.After(takes):
	case <-lost:
		return "", errInterrupted // crash has forgotten that it serves
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost == lost {
		s.serving[model]--
	}
	return model, ctx.Err()
}

// port is how one start of a host reaches its server. When the host is killed nothing gets through any more.
type port struct {
	*server
	host context.Context
}

// Target implements mesh.Runtime.
func (p *port) Target() forward.Target { return forward.Target{Address: p.name} }

func (p *port) state() (down bool, lost chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.down || p.host.Err() != nil, p.lost
}

// Status implements lifecycle.Runtime.
func (p *port) Status(context.Context) (runtimes.Status, error) {
	if down, _ := p.state(); down {
		return runtimes.Status{}, errDown
	}
	return runtimes.Status{Version: "made up", CapacityBytes: p.capacity, MaxLoadingConcurrency: 2}, nil
}

// Reset implements lifecycle.Runtime.
func (p *port) Reset(context.Context) error {
	if down, _ := p.state(); down {
		return errDown
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.empty()
	return nil
}

// Load implements lifecycle.Runtime.
func (p *port) Load(ctx context.Context, model runtimes.Model) (runtimes.Loaded, error) {
	down, lost := p.state()
	if down {
		return runtimes.Loaded{}, errDown
	}
	size := p.world.sizeOf(model.ID)
	p.mu.Lock()
	reject := p.rejects > 0
	if reject {
		p.rejects--
	}
	_, holds := p.holds[model.ID]
	_, loads := p.loading[model.ID]
	if holds || loads {
		p.world.wrong("%s is told to load %s, which it holds or loads already", p.name, model.ID)
	}
	p.loading[model.ID] = size
	if used := p.used(); used > p.capacity {
		p.world.wrong("%s is given %d bytes of %d: it holds %v and loads %v", p.name, used, p.capacity, p.holds, p.loading)
	}
	p.mu.Unlock()
	err := p.work(ctx, lost, 100*time.Millisecond+time.Duration(size/megabyte)*40*time.Millisecond)
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.loading, model.ID)
	switch {
	case err != nil:
		return runtimes.Loaded{}, err
	case reject || p.world.poisoned(model.ID):
		return runtimes.Loaded{}, &runtimes.Error{Kind: runtimes.ModelRejected, Message: "no such operator"}
	}
	p.holds[model.ID] = size
	return runtimes.Loaded{SizeBytes: size}, nil
}

func (p *port) used() (used int64) {
	for _, size := range p.holds {
		used += size
	}
	for _, size := range p.loading {
		used += size
	}
	return used
}

// work takes a while, unless the server, the host or the call ends before.
func (p *port) work(ctx context.Context, lost <-chan struct{}, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-lost:
	case <-p.host.Done():
	case <-ctx.Done():
		return ctx.Err()
	}
	return errDown
}

// Unload implements lifecycle.Runtime.
func (p *port) Unload(ctx context.Context, modelID string) error {
	down, lost := p.state()
	if down {
		return errDown
	}
	p.mu.Lock()
	if n := p.serving[modelID]; n > 0 {
		p.world.wrong("%s is told to unload %s, from which it answers %d requests", p.name, modelID, n)
	}
	p.mu.Unlock()
	if err := p.work(ctx, lost, 50*time.Millisecond); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.holds, modelID)
	return nil
}

// Holds implements lifecycle.Runtime.
func (p *port) Holds(_ context.Context, modelID string) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.holds[modelID]
	return ok, nil
}

// WaitLost implements lifecycle.Runtime.
func (p *port) WaitLost(ctx context.Context) error {
	_, lost := p.state()
	select {
	case <-lost:
		return nil
	case <-p.host.Done():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// store is a host's disk and the storage behind it, which has all models.
type store struct{ world *world }

// Size implements lifecycle.Artifacts. Files take less than what is loaded from them, as the machine expects.
func (s store) Size(_ context.Context, ref *syncv1.StorageReference) (int64, int, error) {
	return s.world.sizeOf(ref.GetPath()) * 4 / 5, 1, nil
}

// Pull implements lifecycle.Artifacts.
func (s store) Pull(ctx context.Context, modelID string, ref *syncv1.StorageReference) (storage.Artifact, error) {
	select {
	case <-time.After(s.world.pullTime()):
	case <-ctx.Done():
		return storage.Artifact{}, fmt.Errorf("pull %s: %w", modelID, ctx.Err())
	}
	return storage.Artifact{Path: "/models/" + modelID, Bytes: s.world.sizeOf(ref.GetPath()) * 4 / 5}, nil
}

// Remove implements lifecycle.Artifacts.
func (s store) Remove(context.Context, string) error { return nil }
