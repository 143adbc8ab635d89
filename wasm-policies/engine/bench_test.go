package engine_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
	"github.com/wasmesh/wasmesh/wasm-policies/builtin"
	"github.com/wasmesh/wasmesh/wasm-policies/engine"
	"github.com/wasmesh/wasmesh/wasm-policies/engine/meter"
)

// shipped is the default placement policy, in a language that compiles to small modules.
const shipped = "../place-balanced/place-balanced.wasm"

// BenchmarkPolicy compares the shipped placement policy, in a guest with exact fuel, to its twin in Go. The two sides of a
// ratio take turns within one loop, so that both see the same machine; a figure is the quotient of the medians.
//
//	place1000_vs_go             a call over 1,000 rows that are in the guest's memory, and reading the answer
//	place1000_end_to_end_vs_go  the same, and encoding the request
//	fuel_vs_unmetered           the module's function, metered exactly, to the module as it was
//	call_vs_noop                acquire, a call that abstains, and release, to a bare call of wazero
//	allocs_per_call             in acquire, buffer, call, release
//	place1000_us                what the call of place1000_vs_go takes
//	place1000_fuel              and its units of fuel
func BenchmarkPolicy(b *testing.B) {
	wasm, err := os.ReadFile(shipped)
	if err != nil {
		b.Fatal(err)
	}
	e := newEngine(b, engine.Config{})
	request := hosts(1000)
	guest := newGuestSide(b, compile(b, e, engine.Source{Name: "balanced", Module: wasm}), request)
	native := newGoSide(b, request)
	guest.check(b, native)
	metered, plain := newBare(b, wasm, true, request), newBare(b, wasm, false, request)
	nothing := policy(abstain, 0).wasm()
	idle := newGuestSide(b, compile(b, e, engine.Source{Module: nothing}), placement(1))
	noop := newBare(b, nothing, false, placement(1))

	ratios := []*ratio{
		{name: "place1000_vs_go", a: guest.decide, b: native.decide},
		{name: "place1000_end_to_end_vs_go", a: guest.encodeAndDecide, b: native.encodeAndDecide},
		{name: "fuel_vs_unmetered", a: metered.call, b: plain.call},
		{name: "call_vs_noop", a: repeat(idle.cycle), b: repeat(noop.call)},
	}
	b.ResetTimer()
	for range b.N {
		for _, r := range ratios {
			r.sample()
		}
	}
	b.StopTimer()
	for _, r := range ratios {
		b.ReportMetric(r.value(), r.name)
	}
	b.ReportMetric(median(ratios[0].tookA).Seconds()*1e6, "place1000_us")
	b.ReportMetric(testing.AllocsPerRun(100, guest.encodeAndDecide)+testing.AllocsPerRun(100, idle.cycle), "allocs_per_call")
	b.ReportMetric(float64(guest.used), "place1000_fuel")
}

// ratio of the times of two functions.
type ratio struct {
	name         string
	a, b         func()
	tookA, tookB []time.Duration
}

func (r *ratio) sample() {
	began := time.Now()
	r.a()
	between := time.Now()
	r.b()
	r.tookA = append(r.tookA, between.Sub(began))
	r.tookB = append(r.tookB, time.Since(between))
}

func (r *ratio) value() float64 { return float64(median(r.tookA)) / float64(median(r.tookB)) }

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// repeat makes what takes tens of nanoseconds long enough to be measured.
func repeat(f func()) func() {
	return func() {
		for range 200 {
			f()
		}
	}
}

