package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wasmesh/wasmesh/host/lifecycle/machine"
	"github.com/wasmesh/wasmesh/host/route"
	"github.com/wasmesh/wasmesh/host/storage"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

func outcomeOf(err error) route.Outcome {
	if e, ok := errors.AsType[*route.Error](err); ok {
		return e.Outcome
	}
	return route.Internal
}

// What people see of a model's use follows its use, and not only its state.
func TestUseIsToldAsItGoesOn(t *testing.T) {
	run(t, capacity(3), func(t *testing.T, h *host) {
		h.catalog("m")
		told := func() *syncv1.Copy {
			time.Sleep(usePause + figuresInterval)
			synctest.Wait()
			h.mesh.mu.Lock()
			defer h.mesh.mu.Unlock()
			return h.mesh.copies["m"]
		}
		lease := h.mustAcquire("m")
		used := time.Now()
		if c := told(); c.GetLastUsedMs() != used.UnixMilli() || c.GetInFlight() != 1 {
			t.Fatalf("with a request in flight: %v", c)
		}
		lease.Release()
		if c := told(); c.GetLastUsedMs() != used.UnixMilli() || c.GetInFlight() != 0 {
			t.Fatalf("after the request: %v", c)
		}
	})
}

func TestOneLoadForTwoHundredRequests(t *testing.T) {
	run(t, capacity(3), func(t *testing.T, h *host) {
		h.catalog("m")
		var answered atomic.Int64
		var group sync.WaitGroup
		for range 200 {
			group.Go(func() {
				lease, err := h.acquire("m")
				if err != nil {
					t.Error(err)
					return
				}
				answered.Add(1)
				lease.Release()
			})
		}
		group.Wait()
		loads, _, _ := h.runtime.counts()
		if answered.Load() != 200 || loads["m"] != 1 || h.artifacts.pulls != 1 {
			t.Fatalf("%d of 200 answered, by %d loads and %d pulls", answered.Load(), loads["m"], h.artifacts.pulls)
		}
		if n := h.metric("modelmesh_cache_miss_milliseconds"); n != 200 {
			t.Fatalf("%v cache misses counted", n)
		}
	})
}

// Ten models take turns in the memory of three: nobody is refused, and memory is never overspent.
func TestRoundRobinOverTooManyModels(t *testing.T) {
	run(t, capacity(3), func(t *testing.T, h *host) {
		models := names(10)
		h.catalog(models...)
		over := make(chan struct{})
		watch, cancel := context.WithCancel(t.Context())
		go func() {
			defer close(over)
			for watch.Err() == nil {
				held := h.metric("wasmesh_ledger_used_bytes") + h.metric("wasmesh_ledger_reserved_bytes") + h.metric("wasmesh_ledger_draining_bytes")
				if limit := h.metric("wasmesh_ledger_capacity_bytes"); held > limit || limit != 3*modelBytes {
					t.Errorf("%v of %v bytes held", held, limit)
				}
				time.Sleep(50 * time.Millisecond)
			}
		}()
		var group sync.WaitGroup
		for n := range 300 {
			group.Go(func() {
				model := models[n%len(models)]
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				lease, err := h.Acquire(ctx, model)
				if err != nil {
					t.Errorf("request %d: %v", n, err)
					return
				}
				defer lease.Release()
				if !h.runtime.infer(model, 10*time.Millisecond) {
					t.Errorf("request %d reached a runtime that does not hold %s", n, model)
				}
			})
			time.Sleep(20 * time.Millisecond)
		}
		group.Wait()
		cancel()
		<-over
		evictions, loads := h.metric("wasmesh_evictions_total"), h.metric("modelmesh_loadmodel_milliseconds")
		if loads < 10 || evictions < loads-3 || h.metric("modelmesh_age_at_eviction_milliseconds") != evictions {
			t.Fatalf("%v loads, %v evictions", loads, evictions)
		}
	})
}

