package meter_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/wasmesh/wasmesh/wasm-policies/engine/meter"
)

// buildGuest compiles testdata/guest as policies in Go are compiled.
func buildGuest(t testing.TB) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "guest.wasm")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-buildmode=c-shared", "-o", out, "./testdata/guest")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "GOFLAGS=")
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, msg)
	}
	wasm, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return wasm
}

func guestOptions() meter.Options {
	return meter.Options{
		AllowImport: func(module, _ string) bool { return module == "wasi_snapshot_preview1" },
		InitialFuel: 1 << 40,
		Limits:      meter.Limits{MaxMemoryPages: 512},
	}
}

// guest is a running instance of the Go guest. It does not use the interpreter, which takes seconds for it.
func guest(t testing.TB, wasm []byte) (work api.Function, fuel api.Global) {
	t.Helper()
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigCompiler().WithMemoryLimitPages(512))
	t.Cleanup(func() { r.Close(ctx) })
	wasi_snapshot_preview1.MustInstantiate(ctx, r)
	mod, err := r.InstantiateWithConfig(ctx, wasm, wazero.NewModuleConfig().WithStartFunctions("_initialize"))
	if err != nil {
		t.Fatal(err)
	}
	return mod.ExportedFunction("work"), mod.ExportedGlobal(meter.FuelExport)
}

// TestGoGuest runs a Go program with its scheduler and collector, metered and not.
func TestGoGuest(t *testing.T) {
	original := buildGuest(t)
	plain, _ := guest(t, original)
	want, err := plain.Call(t.Context(), 2000)
	if err != nil {
		t.Fatal(err)
	}
	metered := mustRewrite(t, original, guestOptions()).Wasm
	var used [2]uint64
	for i := range used { // a new instance each: the same work to the unit, since clock and randomness are fixed
		work, fuel := guest(t, metered)
		before := fuel.Get()
		got, err := work.Call(t.Context(), 2000)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("got %v %v, want %v", got, err, want)
		}
		used[i] = before - fuel.Get()
	}
	if used[0] != used[1] || used[0] == 0 {
		t.Errorf("used %v", used)
	}
	work, fuel := guest(t, metered)
	fuel.(api.MutableGlobal).Set(used[0] / 2)
	if _, err := work.Call(t.Context(), 2000); err == nil || int64(fuel.Get()) >= 0 {
		t.Errorf("half of the budget: %v, %d left", err, int64(fuel.Get()))
	}
}

// BenchmarkRewriteGoGuest rewrites a module of about 2 MB, and compares its run time and size with the original's.
func BenchmarkRewriteGoGuest(b *testing.B) {
	original := buildGuest(b)
	var metered []byte
	b.SetBytes(int64(len(original)))
	for b.Loop() {
		metered = mustRewrite(b, original, guestOptions()).Wasm
	}
	b.ReportMetric(float64(len(metered))/float64(len(original)), "size-ratio")
	b.ReportMetric(ratio(b, original, metered), "exact/unmetered")
}

// ratio compares the best times of calls in turn.
func ratio(b *testing.B, original, metered []byte) float64 {
	plain, _ := guest(b, original)
	charged, _ := guest(b, metered)
	best := [2]time.Duration{time.Hour, time.Hour}
	for range 50 {
		for i, work := range []api.Function{plain, charged} {
			start := time.Now()
			if _, err := work.Call(context.Background(), 200); err != nil {
				b.Fatal(err)
			}
			best[i] = min(best[i], time.Since(start))
		}
	}
	return float64(best[1]) / float64(best[0])
}
