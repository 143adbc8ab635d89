package e2e

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"
)

const mib = 1 << 20

// Ten models, memory for three: every request is answered, and the ledger never promises more than there is.
func TestMoreModelsThanMemory(t *testing.T) {
	const models, capacity, rounds = 10, 100 * mib, 30
	s3 := newStore(t)
	files := map[string]string{"secret.yaml": s3.secret(), "runtime.yaml": fakeRuntime(capacity)}
	for i := range models {
		name := fmt.Sprintf("model-%d", i)
		files[name+".yaml"] = sized(fakeService(name, s3.putFake(name, behaviour{SizeBytes: 30 * mib, LoadMS: 5})), 30*mib)
	}
	m := up(t, files)
	m.untilLoaded("model-0")

	ctx, cancel := context.WithCancel(t.Context())
	var sampler sync.WaitGroup
	var highest float64
	sampler.Go(func() { highest = m.sampleLedger(ctx, "fake-1.x-0") })

	client := m.grpcClient()
	for i := range models * rounds {
		if _, err := infer(t.Context(), client, fmt.Sprintf("model-%d", i%models)); err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
	}
	cancel()
	sampler.Wait()
	t.Logf("highest ledger sum %.0f of %d bytes", highest, capacity)
	if highest == 0 || highest > capacity {
		t.Errorf("the ledger reached %.0f bytes of %d", highest, capacity)
	}

	series, err := m.metrics("fake-1.x-0")
	if err != nil {
		t.Fatal(err)
	}
	loads, evictions := sum(series, "modelmesh_loadmodel_milliseconds_count"), sum(series, "modelmesh_age_at_eviction_milliseconds_count")
	unloads := sum(series, "modelmesh_unloadmodel_milliseconds_count")
	t.Logf("%.0f loads, %.0f evictions, %.0f unloads", loads, evictions, unloads)
	if loads < models || evictions < models-3 || unloads < models-3 {
		t.Errorf("metrics count %.0f loads, %.0f evictions, %.0f unloads for %d models that do not fit", loads, evictions, unloads, models)
	}
	if got := sum(series, "modelmesh_instance_capacity_bytes"); got != capacity {
		t.Errorf("modelmesh_instance_capacity_bytes is %.0f, want %d", got, capacity)
	}
}

// sampleLedger reads the ledger's gauges until ctx ends and answers the highest sum seen.
func (m *mesh) sampleLedger(ctx context.Context, host string) (highest float64) {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return highest
		case <-ticker.C:
		}
		if series, err := m.metrics(host); err == nil {
			highest = max(highest, series["wasmesh_ledger_used_bytes"]+series["wasmesh_ledger_reserved_bytes"]+series["wasmesh_ledger_draining_bytes"])
		}
	}
}

// Two hundred first requests to one model cause one load, and all are answered.
func TestConcurrentFirstRequestsShareOneLoad(t *testing.T) {
	const requests = 200
	s3 := newStore(t)
	m := up(t, map[string]string{
		"secret.yaml":  s3.secret(),
		"runtime.yaml": fakeRuntime(100 * mib),
		// The filler is used last and takes the memory, so that the other is not loaded before somebody asks for it.
		"filler.yaml": sized(fakeService("filler", s3.putFake("filler", behaviour{SizeBytes: 60 * mib})), 60*mib),
	})
	client := m.grpcClient()
	m.untilLoaded("filler")
	if _, err := infer(t.Context(), client, "filler"); err != nil {
		t.Fatal(err)
	}
	m.write("cold.yaml", sized(fakeService("cold", s3.putFake("cold", behaviour{SizeBytes: 60 * mib, LoadMS: 500})), 60*mib))
	m.until("cold", "waits for a request", func(s service) bool { return s.active() == "Standby" })
	before, err := m.metrics("fake-1.x-0")
	if err != nil {
		t.Fatal(err)
	}

	var callers sync.WaitGroup
	errs := make(chan error, requests)
	for range requests {
		callers.Go(func() {
			_, err := infer(t.Context(), client, "cold")
			errs <- err
		})
	}
	callers.Wait()
	for range requests {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	after, err := m.metrics("fake-1.x-0")
	if err != nil {
		t.Fatal(err)
	}
	const loads = "modelmesh_loadmodel_milliseconds_count"
	if n := sum(after, loads) - sum(before, loads); n != 1 {
		t.Errorf("%d first requests caused %.0f loads, want 1", requests, n)
	}
}