// Requests of all kinds against few slots: no copy is unloaded under a request, nobody is left waiting.
func TestManyRequestsManyModels(t *testing.T) {
	config := capacity(2)
	config.Machine.Loads = 2
	run(t, config, func(t *testing.T, h *host) {
		models := names(5)
		h.catalog(models...)
		h.runtime.program(func() { h.runtime.loadTime = 20 * time.Millisecond })
		var group sync.WaitGroup
		for worker := range 40 {
			group.Go(func() {
				for n := range 20 {
					model := models[(worker*7+n*n)%len(models)]
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+worker%5)*time.Second)
					lease, err := h.Acquire(ctx, model)
					cancel()
					if err == nil {
						if !h.runtime.infer(model, time.Duration(n)*time.Millisecond) {
							t.Errorf("%s is leased, but the runtime does not hold it", model)
						}
						lease.Release()
						lease.Release() // Once more does nothing.
					} else if outcomeOf(err) != route.DeadlineExceeded {
						t.Error(err)
					}
				}
			})
		}
		group.Wait()
		time.Sleep(30 * time.Second)
		h.stop()
		if n := h.machine.Ledger().Stats().InFlight; n != 0 || len(h.work.cancels) != 0 || h.machine.Stats().Waiting != 0 {
			t.Fatalf("all have ended, but %d requests are in flight, %d loads can be cancelled, stats %+v", n, len(h.work.cancels), h.machine.Stats())
		}
	})
}

func TestDrainBeforeUnload(t *testing.T) {
	run(t, capacity(3), func(t *testing.T, h *host) {
		h.catalog("m")
		lease := h.mustAcquire("m")
		if err := h.CatalogChanged(t.Context(), machine.CatalogChanged{Removed: []string{"m"}}); err != nil {
			t.Fatal(err)
		}
		if _, ok := h.TryAcquire("m"); ok {
			t.Fatal("a model that is draining takes requests")
		}
		if !h.runtime.infer("m", time.Minute) {
			t.Fatal("the request in flight lost its model")
		}
		if _, unloads, _ := h.runtime.counts(); len(unloads) != 0 || h.mesh.copy("m").GetState() != syncv1.CopyState_COPY_STATE_DRAINING {
			t.Fatalf("unloaded %v while a request is in flight; state %v", unloads, h.mesh.copy("m").GetState())
		}
		lease.Release()
		time.Sleep(time.Second)
		if _, unloads, _ := h.runtime.counts(); len(unloads) != 1 || h.artifacts.has("m") {
			t.Fatalf("unloaded %v, files present %v", unloads, h.artifacts.has("m"))
		}
		if _, err := h.acquire("m"); outcomeOf(err) != route.UnknownModel {
			t.Fatalf("err = %v", err)
		}
	})
}

// A request that cannot wait for the load goes away; the load goes on, and the next request finds the model.
func TestDeadlineShorterThanLoad(t *testing.T) {
	run(t, capacity(3), func(t *testing.T, h *host) {
		h.catalog("m")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := h.Acquire(ctx, "m")
		want := `the deadline passed after 1s of waiting for model "m", which is being loaded by the runtime; its load goes on, so try again`
		if outcomeOf(err) != route.DeadlineExceeded || err.Error() != want {
			t.Fatalf("err = %v", err)
		}
		gone, cancelNow := context.WithCancel(t.Context())
		cancelNow()
		if _, err := h.Acquire(gone, "m"); outcomeOf(err) != route.Cancelled {
			t.Fatalf("err = %v", err)
		}
		time.Sleep(2 * time.Second)
		lease, ok := h.TryAcquire("m")
		if !ok {
			t.Fatal("the load did not go on")
		}
		lease.Release()
		if loads, _, _ := h.runtime.counts(); loads["m"] != 1 {
			t.Fatalf("%d loads", loads["m"])
		}
	})
}

