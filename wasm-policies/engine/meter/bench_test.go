package meter_test

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tetratelabs/wazero/api"

	"github.com/wasmesh/wasmesh/wasm-policies/engine/meter"
)

// BenchmarkScore compares the same scoring of 1,000 rows without metering and with either mode, in turn so that a
// change of the machine's speed meets all alike. It reports the ratios of the best times.
func BenchmarkScore(b *testing.B) {
	original := readFile(b, "score.wasm")
	modes := []meter.Mode{meter.Off, meter.Exact, meter.Coarse}
	var runs []func() time.Duration
	for _, mode := range modes {
		opts := options()
		opts.Mode = mode
		runs = append(runs, scorer(b, mustRewrite(b, original, opts).Wasm))
	}
	best := make([]time.Duration, len(modes))
	for b.Loop() {
		for i, run := range runs {
			if d := run(); best[i] == 0 || d < best[i] {
				best[i] = d
			}
		}
	}
	b.ReportMetric(float64(best[1])/float64(best[0]), "exact/unmetered")
	b.ReportMetric(float64(best[2])/float64(best[0]), "coarse/unmetered")
	b.ReportMetric(float64(best[0].Nanoseconds())/scoresPerRun, "unmetered-ns")
}

const scoresPerRun = 100

// scorer returns a function that times scoresPerRun calls.
func scorer(b *testing.B, wasm []byte) func() time.Duration {
	i := machines()[0].mustInstantiate(b, wasm)
	fillRows(b, i)
	score := i.ExportedFunction("score")
	stack := make([]uint64, 3)
	return func() time.Duration {
		if i.fuel != nil {
			i.fuel.Set(1 << 40)
		}
		start := time.Now()
		for range scoresPerRun {
			stack[0], stack[1], stack[2] = 1000, 1<<20, 1_000_000
			if err := score.CallWithStack(context.Background(), stack); err != nil {
				b.Fatal(err)
			}
		}
		return time.Since(start)
	}
}

// fillRows writes 1,000 rows of testdata/score.c, always the same.
func fillRows(t testing.TB, i *instance) {
	t.Helper()
	out, _, err := i.call("rows", 1000)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	le := binary.LittleEndian
	var rows []byte
	for range 1000 {
		rows = le.AppendUint64(rows, 8<<30)
		rows = le.AppendUint64(rows, random.Uint64N(8<<30))
		rows = le.AppendUint64(rows, random.Uint64N(1_000_000))
		for _, n := range []uint32{1000, 10, 4, 16} {
			rows = le.AppendUint32(rows, random.Uint32N(n))
		}
		rows = append(rows, make([]byte, 24)...)
	}
	if !i.Memory().Write(api.DecodeU32(out[0]), rows) {
		t.Fatal("rows do not fit")
	}
}

// BenchmarkShapes is BenchmarkScore for the least favourable code: loops and functions of a few instructions.
func BenchmarkShapes(b *testing.B) {
	original := readFile(b, "shapes.wasm")
	for _, shape := range []struct {
		export string
		arg    uint64
	}{{"sum", 20_000}, {"fib", 16}} {
		b.Run(shape.export, func(b *testing.B) {
			var calls [3]*instance
			var best [3]time.Duration
			for i, mode := range []meter.Mode{meter.Off, meter.Exact, meter.Coarse} {
				opts := options()
				opts.Mode = mode
				calls[i] = machines()[0].mustInstantiate(b, mustRewrite(b, original, opts).Wasm)
			}
			for b.Loop() {
				for i, c := range calls {
					start := time.Now()
					if _, _, err := c.call(shape.export, 1<<40, shape.arg); err != nil {
						b.Fatal(err)
					}
					if d := time.Since(start); best[i] == 0 || d < best[i] {
						best[i] = d
					}
				}
			}
			b.ReportMetric(float64(best[1])/float64(best[0]), "exact/unmetered")
			b.ReportMetric(float64(best[2])/float64(best[0]), "coarse/unmetered")
		})
	}
}
