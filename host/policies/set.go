package policies

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
	"github.com/wasmesh/wasmesh/wasm-policies/builtin"
	"github.com/wasmesh/wasmesh/wasm-policies/engine"
	"github.com/wasmesh/wasmesh/wasm-policies/hook"
	"github.com/wasmesh/wasmesh/wasm-policies/hook/metrics"
)

// Blobs is where modules come from: the controller's SyncServiceClient.
type Blobs interface {
	GetBlob(ctx context.Context, request *syncv1.GetBlobRequest, options ...grpc.CallOption) (grpc.ServerStreamingClient[syncv1.GetBlobResponse], error)
}

// Publisher carries what this host says to the controller: catalog.Reporter.
type Publisher interface {
	// PublishPolicies keeps a report until it can be sent; only the newest counts.
	PublishPolicies(report *syncv1.PolicyReport)
	// Reply waits until a reply is taken, or for ctx.
	Reply(ctx context.Context, reply *syncv1.DecisionsReply) error
}

// Config is what a Set is made of.
type Config struct {
	// StateDir is the host's own directory; plan and modules are kept below it.
	StateDir string
	// HostID is named in recorded decisions.
	HostID string
	// Engine compiles modules; whoever made it closes it, after the Set.
	Engine *engine.Engine
	// Blobs may be nil: then modules come from disk alone.
	Blobs     Blobs
	Publisher Publisher
	Logger    *slog.Logger
	Metrics   prometheus.Registerer
	// RecorderBytes bounds the memory of each hook's records; 0 is hook.DefaultRecorderBytes.
	RecorderBytes int
}

// Set is the policies of one host.
type Set struct {
	// Place and Evict decide, from New until Close and after.
	Place, Evict *hook.Hook

	config  Config
	dir     string
	metrics *metrics.Set
	// wake tells the worker of a new plan, changed the reporter of a new state; each holds one token.
	wake, changed chan struct{}
	queries       chan *syncv1.DecisionsQuery

	mu sync.Mutex // guards below
	// plan is the newest.
	plan *syncv1.PolicyPlan
	// working is the id of the generation that is being prepared, and cancel ends that.
	working string
	cancel  context.CancelFunc
	// generations by id; only the worker adds and removes.
	generations map[string]*generation
	// adopted is the plan that generations have been brought in line with.
	adopted *syncv1.PolicyPlan
}

// generation is one that the plan names. Guarded by Set.mu, except for what does not change.
type generation struct {
	meta *syncv1.Generation
	role syncv1.PolicyRole
	// failed: it cannot be used, and message says why. Tried again when the plan changes.
	failed  bool
	message string
	// retryAt is when to try again what may pass; attempts in a row make it later.
	retryAt  time.Time
	attempts int
	// program and decider are set when it is prepared.
	program *engine.Program
	decider *hook.Generation
	trial   hook.Preflighted
}

// New makes a Set that decides by the built-in policies, and reads the plan that was on disk; Run puts it into effect.
func New(config Config) (*Set, error) {
	s := &Set{
		config: config, dir: filepath.Join(config.StateDir, "policies"),
		wake: make(chan struct{}, 1), changed: make(chan struct{}, 1), queries: make(chan *syncv1.DecisionsQuery, maxQueries),
		generations: make(map[string]*generation),
	}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return nil, fmt.Errorf("make directory of policies: %w", err)
	}
	var err error
	if s.metrics, err = metrics.New(config.Metrics); err != nil {
		return nil, fmt.Errorf("register metrics of policies: %w", err)
	}
	if s.Place, err = s.hook(policyabi.HookPlace); err != nil {
		return nil, err
	}
	if s.Evict, err = s.hook(policyabi.HookEvict); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if s.plan, err = s.loadPlan(); err != nil {
		config.Logger.Warn("policies on disk are unusable; the built-in ones decide until the controller says better", "error", err)
	}
	return s, nil
}

func (s *Set) hook(of policyabi.Hook) (*hook.Hook, error) {
	h, err := hook.New(hook.Config{
		Hook: of, BuiltIn: builtin.Default(of), Host: s.config.HostID, RecorderBytes: s.config.RecorderBytes,
		Observer: s.metrics.Observer(of), Changed: func() { signal(s.changed) }, Logger: s.config.Logger,
	})
	if err == nil {
		s.metrics.Decides(of, h.BuiltIn(), builtInGeneration)
	}
	return h, err
}

// Run works towards the newest plan until ctx ends. What decides then goes on deciding.
func (s *Set) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { s.report(ctx) })
	wg.Go(func() { s.reply(ctx) })
	s.work(ctx)
	wg.Wait()
	return nil
}

// Close leaves decisions to the built-in policies and lets go of all programs. Run must have returned.
func (s *Set) Close() error {
	for _, h := range []*hook.Hook{s.Place, s.Evict} {
		if h != nil {
			h.Deactivate()
			h.Shadow(nil)
			h.Close()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, g := range s.generations {
		g.release()
		delete(s.generations, id)
	}
	return nil
}

// PolicyPlan has the Set work towards this plan from now on. It returns at once. The message must not be changed afterwards.
func (s *Set) PolicyPlan(plan *syncv1.PolicyPlan) {
	s.mu.Lock()
	s.plan = plan
	if s.working != "" && !mentions(plan, s.working) {
		s.cancel()
	}
	s.mu.Unlock()
	signal(s.wake)
}

// Current reports whether the place hook decides as the newest plan wants: by its active generation, unless that cannot be
// used. A host that is still preparing it decides for others only when no other can.
func (s *Set) Current() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, entry := range s.plan.GetEntries() {
		if entry.GetRole() != syncv1.PolicyRole_POLICY_ROLE_ACTIVE || entry.GetGeneration().GetHook() != policyabi.HookPlace.String() {
			continue
		}
		if g := s.generations[entry.GetGeneration().GetId()]; g == nil || !g.failed && g.decider == nil {
			return false
		}
	}
	return true
}

func mentions(plan *syncv1.PolicyPlan, id string) bool {
	for _, entry := range plan.GetEntries() {
		if entry.GetGeneration().GetId() == id {
			return true
		}
	}
	return false
}

func (g *generation) release() {
	if g.program != nil {
		g.program.Release()
		g.program, g.decider = nil, nil
	}
}

// byName is the hook of a generation; nil for one that this host does not decide by policies.
func (s *Set) byName(name string) *hook.Hook {
	switch name {
	case policyabi.HookPlace.String():
		return s.Place
	case policyabi.HookEvict.String():
		return s.Evict
	}
	return nil
}

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