func TestFailedLoadsAreTriedAgain(t *testing.T) {
	run(t, capacity(3), func(t *testing.T, h *host) {
		h.catalog("m", "nowhere")
		h.runtime.program(func() { h.runtime.loadErr["m"] = errPickle })
		_, err := h.acquire("m")
		if outcomeOf(err) != route.LoadFailed || !strings.Contains(err.Error(), errPickle.Error()) {
			t.Fatalf("err = %v", err)
		}
		if refused, _ := errors.AsType[*route.Error](err); refused.RetryAfter != 5*time.Second {
			t.Fatalf("retry after %v", refused.RetryAfter)
		}
		if _, err := h.acquire("m"); outcomeOf(err) != route.LoadFailed {
			t.Fatalf("err = %v", err)
		}
		if loads, _, _ := h.runtime.counts(); loads["m"] != 1 {
			t.Fatalf("%d loads within the pause", loads["m"])
		}
		h.runtime.program(func() { delete(h.runtime.loadErr, "m") })
		time.Sleep(10 * time.Second)
		lease, ok := h.TryAcquire("m")
		if !ok {
			t.Fatalf("not tried again; m is %v", h.mesh.copy("m").GetState())
		}
		lease.Release()

		h.artifacts.fail("nowhere", &storage.Error{Kind: storage.NotFound, Message: "s3://models/nowhere does not exist"})
		if _, err := h.acquire("nowhere"); outcomeOf(err) != route.LoadFailed || !strings.Contains(err.Error(), "s3://models/nowhere does not exist") {
			t.Fatalf("err = %v", err)
		}
		if f := h.mesh.copy("nowhere").GetFailure(); f.GetReason() != syncv1.FailureReason_FAILURE_REASON_MODEL_LOAD_FAILED || f.GetAttempts() != 1 || f.GetRetryAtMs() <= f.GetTimeMs() {
			t.Fatalf("published failure %v", f)
		}
	})
}

func TestLoadThatTakesTooLong(t *testing.T) {
	config := capacity(3)
	config.LoadTimeout = 30 * time.Second
	run(t, config, func(t *testing.T, h *host) {
		h.catalog("m")
		h.runtime.program(func() { h.runtime.loadTime = time.Hour })
		_, err := h.acquire("m")
		if outcomeOf(err) != route.LoadFailed || !strings.Contains(err.Error(), "did not load the model in time") {
			t.Fatalf("err = %v", err)
		}
	})
}

