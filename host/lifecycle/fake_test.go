package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wasmesh/wasmesh/host/lifecycle/machine"
	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/host/storage"
	"github.com/wasmesh/wasmesh/runtimes"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// runtime is a programmable inference server. Every model takes modelBytes.
type runtime struct {
	mu       sync.Mutex // guards below
	down     bool
	lost     chan struct{} // Closed when the server dies.
	holds    map[string]bool
	serving  map[string]int // Requests in flight by model, as the test counts them.
	loads    map[string]int
	underway map[string]int // Loads and Unloads that have not returned.
	unloads  []string
	resets   int
	mistakes []string

	// Programming.
	loadTime time.Duration
	// silence is how long the server keeps who asks for its status waiting.
	silence  time.Duration
	loadErr  map[string]error
	loadHook func(modelID string)
	capacity int64
}

const modelBytes = 10

func newRuntime() *runtime {
	return &runtime{
		lost: make(chan struct{}), holds: map[string]bool{}, serving: map[string]int{}, loads: map[string]int{}, underway: map[string]int{},
		loadErr: map[string]error{}, loadTime: 2 * time.Second,
	}
}

// program changes how the server behaves, or looks at it.
func (r *runtime) program(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

var errDown = &runtimes.Error{Kind: runtimes.Unavailable, Message: "connection refused"}

func (r *runtime) Status(ctx context.Context) (runtimes.Status, error) {
	r.mu.Lock()
	down, silence := r.down, r.silence
	r.mu.Unlock()
	select {
	case <-time.After(silence):
	case <-ctx.Done():
		return runtimes.Status{}, ctx.Err()
	}
	if down {
		return runtimes.Status{}, errDown
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return runtimes.Status{Version: "fake", CapacityBytes: r.capacity}, nil
}

func (r *runtime) Reset(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down {
		return errDown
	}
	r.resets++
	clear(r.holds)
	return nil
}

// begin notes a call, of which there may be one for a model.
func (r *runtime) begin(modelID string) (end func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.underway[modelID]++; r.underway[modelID] > 1 {
		r.mistakes = append(r.mistakes, "two calls for "+modelID+" at once")
	}
	return func() { r.program(func() { r.underway[modelID]-- }) }
}

func (r *runtime) Load(ctx context.Context, model runtimes.Model) (runtimes.Loaded, error) {
	defer r.begin(model.ID)()
	r.mu.Lock()
	r.loads[model.ID]++
	err, hook, lost, down, loadTime := r.loadErr[model.ID], r.loadHook, r.lost, r.down, r.loadTime
	if r.holds[model.ID] {
		r.mistakes = append(r.mistakes, "load of "+model.ID+", which is held")
	}
	r.mu.Unlock()
	if hook != nil {
		hook(model.ID)
	}
	if down {
		return runtimes.Loaded{}, errDown
	}
	select {
	case <-time.After(loadTime):
	case <-lost:
		return runtimes.Loaded{}, errDown
	case <-ctx.Done():
		return runtimes.Loaded{}, ctx.Err()
	}
	if err != nil {
		return runtimes.Loaded{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.holds[model.ID] = true
	return runtimes.Loaded{SizeBytes: modelBytes}, nil
}

func (r *runtime) Unload(_ context.Context, modelID string) error {
	defer r.begin(modelID)()
	time.Sleep(100 * time.Millisecond)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down {
		return errDown
	}
	if r.serving[modelID] > 0 {
		r.mistakes = append(r.mistakes, "unload of "+modelID+" with a request in flight")
	}
	delete(r.holds, modelID)
	r.unloads = append(r.unloads, modelID)
	return nil
}

func (r *runtime) Holds(_ context.Context, modelID string) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.holds[modelID], nil
}

func (r *runtime) WaitLost(ctx context.Context) error {
	r.mu.Lock()
	lost := r.lost
	r.mu.Unlock()
	select {
	case <-lost:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// die takes the server down with everything in it; revive brings it back empty.
func (r *runtime) die() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down = true
	clear(r.holds)
	clear(r.serving) // Whatever was in flight has failed.
	close(r.lost)
}

func (r *runtime) revive() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down = false
	r.lost = make(chan struct{})
}

// infer is a request to a model that the caller holds a lease on: false when the server does not hold it.
func (r *runtime) infer(modelID string, takes time.Duration) bool {
	r.mu.Lock()
	ok := r.holds[modelID] && !r.down
	r.serving[modelID]++
	lost := r.lost
	r.mu.Unlock()
	select {
	case <-time.After(takes):
	case <-lost:
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.serving[modelID]--
	return ok
}

func (r *runtime) counts() (loads map[string]int, unloads []string, mistakes []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.loads), append([]string(nil), r.unloads...), append([]string(nil), r.mistakes...)
}

// artifacts is storage in which every model is there, unless programmed otherwise by path.
type artifacts struct {
	mu      sync.Mutex // guards below
	present map[string]bool
	pulls   int
	err     map[string]error
	// pullTime is not to be changed once a pull may run.
	pullTime time.Duration
}

func newArtifacts() *artifacts {
	return &artifacts{present: map[string]bool{}, err: map[string]error{}}
}

func (a *artifacts) Size(_ context.Context, ref *syncv1.StorageReference) (int64, int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return modelBytes * 4 / 5, 1, a.err[ref.GetPath()]
}

func (a *artifacts) Pull(ctx context.Context, modelID string, ref *syncv1.StorageReference) (storage.Artifact, error) {
	select {
	case <-time.After(a.pullTime):
	case <-ctx.Done():
		return storage.Artifact{}, ctx.Err()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pulls++
	a.present[modelID] = true
	return storage.Artifact{Path: "/models/" + modelID, Bytes: modelBytes * 4 / 5}, nil
}

func (a *artifacts) fail(path string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.err[path] = err
}

func (a *artifacts) has(modelID string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.present[modelID]
}

func (a *artifacts) Remove(_ context.Context, modelID string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.present, modelID)
	return nil
}

// mesh records what is published.
type mesh struct {
	mu     sync.Mutex // guards below
	copies map[string]*syncv1.Copy
	state  syncv1.RuntimeState
	load   *syncv1.Load
}

func (p *mesh) Publish(c *syncv1.Copy) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.copies[c.GetModelId()] = c
}

func (p *mesh) PublishOffer(c *syncv1.Copy) { p.Publish(c) }

func (p *mesh) Withdraw(modelID string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.copies, modelID)
}

func (p *mesh) PublishLoad(load *syncv1.Load) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.load = load
}

