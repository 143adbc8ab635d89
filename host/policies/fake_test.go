package policies

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
	"github.com/wasmesh/wasmesh/wasm-policies/engine"
	"github.com/wasmesh/wasmesh/wasm-policies/hook"
	"github.com/wasmesh/wasmesh/wasm-policies/hook/hooktest"
)

const (
	candidate = syncv1.PolicyRole_POLICY_ROLE_CANDIDATE
	active    = syncv1.PolicyRole_POLICY_ROLE_ACTIVE
	shadow    = syncv1.PolicyRole_POLICY_ROLE_SHADOW
	previous  = syncv1.PolicyRole_POLICY_ROLE_PREVIOUS
)

// controller is the other end: it serves modules, and takes reports and replies.
type controller struct {
	mu      sync.Mutex
	modules map[string][]byte
	fetches int
	// hold, if not nil, keeps a fetch waiting until it is closed.
	hold    chan struct{}
	reports []*syncv1.PolicyReport
	replies []*syncv1.DecisionsReply
}

func (c *controller) GetBlob(ctx context.Context, request *syncv1.GetBlobRequest, _ ...grpc.CallOption) (grpc.ServerStreamingClient[syncv1.GetBlobResponse], error) {
	c.mu.Lock()
	c.fetches++
	module, ok := c.modules[string(request.GetDigest())]
	hold := c.hold
	c.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if !ok {
		return nil, status.Error(codes.NotFound, "no generation has that digest")
	}
	return &chunks{rest: module}, nil
}

func (c *controller) PublishPolicies(report *syncv1.PolicyReport) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reports = append(c.reports, report)
}

func (c *controller) Reply(_ context.Context, reply *syncv1.DecisionsReply) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.replies = append(c.replies, reply)
	return nil
}

// states of the last report, by generation.
func (c *controller) states() map[string]*syncv1.PolicyReport_Entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	states := make(map[string]*syncv1.PolicyReport_Entry)
	if len(c.reports) > 0 {
		for _, entry := range c.reports[len(c.reports)-1].GetEntries() {
			states[entry.GetId()] = entry
		}
	}
	return states
}

// chunks is a stream of a module.
type chunks struct {
	grpc.ClientStream
	rest []byte
}

func (c *chunks) Recv() (*syncv1.GetBlobResponse, error) {
	if len(c.rest) == 0 {
		return nil, io.EOF
	}
	n := min(100, len(c.rest))
	chunk := c.rest[:n]
	c.rest = c.rest[n:]
	return &syncv1.GetBlobResponse{Chunk: chunk}, nil
}

// add serves a module and describes it as a generation of the hook evict.
func (c *controller) add(m hooktest.Module) *syncv1.Generation {
	m.Salt += "x"
	return c.addBytes(m.Wasm(), policyabi.HookEvict)
}

func (c *controller) addBytes(module []byte, of policyabi.Hook) *syncv1.Generation {
	digest := sha256.Sum256(module)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.modules == nil {
		c.modules = make(map[string][]byte)
	}
	c.modules[string(digest[:])] = module
	id := sha256.Sum256([]byte(of.String() + string(digest[:])))
	return &syncv1.Generation{
		Id: hex.EncodeToString(id[:6]), Policy: "test-policy", Hook: of.String(), ModuleDigest: digest[:], ModuleBytes: uint64(len(module)),
	}
}

func plan(sequence uint64, entries ...*syncv1.PolicyPlan_Entry) *syncv1.PolicyPlan {
	return &syncv1.PolicyPlan{Version: &syncv1.Version{Term: 1, Sequence: sequence}, Entries: entries}
}

func as(role syncv1.PolicyRole, g *syncv1.Generation) *syncv1.PolicyPlan_Entry {
	return &syncv1.PolicyPlan_Entry{Generation: g, Role: role}
}