// The catalog is acknowledged when CatalogChanged returns, so by then a new model must have been published.
func TestNewModelsArePublishedBeforeTheCatalogIsAcknowledged(t *testing.T) {
	run(t, capacity(3), func(t *testing.T, h *host) {
		row := &syncv1.Model{Id: "m", Runtimes: []string{"r"}}
		if err := h.CatalogChanged(t.Context(), machine.CatalogChanged{Upserts: []*syncv1.Model{row}}); err != nil {
			t.Fatal(err)
		}
		if state := h.mesh.copy("m").GetState(); state != syncv1.CopyState_COPY_STATE_QUEUED && state != syncv1.CopyState_COPY_STATE_LOADING {
			t.Fatalf("published as %v", state)
		}
		time.Sleep(10 * time.Second)
		if c := h.mesh.copy("m"); c.GetState() != syncv1.CopyState_COPY_STATE_LOADED || c.GetSize().GetHostMemoryBytes() != modelBytes {
			t.Fatalf("published %v", c)
		}
		if load, _ := h.mesh.figures(); load.GetUsed().GetHostMemoryBytes() != modelBytes {
			t.Fatalf("load figures %v", load)
		}
		if err := h.CatalogChanged(t.Context(), machine.CatalogChanged{Removed: []string{"m"}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if c := h.mesh.copy("m"); c != nil {
			t.Fatalf("still published: %v", c)
		}
	})
}

// ModelMesh's dashboards look for these.
func TestMetricNames(t *testing.T) {
	run(t, capacity(3), func(t *testing.T, h *host) {
		h.catalog("m", "broken")
		h.runtime.program(func() { h.runtime.loadErr["broken"] = errPickle })
		h.use("m")
		if _, err := h.acquire("broken"); err == nil {
			t.Fatal("no error")
		}
		for name, want := range map[string]float64{
			"modelmesh_loadmodel_milliseconds":           1,
			"modelmesh_unloadmodel_milliseconds":         0,
			"modelmesh_model_sizing_milliseconds":        2,
			"modelmesh_loading_queue_delay_milliseconds": 2,
			"modelmesh_cache_miss_milliseconds":          1,
			"modelmesh_age_at_eviction_milliseconds":     0,
			"modelmesh_loaded_model_size_bytes":          1,
			"modelmesh_loadmodel_failure":                1,
			"modelmesh_unloadmodel_attempt_failure":      0,
			"modelmesh_models_loaded_total":              1,
			"modelmesh_models_with_failure_total":        1,
			"modelmesh_models_managed_total":             2,
			"modelmesh_instance_models_total":            1,
			"modelmesh_instance_capacity_bytes":          3 * modelBytes,
			"modelmesh_instance_used_bytes":              modelBytes,
			"modelmesh_instance_used_bps":                10_000. / 3,
			"wasmesh_evictions_total":                    0,
		} {
			if got := h.metric(name); fmt.Sprintf("%.6g", got) != fmt.Sprintf("%.6g", want) {
				t.Errorf("%s = %v, want %v", name, got, want)
			}
		}
	})
}

func TestTryAcquireAllocatesOnlyTheLease(t *testing.T) {
	run(t, capacity(3), func(t *testing.T, h *host) {
		h.catalog("m")
		h.use("m")
		allocations := testing.AllocsPerRun(100, func() {
			lease, _ := h.TryAcquire("m")
			lease.Release()
		})
		if allocations > 1 {
			t.Fatalf("%v allocations for a hit", allocations)
		}
	})
}

// Deadlines that pass at the very moment at which the load ends: whichever comes first, nothing is left acquired.
func TestDeadlineAtTheEndOfTheLoad(t *testing.T) {
	run(t, capacity(20), func(t *testing.T, h *host) {
		models := names(12)
		h.catalog(models...)
		started := time.Now()
		h.use(models[0])
		took := time.Since(started)
		for _, model := range models[1:] {
			var group sync.WaitGroup
			for range 8 {
				group.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), took)
					defer cancel()
					lease, err := h.Acquire(ctx, model)
					if err == nil {
						lease.Release()
					} else if outcomeOf(err) != route.DeadlineExceeded {
						t.Error(err)
					}
				})
			}
			group.Wait()
		}
		time.Sleep(time.Second) // Who gave up in between is let go when its wave comes.
		synctest.Wait()
		if n := h.machine.Ledger().Stats().InFlight; n != 0 {
			t.Fatalf("%d requests in flight when all have ended", n)
		}
	})
}

// A request that gave up makes room for the next in the bounded queue.
func TestWhoGaveUpWaitsNoLonger(t *testing.T) {
	config := capacity(3)
	config.Machine.WaitersPerModel = 1
	run(t, config, func(t *testing.T, h *host) {
		h.catalog("m")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := h.Acquire(ctx, "m"); outcomeOf(err) != route.DeadlineExceeded {
			t.Fatalf("err = %v", err)
		}
		var group sync.WaitGroup
		group.Go(func() { h.use("m") })
		synctest.Wait()
		if _, err := h.acquire("m"); outcomeOf(err) != route.QueueFull {
			t.Fatalf("err = %v", err)
		}
		group.Wait()
	})
}

// A model that is removed while it is being loaded does not hold the runtime up.
func TestRemovedDuringLoad(t *testing.T) {
	run(t, capacity(3), func(t *testing.T, h *host) {
		h.catalog("m", "n")
		h.runtime.program(func() { h.runtime.loadTime = 50 * time.Second })
		var group sync.WaitGroup
		group.Go(func() {
			if _, err := h.acquire("m"); outcomeOf(err) != route.UnknownModel {
				t.Errorf("err = %v", err)
			}
		})
		time.Sleep(time.Second)
		h.runtime.program(func() { h.runtime.loadTime = time.Second })
		if err := h.CatalogChanged(t.Context(), machine.CatalogChanged{Removed: []string{"m"}}); err != nil {
			t.Fatal(err)
		}
		group.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		lease, err := h.Acquire(ctx, "n")
		if err != nil {
			t.Fatal(err)
		}
		lease.Release()
	})
}
