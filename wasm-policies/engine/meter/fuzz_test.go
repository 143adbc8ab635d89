package meter_test

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/wasmesh/wasmesh/wasm-policies/engine/meter"
)

// outcome is all that a run of a generated program shows.
type outcome struct {
	results string
	trap    string
	memory  []byte
	globals [2]uint64
	fuel    int64 // used
	count   int64 // the program's own count
	hosts   int64 // calls of host functions
}

const runBudget = 200_000

func run(t testing.TB, m machine, wasm []byte, budget int64) outcome {
	t.Helper()
	i := m.mustInstantiate(t, wasm)
	var o outcome
	results, used, err := i.call("run", budget, 12345, 1<<33)
	o.fuel = used
	if err != nil {
		o.trap, _, _ = strings.Cut(err.Error(), "\n")
	} else {
		o.results = string(cat(uleb(int(results[0]))))
	}
	if g := i.ExportedGlobal("count"); g != nil {
		o.count = int64(g.Get())
	}
	o.memory, _ = i.Memory().Read(0, i.Memory().Size())
	o.memory = bytes.Clone(o.memory)
	o.globals = [2]uint64{i.ExportedGlobal("g0").Get(), i.ExportedGlobal("g1").Get()}
	o.hosts = i.hosts
	i.runtime.Close(t.Context())
	return o
}

// same compares what the program itself can bring about.
func (o outcome) same(other outcome) bool {
	return o.results == other.results && o.trap == other.trap && o.globals == other.globals && bytes.Equal(o.memory, other.memory)
}

func (o outcome) overflowed() bool { return strings.Contains(o.trap, "stack overflow") }

// checkProgram holds a generated program to everything the package promises.
func checkProgram(t *testing.T, choices []byte) {
	original := build(choices, false)
	opts := options()
	opts.Limits.MaxMemoryPages = 4
	metered := mustRewrite(t, original, opts).Wasm
	compiler, interpreter := machines()[0], machines()[1]

	exact := run(t, compiler, metered, runBudget)
	if again := run(t, interpreter, metered, runBudget); !exact.overflowed() && !again.overflowed() &&
		(!exact.same(again) || exact.fuel != again.fuel) {
		t.Fatalf("compiler: %q fuel %d, interpreter: %q fuel %d", exact.trap, exact.fuel, again.trap, again.fuel)
	}
	if exact.overflowed() || exact.fuel > runBudget && exact.trap != "" {
		return // the original might run for ever
	}
	if exact.fuel > runBudget+meter.CreditUnits {
		t.Fatalf("returned normally having used %d of %d", exact.fuel, runBudget)
	}
	if plain := run(t, compiler, original, 0); !plain.same(exact) {
		t.Fatalf("original: %q %v, metered: %q %v", plain.trap, plain.globals, exact.trap, exact.globals)
	}
	counted := run(t, compiler, build(choices, true), 0)
	if want := counted.count + genHostCost*counted.hosts; exact.trap == "" && exact.fuel != want || exact.fuel < counted.count {
		t.Fatalf("fuel %d, %d executed, of which %d calls of the host (%q)", exact.fuel, want, counted.hosts, exact.trap)
	}

	opts.Mode = meter.Coarse
	coarse := run(t, compiler, mustRewrite(t, original, opts).Wasm, 1<<40)
	if !coarse.same(exact) || coarse.trap == "" && coarse.fuel < exact.fuel {
		t.Fatalf("coarse: %q fuel %d, exact: %q fuel %d", coarse.trap, coarse.fuel, exact.trap, exact.fuel)
	}
	checkBudget(t, metered, exact)
}

// checkBudget runs the program again with what it needs, and with less.
func checkBudget(t *testing.T, metered []byte, full outcome) {
	compiler := machines()[0]
	if enough := run(t, compiler, metered, full.fuel); !enough.same(full) {
		t.Fatalf("with the %d units that it needs: %q, with more: %q", full.fuel, enough.trap, full.trap)
	}
	if full.trap != "" {
		return
	}
	short := full.fuel - meter.CreditUnits - 1
	for _, budget := range []int64{0, short / 2, short} {
		if budget < 0 {
			continue
		}
		if less := run(t, compiler, metered, budget); less.trap != "wasm error: unreachable" || less.fuel <= budget {
			t.Fatalf("with %d of the %d units that it needs: %q, used %d", budget, full.fuel, less.trap, less.fuel)
		}
	}
}

// FuzzRewrite compares programs made from the choices with their metered forms.
func FuzzRewrite(f *testing.F) {
	for seed := range uint64(50) {
		f.Add(randomChoices(seed))
	}
	f.Fuzz(checkProgram)
}

func randomChoices(seed uint64) []byte {
	random := rand.New(rand.NewPCG(seed, 3))
	choices := make([]byte, 100+random.IntN(1500))
	for i := range choices {
		choices[i] = byte(random.Uint32())
	}
	return choices
}