// host is a Set that runs.
type host struct {
	*Set
	t          *testing.T
	engine     *engine.Engine
	controller *controller
	registry   *prometheus.Registry
	stopped    bool
	stopRun    func()
}

// start runs a Set in the bubble of a test. Without a controller, there is none to fetch from.
func start(t *testing.T, dir string, c *controller, withController bool) *host {
	t.Helper()
	e, err := engine.New(engine.Config{Limits: engine.Limits{Instances: 2}})
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	config := Config{
		StateDir: dir, HostID: "host-0", Engine: e, Publisher: c, Logger: slog.New(slog.DiscardHandler), Metrics: registry,
		RecorderBytes: 4 << 20,
	}
	if withController {
		config.Blobs = c
	}
	set, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		set.Run(ctx)
	}()
	h := &host{Set: set, t: t, engine: e, controller: c, registry: registry, stopRun: func() { cancel(); <-done }}
	t.Cleanup(h.stop)
	synctest.Wait()
	return h
}

func (h *host) stop() {
	if h.stopped {
		return
	}
	h.stopped = true
	h.stopRun()
	if err := h.Set.Close(); err != nil {
		h.t.Error(err)
	}
	if err := h.engine.Close(); err != nil {
		h.t.Errorf("after Close: %v", err)
	}
}

// apply gives the host a plan and waits until it has done all that it can now.
func (h *host) apply(p *syncv1.PolicyPlan) {
	h.PolicyPlan(p)
	synctest.Wait()
}

// expect checks the state of one generation in the last report.
func (h *host) expect(g *syncv1.Generation, want syncv1.GenerationState) *syncv1.PolicyReport_Entry {
	h.t.Helper()
	entry := h.controller.states()[g.GetId()]
	if entry.GetState() != want {
		h.t.Fatalf("reported %v, want %v", entry, want)
	}
	return entry
}

// evict asks about three copies, and answers which goes first and what generation said so.
func (h *host) evict() (first int, generation string) {
	h.t.Helper()
	request := evictRequest(3)
	got := h.Evict.Evict(request, hook.About{Model: "incoming"})
	if len(got.Answers) != 3 {
		h.t.Fatalf("%d answers, want 3", len(got.Answers))
	}
	encoded := make([]byte, request.Size())
	request.Encode(encoded)
	view, err := policyabi.ViewEvict(encoded)
	if err != nil {
		h.t.Fatal(err)
	}
	if got.Outcome != syncv1.DecisionOutcome_DECISION_OUTCOME_ANSWERED {
		got.Generation = ""
	}
	return hook.Victims(view, got.Answers)[0], got.Generation
}

func evictRequest(rows int) *policyabi.EvictRequest {
	r := &policyabi.EvictRequest{Context: policyabi.EvictContext{NeedMemory: 1 << 30, CapacityMemory: 8 << 30, Name: "incoming"}}
	for i := range rows {
		r.Rows = append(r.Rows, policyabi.EvictRow{
			CopyID: uint64(i + 1), SizeMemory: 1 << 30, LastUsedMs: 1_600_000_000_000 + int64(i)*1000, LoadMs: 500, Name: "model",
		})
	}
	return r
}

// inBubble runs a test where goroutines can be waited for and time is the test's.
func inBubble(t *testing.T, test func(t *testing.T)) { synctest.Test(t, test) }

func sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func clone(g *syncv1.Generation) *syncv1.Generation { return proto.CloneOf(g) }

func newRegistry() *prometheus.Registry { return prometheus.NewRegistry() }
func discard() *slog.Logger             { return slog.New(slog.DiscardHandler) }

// scrape answers values by series; of histograms the counts.
func scrape(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string]float64)
	for _, family := range families {
		for _, m := range family.GetMetric() {
			var labels []string
			for _, label := range m.GetLabel() {
				labels = append(labels, label.GetName()+`="`+label.GetValue()+`"`)
			}
			series := family.GetName() + "{" + strings.Join(labels, ",") + "}"
			values[series] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return values
}
