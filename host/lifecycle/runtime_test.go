package lifecycle

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wasmesh/wasmesh/host/lifecycle/machine"
	"github.com/wasmesh/wasmesh/host/route"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

func TestRuntimeLostUnderLoad(t *testing.T) {
	run(t, capacity(3), func(t *testing.T, h *host) {
		models := names(3)
		h.catalog(models...)
		for _, model := range models {
			h.use(model)
		}
		held := h.mustAcquire("m0")
		h.runtime.die()
		synctest.Wait()
		if _, ok := h.TryAcquire("m0"); ok {
			t.Fatal("a model is found in a runtime that is gone")
		}
		if _, state := h.mesh.figures(); state != syncv1.RuntimeState_RUNTIME_STATE_UNAVAILABLE {
			t.Fatalf("runtime is published as %v", state)
		}
		var group sync.WaitGroup
		for n := range 30 {
			group.Go(func() {
				lease, err := h.acquire(models[n%3])
				if err != nil {
					t.Error(err)
					return
				}
				if !h.runtime.infer(models[n%3], time.Millisecond) {
					t.Error("woken for a model that is not there")
				}
				lease.Release()
			})
		}
		time.Sleep(5 * time.Second)
		h.runtime.revive()
		group.Wait()
		held.Release()
		loads, _, _ := h.runtime.counts()
		for _, model := range models {
			if loads[model] != 2 {
				t.Errorf("%s was loaded %d times, want once before and once after", model, loads[model])
			}
		}
	})
}

// Without a request, what was loaded comes back by itself.
func TestModelsComeBackWithTheRuntime(t *testing.T) {
	run(t, capacity(3), func(t *testing.T, h *host) {
		h.catalog("m")
		h.use("m")
		h.runtime.die()
		time.Sleep(time.Second)
		h.runtime.revive()
		time.Sleep(10 * time.Second)
		lease, ok := h.TryAcquire("m")
		if !ok {
			t.Fatalf("m is %v", h.mesh.copy("m").GetState())
		}
		lease.Release()
	})
}

func TestRuntimeDiesDuringLoad(t *testing.T) {
	run(t, capacity(3), func(t *testing.T, h *host) {
		h.catalog("killer", "fine")
		h.runtime.program(func() {
			h.runtime.loadHook = func(modelID string) {
				if modelID == "killer" {
					h.runtime.die()
					time.AfterFunc(time.Second, h.runtime.revive)
				}
			}
		})
		var group sync.WaitGroup
		group.Go(func() {
			if _, err := h.acquire("killer"); outcomeOf(err) != route.LoadFailed || !strings.Contains(err.Error(), "twice") {
				t.Errorf("request for the killer: %v", err)
			}
		})
		group.Go(func() {
			lease, err := h.acquire("fine")
			if err != nil {
				t.Errorf("request for a model beside it: %v", err)
				return
			}
			lease.Release()
		})
		group.Wait()
		loads, _, _ := h.runtime.counts()
		if loads["killer"] != 2 {
			t.Errorf("the killer was loaded %d times", loads["killer"])
		}
	})
}

func TestPanicOfAnAdapterFailsOneModel(t *testing.T) {
	run(t, capacity(3), func(t *testing.T, h *host) {
		h.catalog("bad", "good")
		h.runtime.program(func() {
			h.runtime.loadHook = func(modelID string) {
				if modelID == "bad" {
					panic("index out of range")
				}
			}
		})
		if _, err := h.acquire("bad"); outcomeOf(err) != route.LoadFailed || !strings.Contains(err.Error(), "index out of range") {
			t.Fatalf("err = %v", err)
		}
		h.use("good")
	})
}

// While there is doubt whether the runtime lives nobody is sent to it; a false alarm costs a moment.
func TestSuspect(t *testing.T) {
	run(t, capacity(3), func(t *testing.T, h *host) {
		h.catalog("m")
		h.use("m")
		h.runtime.program(func() { h.runtime.silence = time.Second }) // So that the doubt lasts.
		h.Suspect()
		h.Suspect()
		if _, ok := h.TryAcquire("m"); ok {
			t.Fatal("found although the runtime is in doubt")
		}
		h.use("m") // Waits for the answer.
		if loads, _, _ := h.runtime.counts(); loads["m"] != 1 {
			t.Fatalf("a false alarm cost %d loads", loads["m"]-1)
		}
		h.runtime.program(func() { h.runtime.down = true }) // Dead, though nothing says so on the connection.
		h.Suspect()
		time.AfterFunc(time.Second, h.runtime.revive)
		lease := h.mustAcquire("m")
		defer lease.Release()
		if loads, _, _ := h.runtime.counts(); loads["m"] != 2 {
			t.Fatalf("%d loads, want a second one after the loss", loads["m"])
		}
	})
}

// A runtime that is too busy to answer is not lost.
func TestSuspectOfABusyRuntime(t *testing.T) {
	run(t, capacity(3), func(t *testing.T, h *host) {
		h.catalog("m")
		h.use("m")
		h.runtime.program(func() { h.runtime.silence = time.Hour })
		time.AfterFunc(30*time.Second, func() { h.runtime.program(func() { h.runtime.silence = 0 }) })
		h.Suspect()
		h.use("m")
		if loads, _, _ := h.runtime.counts(); loads["m"] != 1 {
			t.Fatalf("%d loads", loads["m"])
		}
	})
}

