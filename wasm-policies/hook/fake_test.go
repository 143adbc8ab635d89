package hook

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
	"github.com/wasmesh/wasmesh/wasm-policies/builtin"
	"github.com/wasmesh/wasmesh/wasm-policies/engine"
	"github.com/wasmesh/wasmesh/wasm-policies/hook/hooktest"
	"github.com/wasmesh/wasmesh/wasm-policies/hook/internal/header"
)

const (
	answered  = syncv1.DecisionOutcome_DECISION_OUTCOME_ANSWERED
	abstained = syncv1.DecisionOutcome_DECISION_OUTCOME_ABSTAINED
	trapped   = syncv1.DecisionOutcome_DECISION_OUTCOME_TRAPPED
	outOfFuel = syncv1.DecisionOutcome_DECISION_OUTCOME_OUT_OF_FUEL
	invalid   = syncv1.DecisionOutcome_DECISION_OUTCOME_INVALID
	busy      = syncv1.DecisionOutcome_DECISION_OUTCOME_BUSY
	builtIn   = syncv1.DecisionOutcome_DECISION_OUTCOME_BUILT_IN
)

// clock is a time that a test moves.
type clock struct{ ns atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ns.Store(time.UnixMilli(1_700_000_000_000).UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.ns.Load()) }
func (c *clock) forward(d time.Duration) { c.ns.Add(int64(d)) }

func newHook(t *testing.T, of policyabi.Hook, change func(*Config)) *Hook {
	t.Helper()
	config := Config{Hook: of, BuiltIn: builtin.Default(of), Host: "host-0"}
	if change != nil {
		change(&config)
	}
	h, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

func newEngine(t *testing.T) *engine.Engine {
	t.Helper()
	e, err := engine.New(engine.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// compile makes a program that the test owns.
func compile(t *testing.T, e *engine.Engine, m hooktest.Module) *engine.Program {
	t.Helper()
	p, err := e.Compile(t.Context(), engine.Source{Name: "guest", Module: m.Wasm()})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// generation of a module, for as long as the test runs.
func generation(t *testing.T, e *engine.Engine, id string, m hooktest.Module) *Generation {
	t.Helper()
	p := compile(t, e, m)
	t.Cleanup(p.Release)
	return NewGeneration(meta(id), p)
}

func meta(id string) *syncv1.Generation {
	return &syncv1.Generation{Id: id, Policy: "policy-" + id, Hook: "evict"}
}

// evictRequest has so many copies; the first was used longest ago.
func evictRequest(rows int) *policyabi.EvictRequest {
	r := &policyabi.EvictRequest{Context: policyabi.EvictContext{
		NeedMemory: 1 << 30, CapacityMemory: 8 << 30, Purpose: policyabi.PurposeMiss, Name: "incoming"}}
	for i := range rows {
		r.Rows = append(r.Rows, policyabi.EvictRow{
			CopyID: uint64(i + 1), SizeMemory: 1 << 30, LastUsedMs: 1_600_000_000_000 + int64(i)*1000,
			LoadedAtMs: 1_500_000_000_000, Rate: 1000, LoadMs: 500, Name: "model-" + string(rune('a'+i%26)),
		})
	}
	return r
}

func placeRequest(rows int) *policyabi.PlaceRequest {
	r := &policyabi.PlaceRequest{Context: policyabi.PlaceContext{NeedMemory: 1 << 30, Purpose: policyabi.PurposeMiss, Name: "incoming"}}
	for i := range rows {
		r.Rows = append(r.Rows, policyabi.PlaceRow{
			HostKey: uint64(i + 1), FreeMemory: int64(i+1) << 30, CapacityMemory: 64 << 30, Name: "host-" + string(rune('a'+i%26)),
		})
	}
	return r
}

// fake is a program in Go.
type fake struct {
	mu sync.Mutex
	// answer is called with the guest's memory; it answers the length of what it wrote, as a guest does.
	answer func(memory []byte) (length int, fuel uint64, err error)
	// acquireErr is what acquiring gives.
	acquireErr error
	budget     uint64
	calls      atomic.Int64
	memory     []byte
}

func (f *fake) acquire() (instance, error) {
	if f.acquireErr != nil {
		return nil, f.acquireErr
	}
	f.mu.Lock()
	return f, nil
}

func (f *fake) Release() { f.mu.Unlock() }

func (f *fake) Budget(hook policyabi.Hook, rows int) uint64 {
	if f.budget != 0 {
		return f.budget
	}
	return engine.Budget(hook, rows)
}

func (f *fake) Buffer(size int) ([]byte, error) {
	f.memory = make([]byte, size)
	return f.memory, nil
}

func (f *fake) Call(_ policyabi.Hook, length int, _ uint64) ([]byte, uint64, error) {
	f.calls.Add(1)
	response := header.Field(f.memory[:length], header.ResponseOff)
	n, fuel, err := f.answer(f.memory[:length])
	return f.memory[response : response+n], fuel, err
}

// inOrder answers rows as they come.
func inOrder(memory []byte) (int, uint64, error) {
	rows, response := header.Field(memory, header.RowCount), header.Field(memory, header.ResponseOff)
	for i := range rows {
		header.SetField(memory, response+16*i, i)
		header.SetField(memory, response+16*i+4, i)
	}
	return 16 * rows, uint64(100 + rows), nil
}

// counting is an Observer.
type counting struct {
	mu       sync.Mutex
	outcomes map[syncv1.DecisionOutcome]int
	events   map[Event]int
}

func newCounting() *counting {
	return &counting{outcomes: map[syncv1.DecisionOutcome]int{}, events: map[Event]int{}}
}

func (c *counting) Decided(outcome syncv1.DecisionOutcome, _ time.Duration, _ uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.outcomes[outcome]++
}

func (c *counting) Count(event Event, _ string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events[event]++
}

func (c *counting) event(e Event) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.events[e]
}
