package policies

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
	"github.com/wasmesh/wasmesh/wasm-policies/hook/hooktest"
)

// A rollback that would not outlive the controller is not reported as done, and is done once it can be kept.
func TestRollBackIsDurable(t *testing.T) {
	b := newBench(t)
	b.hosts = []string{"h1"}
	b.set("a", hooktest.Module{}.Wasm(), nil)
	b.await("a", "evict", programmed, "")
	b.mu.Lock()
	b.broken = errors.New("disk full")
	b.mu.Unlock()
	if message, err := b.RollBack(t.Context(), "evict"); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("rollback: %q, error %v", message, err)
	}
	b.mu.Lock()
	b.broken = nil
	b.mu.Unlock()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		b.mu.Lock()
		kept, planned := string(b.saved.Record), len(b.plan.Entries)
		b.mu.Unlock()
		if strings.Contains(kept, "SUSPENDED") && planned == 1 {
			return // What is left is the other hook's.
		}
		if time.Now().After(deadline) {
			t.Fatalf("kept %s, %d entries in the plan", kept, planned)
		}
	}
}

// The result of a job that ends with its context is taken over by whoever gave the job, who may be in the middle of a step.
func TestResultAtTheEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	w := startWorker(ctx)
	finished := false
	w.offer(func(context.Context) func() {
		cancel()
		return func() { finished = true }
	})
	<-w.ended
	if finished {
		t.Error("it was taken over by the worker")
	}
	w.wait()
	if !finished {
		t.Error("it is lost, and what it holds is never let go of")
	}
}

// Two ConfigMaps with the same content make one generation. It goes by the name of the one that has the hook now.
func TestSameStatusPolicyUnderAnotherName(t *testing.T) {
	b := newBench(t)
	b.set("p1", statusModule{}.wasm(), nil)
	b.await("p1", "status", programmed, "")
	b.set("p0", statusModule{}.wasm(), nil)
	b.await("p0", "status", programmed, "")
	b.ask("m", 0)
	records := b.Recorded(&syncv1.DecisionsQuery{Limit: 1})
	if len(records) != 1 || records[0].GetGeneration().GetPolicy() != "p0" {
		t.Errorf("recorded %v", records)
	}
}