func TestForgot(t *testing.T) {
	run(t, capacity(3), func(t *testing.T, h *host) {
		h.catalog("m")
		lease := h.mustAcquire("m")
		if h.Forgot(t.Context(), "m") {
			t.Fatal("forgotten although the runtime holds it")
		}
		h.runtime.program(func() { delete(h.runtime.holds, "m") })
		var group sync.WaitGroup
		for range 20 {
			group.Go(func() {
				if !h.Forgot(t.Context(), "m") {
					t.Error("not forgotten although the runtime does not hold it")
				}
				if !h.runtime.infer("m", 0) {
					again, err := h.acquire("m")
					if err != nil {
						t.Error(err)
						return
					}
					again.Release()
				}
			})
		}
		lease.Release() // The last request that was in flight has got its NOT_FOUND, too.
		group.Wait()
		if loads, _, _ := h.runtime.counts(); loads["m"] != 2 {
			t.Fatalf("%d loads, want one more", loads["m"])
		}
	})
}

func TestStopRefusesWhoWaitsAndEmptiesTheRuntime(t *testing.T) {
	run(t, capacity(3), func(t *testing.T, h *host) {
		h.catalog("m", "n")
		h.use("m")
		h.runtime.program(func() { h.runtime.loadTime = time.Hour })
		var group sync.WaitGroup
		group.Go(func() {
			if _, err := h.acquire("n"); outcomeOf(err) != route.NoHost {
				t.Errorf("err = %v", err)
			}
		})
		time.Sleep(time.Second)
		h.stop()
		group.Wait()
		if _, err := h.acquire("n"); outcomeOf(err) != route.NoHost {
			t.Errorf("after the end: %v", err)
		}
		if err := h.CatalogChanged(t.Context(), machine.CatalogChanged{}); err == nil {
			t.Error("a stopped executor takes a catalog")
		}
		if len(h.runtime.holds) != 0 || h.runtime.resets != 2 {
			t.Errorf("runtime still holds %v after %d resets", h.runtime.holds, h.runtime.resets)
		}
	})
}

// Doubt about a runtime that is known to be down holds nobody back from the queue, which is bounded.
func TestSuspectWhileTheRuntimeIsDown(t *testing.T) {
	config := capacity(3)
	config.Machine.WaitersPerModel = 1
	run(t, config, func(t *testing.T, h *host) {
		h.catalog("m")
		h.use("m")
		h.runtime.die()
		time.Sleep(time.Second)
		h.Suspect()
		var group sync.WaitGroup
		group.Go(func() { h.use("m") })
		time.Sleep(time.Second)
		if _, err := h.acquire("m"); outcomeOf(err) != route.QueueFull {
			t.Fatalf("err = %v", err)
		}
		h.runtime.revive()
		group.Wait()
	})
}

// The runtime dies without a word on the connection, and the first to notice is a load. The model is not to blame.
func TestLoadFindsTheRuntimeDead(t *testing.T) {
	run(t, capacity(3), func(t *testing.T, h *host) {
		h.catalog("m", "n")
		h.artifacts.pullTime = 0 // So that the next attempt would come before the loss is known.
		h.use("n")
		h.runtime.program(func() { h.runtime.down, h.runtime.silence = true, time.Second })
		time.AfterFunc(10*time.Second, func() {
			h.runtime.program(func() { h.runtime.silence = 0 })
			h.runtime.revive()
		})
		h.use("m")
	})
}

// A load that goes on although the runtime was lost and is back: no second one starts beside it.
func TestRuntimeFlapsDuringLoad(t *testing.T) {
	run(t, capacity(3), func(t *testing.T, h *host) {
		h.catalog("m")
		var first sync.Once
		h.runtime.program(func() {
			h.runtime.loadHook = func(string) {
				first.Do(func() { time.Sleep(20 * time.Second) }) // Deaf to its context.
			}
		})
		time.AfterFunc(5*time.Second, func() {
			h.runtime.die()
			h.runtime.revive()
		})
		lease := h.mustAcquire("m")
		defer lease.Release()
		if !h.runtime.infer("m", 0) {
			t.Fatal("woken for a model that the runtime does not hold")
		}
	})
}

// Unloads that wait for their turn are void when the runtime is lost, and hold nobody up when it is back.
func TestRuntimeLostDuringUnloads(t *testing.T) {
	run(t, capacity(40), func(t *testing.T, h *host) {
		models := names(40)
		h.catalog(models...)
		h.runtime.program(func() { h.runtime.loadTime = time.Millisecond })
		for _, model := range models {
			h.use(model)
		}
		if err := h.CatalogChanged(t.Context(), machine.CatalogChanged{Removed: models}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
		h.runtime.die()
		h.runtime.revive()
		h.catalog(models...)
		ctx, cancel := context.WithTimeout(t.Context(), 800*time.Millisecond) // All the unloads take a second.
		defer cancel()
		if lease, err := h.Acquire(ctx, models[0]); err != nil {
			t.Fatal(err)
		} else {
			lease.Release()
		}
		for _, model := range models {
			if lease := h.mustAcquire(model); !h.runtime.infer(model, 0) {
				t.Errorf("%s is served, but the runtime does not hold it", model)
			} else {
				lease.Release()
			}
		}
	})
}

// Run returns when everything that it started has, even what is deaf to the end.
func TestStopWaits(t *testing.T) {
	run(t, capacity(3), func(t *testing.T, h *host) {
		h.catalog("m")
		h.runtime.program(func() {
			h.runtime.loadHook = func(string) { time.Sleep(20 * time.Second) }
		})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if _, err := h.Acquire(ctx, "m"); outcomeOf(err) != route.DeadlineExceeded {
			t.Fatalf("err = %v", err)
		}
		h.stop()
		h.runtime.program(func() {
			if h.runtime.underway["m"] != 0 {
				t.Error("Run returned while a load was under way")
			}
		})
	})
}
