package reconcile

import (
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	syncserver "github.com/wasmesh/wasmesh/controller/sync"
)

// BenchmarkPass is one pass over 10,000 InferenceServices of which one was edited, from the source's snapshot to the View,
// without hosts: what lies between an edit and the catalog that hosts are sent.
func BenchmarkPass(b *testing.B) {
	bench := &bench{
		changed: make(chan struct{}, 1),
		mesh:    syncserver.New(syncserver.Config{Term: 1, Logger: slog.New(slog.DiscardHandler)}),
	}
	names := make([]string, 10_000)
	for i := range names {
		names[i] = fmt.Sprintf("m-%05d", i)
	}
	bench.declare(names...)
	loop := New(Config{Source: bench, Mesh: bench.mesh, Store: bench, Logger: slog.New(slog.DiscardHandler)})
	now := time.Now()
	for range 3 {
		now = now.Add(time.Second)
		loop.pass(now)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		snapshot := *bench.Snapshot()
		edited := *snapshot.Objects.InferenceServices[i%len(names)]
		path := fmt.Sprintf("path-%d", i)
		model := *edited.Spec.Predictor.Model
		model.Storage = model.Storage.DeepCopy()
		model.Storage.Path = &path
		edited.Spec.Predictor.Model = &model
		edited.Generation++
		snapshot.Objects.InferenceServices = slices.Clone(snapshot.Objects.InferenceServices)
		snapshot.Objects.InferenceServices[i%len(names)] = &edited
		bench.snapshot.Store(&snapshot)
		now = now.Add(time.Second)
		loop.pass(now)
	}
}
