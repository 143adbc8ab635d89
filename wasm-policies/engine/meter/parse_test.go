package meter_test

import (
	"errors"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/wasmesh/wasmesh/wasm-policies/engine/meter"
)

// FuzzParse feeds damaged modules: nothing panics, every error is a refusal, and a module that both the package and the
// engine accept is accepted by the engine after rewriting too.
func FuzzParse(f *testing.F) {
	names, err := filepath.Glob("testdata/*.wasm")
	if err != nil || len(names) == 0 {
		f.Fatalf("no test modules: %v", err)
	}
	for _, name := range names {
		f.Add(readFile(f, filepath.Base(name)))
	}
	for seed := range uint64(20) {
		f.Add(build(randomChoices(seed), false))
	}
	f.Add(richModule(nil))
	f.Fuzz(checkBytes)
}

func checkBytes(t *testing.T, wasm []byte) {
	for _, mode := range []meter.Mode{meter.Exact, meter.Coarse, meter.Off} {
		opts := options()
		opts.Mode = mode
		m, err := meter.Rewrite(wasm, opts)
		if err != nil {
			var refusal *meter.Refusal
			if !errors.As(err, &refusal) || refusal.Rule == "" || refusal.Detail == "" || refusal.Offset > len(wasm) {
				t.Fatalf("%#v", err)
			}
			return
		}
		if compiles(t, wasm) != nil {
			return
		}
		if err := compiles(t, m.Wasm); err != nil {
			t.Fatalf("mode %d: the original compiles, the rewritten module does not: %v", mode, err)
		}
	}
}

// TestDamaged changes single bytes of valid modules, more than the fuzzer's corpus does.
func TestDamaged(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for seed := range uint64(30) {
		wasm := build(randomChoices(seed), false)
		for range 60 {
			damaged := append([]byte(nil), wasm...)
			for range 1 + random.IntN(2) {
				damaged[8+random.IntN(len(damaged)-8)] = byte(random.Uint32())
			}
			checkBytes(t, damaged)
		}
	}
}