func (p *mesh) PublishRuntime(state syncv1.RuntimeState, _ string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state = state
}

func (p *mesh) copy(modelID string) *syncv1.Copy {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.copies[modelID]
}

func (p *mesh) figures() (*syncv1.Load, syncv1.RuntimeState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.load, p.state
}

// host is an Executor that runs, with what it works on.
type host struct {
	*Executor
	t         *testing.T
	runtime   *runtime
	artifacts *artifacts
	mesh      *mesh
	told      *toldPolicies
	metrics   *prometheus.Registry
	stop      func()
}

// run starts an Executor in a bubble and has body use it; afterwards everything must have ended, and nothing in the fakes
// gone wrong.
func run(t *testing.T, config Config, body func(t *testing.T, h *host)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := &host{
			t: t, runtime: newRuntime(), artifacts: newArtifacts(), mesh: &mesh{copies: map[string]*syncv1.Copy{}},
			told: &toldPolicies{}, metrics: prometheus.NewRegistry(),
		}
		config.Machine.Runtime = "r"
		deps := Deps{
			Runtime: h.runtime, Artifacts: h.artifacts, Publisher: h.mesh, Policies: h.told, Logger: slog.New(slog.DiscardHandler), Metrics: h.metrics,
		}
		if o, ok := config.Machine.Mesh.(*others); ok {
			deps.Mesh = o
		}
		e, err := New(config, deps)
		if err != nil {
			t.Fatal(err)
		}
		h.Executor = e
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- e.Run(ctx) }()
		h.stop = sync.OnceFunc(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("Run: %v", err)
			}
		})
		defer h.stop()
		body(t, h)
		h.stop()
		if _, _, mistakes := h.runtime.counts(); len(mistakes) > 0 {
			t.Errorf("mistakes: %v", mistakes)
		}
	})
}

// capacity is a Config for so many models.
func capacity(models int64) Config {
	return Config{Machine: machine.Config{Capacity: modelcache.Resources{modelcache.HostMemory: models * modelBytes}}}
}

// catalog adds models that are loaded on request only.
func (h *host) catalog(ids ...string) {
	h.t.Helper()
	var change machine.CatalogChanged
	for _, id := range ids {
		change.Upserts = append(change.Upserts, &syncv1.Model{
			Id: id, Runtimes: []string{"elsewhere", "r"}, Storage: &syncv1.StorageReference{Path: id},
		})
	}
	if err := h.CatalogChanged(h.t.Context(), change); err != nil {
		h.t.Fatal(err)
	}
}

// acquire takes a lease within a virtual minute.
func (h *host) acquire(modelID string) (*Lease, error) {
	ctx, cancel := context.WithTimeout(h.t.Context(), time.Minute)
	defer cancel()
	return h.Acquire(ctx, modelID)
}

// use is one request that must succeed.
func (h *host) use(modelID string) {
	h.t.Helper()
	lease, err := h.acquire(modelID)
	if err != nil {
		h.t.Error(err)
		return
	}
	lease.Release()
}

// mustAcquire is for a test's own goroutine.
func (h *host) mustAcquire(modelID string) *Lease {
	h.t.Helper()
	lease, err := h.acquire(modelID)
	if err != nil {
		h.t.Fatal(err)
	}
	return lease
}

// names makes n model ids.
func names(n int) (ids []string) {
	for i := range n {
		ids = append(ids, fmt.Sprintf("m%d", i))
	}
	return ids
}

// metric answers the value of a gauge or counter, or the count of a histogram.
func (h *host) metric(name string) float64 {
	h.t.Helper()
	families, err := h.metrics.Gather()
	if err != nil {
		h.t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			m := family.GetMetric()[0]
			switch {
			case m.GetHistogram() != nil:
				return float64(m.GetHistogram().GetSampleCount())
			case m.GetCounter() != nil:
				return m.GetCounter().GetValue()
			}
			return m.GetGauge().GetValue()
		}
	}
	h.t.Fatalf("no metric %s", name)
	return 0
}

var errPickle = errors.New("cannot unpickle")