// hosts is a request that ranks so many, as different as hosts of one mesh are: half have room, the others would have to
// evict.
func hosts(n int) *policyabi.PlaceRequest {
	const gib = 1 << 30
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	r := placement(n)
	r.Context = policyabi.PlaceContext{ModelKey: rng.Uint64(), NeedMemory: 2 * gib, NeedSlots: 1, Purpose: policyabi.PurposeMiss, Zone: 1, Name: "model"}
	for i := range r.Rows {
		row := &r.Rows[i]
		*row = policyabi.PlaceRow{
			HostKey: rng.Uint64(), Zone: uint16(1 + rng.IntN(3)), ZoneCopies: uint16(rng.IntN(3)),
			CapacityMemory: 64 * gib, FreeMemory: rng.Int64N(4 * gib), CapacitySlots: 200, FreeSlots: 1 + rng.Int64N(100),
			LoadsQueued: uint32(rng.IntN(4)), InFlight: uint32(rng.IntN(100)), Copies: uint32(rng.IntN(100)),
			Name: fmt.Sprintf("host-%d", i),
		}
		row.Reclaim16th = rng.Int64N(1 << 20)
		row.Reclaim8th = row.Reclaim16th * 3
		row.Reclaim4th = row.Reclaim8th * 3
		row.ReclaimHalf = row.Reclaim4th * 3
	}
	return r
}

// guestSide asks a program.
type guestSide struct {
	b       *testing.B
	program *engine.Program
	request *policyabi.PlaceRequest
	size    int
	fuel    uint64
	used    uint64
	scratch []policyabi.PlaceAnswer
}

// newGuestSide leaves the request in the memory of the one instance that there is.
func newGuestSide(b *testing.B, p *engine.Program, request *policyabi.PlaceRequest) *guestSide {
	g := &guestSide{b: b, program: p, request: request, size: request.Size(), fuel: p.Budget(policyabi.HookPlace, len(request.Rows)),
		scratch: make([]policyabi.PlaceAnswer, 0, len(request.Rows))}
	g.encodeAndDecide()
	return g
}

func (g *guestSide) decide()          { g.run(false) }
func (g *guestSide) encodeAndDecide() { g.run(true) }

func (g *guestSide) run(encode bool) {
	i, err := g.program.Acquire()
	if err != nil {
		g.b.Fatal(err)
	}
	defer i.Release()
	if encode {
		buffer, err := i.Buffer(g.size)
		if err != nil {
			g.b.Fatal(err)
		}
		g.request.Encode(buffer)
	}
	answer, used, err := i.Call(policyabi.HookPlace, g.size, g.fuel)
	if err == nil {
		g.scratch, err = policyabi.AppendPlaceAnswers(g.scratch[:0], answer, len(g.request.Rows))
	}
	if err != nil {
		g.b.Fatal(err)
	}
	g.used = used
}

// cycle is what a call costs beyond what the guest does.
func (g *guestSide) cycle() {
	i, err := g.program.Acquire()
	if err != nil {
		g.b.Fatal(err)
	}
	if _, _, err := i.Call(policyabi.HookPlace, g.size, g.fuel); err != nil {
		g.b.Fatal(err)
	}
	i.Release()
}

// check that both sides decide the same: else it would not be a comparison.
func (g *guestSide) check(b *testing.B, native *goSide) {
	native.decide()
	if len(g.scratch) == 0 || !slices.Equal(g.scratch, native.scratch) {
		b.Fatalf("the guest answers %d placements, Go %d, and not the same", len(g.scratch), len(native.scratch))
	}
}

// goSide decides in Go over the same bytes.
type goSide struct {
	b       *testing.B
	request *policyabi.PlaceRequest
	bytes   []byte
	scratch []policyabi.PlaceAnswer
}

func newGoSide(b *testing.B, request *policyabi.PlaceRequest) *goSide {
	s := &goSide{b: b, request: request, bytes: make([]byte, request.Size()), scratch: make([]policyabi.PlaceAnswer, 0, len(request.Rows))}
	request.Encode(s.bytes)
	return s
}

func (s *goSide) decide() {
	answer, err := builtin.Default(policyabi.HookPlace).Decide(s.bytes)
	if err == nil {
		s.scratch, err = policyabi.AppendPlaceAnswers(s.scratch[:0], answer, len(s.request.Rows))
	}
	if err != nil {
		s.b.Fatal(err)
	}
}

