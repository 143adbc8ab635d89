package mesh

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wasmesh/wasmesh/host/forward"
	"github.com/wasmesh/wasmesh/host/lifecycle"
	"github.com/wasmesh/wasmesh/host/placement"
	"github.com/wasmesh/wasmesh/sdk/modelid"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// Config is what a Mesh is made from.
type Config struct {
	Namespace, HostID string
	// Started is when this host came up.
	Started time.Time
	// Gateway: it has no runtime, holds no copies, and routes and waits all the same.
	Gateway bool
	// CopyConcurrency is how many requests a copy should have at once, at most, before there is another; 0 is
	// DefaultCopyConcurrency. A copy that takes fewer at once goes by that.
	CopyConcurrency int
	// ScaleDownAfter is for how long a copy has not been needed when it is given up; 0 is arbiter.DefaultScaleDownAfter.
	ScaleDownAfter time.Duration
	// DrainTimeout bounds how long a host that leaves hands its copies over; 0 is DefaultDrainTimeout.
	DrainTimeout time.Duration
}

const (
	// DefaultCopyConcurrency keeps a runtime of a few threads busy, with a short queue.
	DefaultCopyConcurrency = 8
	// warmingFor is how long a host counts as having just come.
	warmingFor = time.Minute
)

// Deps are what a Mesh works with; all are required but Blobs.
type Deps struct {
	Catalog  Catalog
	Reporter Reporter
	// Place asks the place policy and records its decision; Note adds to the record what came of it. Both are called on one
	// goroutine.
	Place func(now time.Time, model placement.Model, hosts []placement.Host) placement.Decision
	Note  func(decision uint64, effect string)
	// Current reports whether Place decides by the policy that the controller wants: while it does not, others are asked
	// first.
	Current func() bool
	// Blobs may be nil: then peers do not get policy modules from here.
	Blobs   Blobs
	Logger  *slog.Logger
	Metrics prometheus.Registerer
}

// Runtime says where requests to the copies of this host go.
type Runtime interface {
	Target() forward.Target
}

// Parts are those that need the Mesh to be made, and that it needs to run.
type Parts struct {
	Peers Peers
	// Executor and Runtime are nil for a gateway.
	Executor *lifecycle.Executor
	Runtime  Runtime
	// Forget ends the connections to a peer that has gone; may be nil.
	Forget func(peerAddress string)
}

// Mesh is one host's part in the mesh. Make it with New, give it its Parts, Run it. Its methods are safe for concurrent use.
type Mesh struct {
	config  Config
	deps    Deps
	metrics *metrics

	// What follows is set by Bind.
	peers    Peers
	executor *lifecycle.Executor
	runtime  Runtime
	forget   func(peerAddress string)
	arbiter  *arbiterLoop

	followed *placings
	asks     asks
	flights  flights
	demand   demand
	rows     rows
	figures  figures
	history  *history
	changes  changes
	drain    drain

	// base is what work that outlives the request that caused it runs under; stop ends it.
	base    context.Context
	stop    context.CancelFunc
	workers sync.WaitGroup
	// moved is closed, and replaced, when a host has come, gone or changed its part in the mesh.
	moved atomic.Pointer[chan struct{}]
}

// New makes a Mesh that does nothing before Bind and Run.
func New(config Config, deps Deps) (*Mesh, error) {
	if config.CopyConcurrency <= 0 {
		config.CopyConcurrency = DefaultCopyConcurrency
	}
	if config.DrainTimeout <= 0 {
		config.DrainTimeout = DefaultDrainTimeout
	}
	m := &Mesh{config: config, deps: deps}
	m.base, m.stop = context.WithCancel(context.Background())
	moved := make(chan struct{})
	m.moved.Store(&moved)
	m.asks.mesh, m.asks.flying = m, make(map[string]*flyingAsk)
	m.demand.reporter = deps.Reporter
	m.figures.wake = make(chan struct{}, 1)
	m.changes.init()
	var err error
	if m.history, err = newHistory(m); err != nil {
		return nil, err
	}
	if m.followed, err = newPlacings(); err != nil {
		return nil, err
	}
	if m.metrics, err = newMetrics(deps.Metrics); err != nil {
		return nil, err
	}
	return m, nil
}

// Bind gives the Mesh its parts; once, before any of them runs.
func (m *Mesh) Bind(parts Parts) {
	m.peers, m.executor, m.runtime, m.forget = parts.Peers, parts.Executor, parts.Runtime, parts.Forget
	m.arbiter = newArbiterLoop(m, m.followed)
}

// Run works until ctx ends, and waits for all that it started. An error is a defect of ours; the host cannot go on without
// Run.
func (m *Mesh) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var loops sync.WaitGroup
	loops.Go(func() { m.figures.run(ctx, m) })
	loops.Go(func() { m.reportUse(ctx) })
	loops.Go(func() { m.history.run(ctx) })
	loops.Go(func() { m.changes.run(ctx, m) })
	err := m.arbiter.run(ctx)
	if err == nil && ctx.Err() == nil {
		err = errors.New("run arbiter: it ended by itself")
	}
	cancel()
	loops.Wait()
	m.stop()
	m.workers.Wait()
	return err
}

// key of a model, as residency has it.
func (m *Mesh) key(modelID string) uint64 {
	return uint64(modelid.KeyOf(m.config.Namespace, modelID))
}

// CatalogChanged tells of models that came, changed or went. It returns at once.
func (m *Mesh) CatalogChanged(upserts []*syncv1.Model, removed []string) {
	m.rows.change(m.key, upserts, removed)
	m.arbiter.news.catalogChanged(upserts, removed)
	m.figures.changed()
}

// Synced reports whether it is known what other hosts hold, or there was time enough for it.
func (m *Mesh) Synced() bool {
	select {
	case <-m.peers.Synced():
		return true
	default:
		return false
	}
}

// whenMoved is closed when a host comes, goes or changes its part in the mesh. Take it before looking at the View.
func (m *Mesh) whenMoved() <-chan struct{} { return *m.moved.Load() }