func (s *goSide) encodeAndDecide() {
	s.request.Encode(s.bytes)
	s.decide()
}

// bare is mesh_place of a module, called with wazero and nothing else.
type bare struct {
	b      *testing.B
	place  api.Function
	fuel   api.MutableGlobal
	length uint64
	stack  [1]uint64
}

func newBare(b *testing.B, wasm []byte, metered bool, request *policyabi.PlaceRequest) *bare {
	if metered {
		m, err := meter.Rewrite(wasm, meter.Options{AllowImport: func(_, _ string) bool { return true }})
		if err != nil {
			b.Fatal(err)
		}
		wasm = m.Wasm
	}
	ctx := context.Background()
	r := wazero.NewRuntime(ctx)
	b.Cleanup(func() { _ = r.Close(ctx) })
	quiet := r.NewHostModuleBuilder(policyabi.ImportLogModule).NewFunctionBuilder().WithFunc(func(_, _, _ uint32) {}).Export(policyabi.ImportLog)
	if _, err := quiet.Instantiate(ctx); err != nil {
		b.Fatal(err)
	}
	m, err := r.Instantiate(ctx, wasm)
	if err != nil {
		b.Fatal(err)
	}
	s := &bare{b: b, place: m.ExportedFunction(policyabi.ExportPlace), length: uint64(request.Size())}
	if metered {
		s.fuel = m.ExportedGlobal(meter.FuelExport).(api.MutableGlobal)
		s.fuel.Set(1 << 40)
	}
	address, err := m.ExportedFunction(policyabi.ExportBuffer).Call(ctx, s.length)
	if err != nil {
		b.Fatal(err)
	}
	buffer, ok := m.Memory().Read(uint32(address[0]), uint32(s.length))
	if !ok {
		b.Fatalf("mesh_buf returned %#x", address[0])
	}
	request.Encode(buffer)
	return s
}

func (s *bare) call() {
	if s.fuel != nil {
		s.fuel.Set(1 << 40)
	}
	s.stack[0] = s.length
	if err := s.place.CallWithStack(context.Background(), s.stack[:]); err != nil {
		s.b.Fatal(err)
	}
}

// BenchmarkLoop runs a guest that does not end, until its fuel does, while another goroutine collects garbage: wazero's
// machine code cannot be interrupted, so a collection may have to wait for the guest. What it waits is bounded by the
// budget, and so by what a call of the guest takes.
//
//	loop_ms         what the guest's call takes
//	gc_wait_ms      the longest that a collection took meanwhile
//	gc_wait_vs_loop the one divided by the other
func BenchmarkLoop(b *testing.B) {
	e := newEngine(b, engine.Config{})
	p := compile(b, e, engine.Source{Module: policy(forever, 0).wasm()})
	fuel := engine.Budget(policyabi.HookPlace, 1<<20) // The largest there is.
	var loop, wait time.Duration
	for range b.N {
		stop, collected := make(chan struct{}), make(chan time.Duration)
		go func() {
			longest := time.Duration(0)
			for {
				began := time.Now()
				runtime.GC()
				longest = max(longest, time.Since(began))
				select {
				case <-stop:
					collected <- longest
					return
				default:
				}
			}
		}()
		began := time.Now()
		_, used, err := decide(b, p, placement(1), fuel)
		loop = max(loop, time.Since(began))
		close(stop)
		wait = max(wait, <-collected)
		if err == nil || used != fuel {
			b.Fatalf("used %d of %d: %v", used, fuel, err)
		}
	}
	b.ReportMetric(loop.Seconds()*1e3, "loop_ms")
	b.ReportMetric(wait.Seconds()*1e3, "gc_wait_ms")
	b.ReportMetric(float64(wait)/float64(loop), "gc_wait_vs_loop")
}
