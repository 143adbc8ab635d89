package engine_test

import (
	"bytes"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
	"github.com/wasmesh/wasmesh/wasm-policies/engine"
)

// callOn asks an acquired instance.
func callOn(t testing.TB, i *engine.Instance, request *policyabi.PlaceRequest) error {
	t.Helper()
	b, err := i.Buffer(request.Size())
	if err != nil {
		return err
	}
	request.Encode(b)
	_, _, err = i.Call(policyabi.HookPlace, request.Size(), budget)
	return err
}

func TestPoolIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := compile(t, newEngine(t, engine.Config{Limits: engine.Limits{Instances: 2}}), engine.Source{Module: policy(abstain, 0).wasm()})
		first, second := acquire(t, p), acquire(t, p)
		began := time.Now()
		if _, err := p.Acquire(); !errors.Is(err, engine.ErrBusy) {
			t.Errorf("error %v, want %v", err, engine.ErrBusy)
		}
		if waited := time.Since(began); waited != 200*time.Microsecond {
			t.Errorf("waited %v", waited)
		}
		if s := p.Stats(); s.Instances != 2 {
			t.Errorf("%+v, want 2 instances", s)
		}
		first.Release()
		second.Release()
	})
}

// A program that is warm serves as many at once as it ever will from the first moment on, and stays so when one fails.
func TestWarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := compile(t, newEngine(t, engine.Config{Limits: engine.Limits{Instances: 3}}), engine.Source{Module: policy(code(opUnreachable), 0).wasm()})
		if err := p.Warm(); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			var all []*engine.Instance
			began := time.Now()
			for range 3 {
				i, err := p.Acquire()
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, i)
			}
			if waited := time.Since(began); waited != 0 {
				t.Errorf("waited %v for instances of a warm program", waited)
			}
			if err := callOn(t, all[0], placement(1)); err == nil {
				t.Error("the guest did not trap")
			}
			for _, i := range all {
				i.Release()
			}
			synctest.Wait()
		}
		if s := p.Stats(); s.Instances != 3 || s.Discarded != 2 || s.Made != 5 {
			t.Errorf("%+v, want 3 instances, and a new one for each of two that failed", s)
		}
	})
}

func TestWarmAfterTheEnd(t *testing.T) {
	e := newEngine(t, engine.Config{})
	p, err := e.Compile(t.Context(), engine.Source{Module: policy(abstain, 0).wasm()})
	if err != nil {
		t.Fatal(err)
	}
	p.Release()
	if err := p.Warm(); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("error %v, want %v", err, engine.ErrClosed)
	}
}

func TestWaiterGetsWhatIsReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := compile(t, newEngine(t, engine.Config{Limits: engine.Limits{Instances: 1}}), engine.Source{Module: policy(abstain, 0).wasm()})
		only := acquire(t, p)
		got := make(chan error)
		go func() {
			i, err := p.Acquire()
			if err == nil {
				err = callOn(t, i, placement(1))
				i.Release()
			}
			got <- err
		}()
		synctest.Wait()
		only.Release()
		if err := <-got; err != nil {
			t.Errorf("who waited got %v", err)
		}
	})
}

// Waiting keeps a program open, too: whoever came in before the owner left is served.
func TestOwnerLeavesFirst(t *testing.T) {
	e := newEngine(t, engine.Config{})
	p, err := e.Compile(t.Context(), engine.Source{Module: policy(abstain, 0).wasm()})
	if err != nil {
		t.Fatal(err)
	}
	i := acquire(t, p)
	if !p.Retain() {
		t.Fatal("an open program cannot be retained")
	}
	p.Release()
	p.Release()
	if err := callOn(t, i, placement(1)); err != nil || e.Programs() != 1 {
		t.Errorf("call in a program that only the caller holds: %v; %d programs", err, e.Programs())
	}
	i.Release()
	if n := e.Programs(); n != 0 {
		t.Errorf("%d programs after the last release", n)
	}
	if p.Retain() {
		t.Error("a closed program was retained")
	}
	if _, err := p.Acquire(); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("acquire: %v, want %v", err, engine.ErrClosed)
	}
	i.Release()
	p.Release()
	if n := e.Programs(); n != 0 {
		t.Errorf("releasing too often made it %d programs", n)
	}
}

func TestInstanceIsNobodysAfterRelease(t *testing.T) {
	p := compile(t, newEngine(t, engine.Config{}), engine.Source{Module: policy(abstain, 0).wasm()})
	i := acquire(t, p)
	i.Release()
	i.Release()
	if err := callOn(t, i, placement(1)); !errors.Is(err, engine.ErrDiscarded) {
		t.Errorf("call after release: %v, want %v", err, engine.ErrDiscarded)
	}
	a, b := acquire(t, p), acquire(t, p)
	if a == b {
		t.Error("released twice, the instance was given to two")
	}
	a.Release()
	b.Release()
}

// Making an instance fails from some moment on: who has one keeps it, and making is tried again, but not in a hurry.
func TestFailureToGrowHurtsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// mesh_configure refuses what begins with something else than 0.
		configure := function{export: "mesh_configure", params: one, results: one, body: code(constant(bufferAt), load(0))}
		p := compile(t, newEngine(t, engine.Config{Limits: engine.Limits{Instances: 2}}),
			engine.Source{Module: policy(abstain, 0, configure).wasm(), Config: []byte{0, 0, 0, 0}})
		i := acquire(t, p)
		p.SetConfig([]byte{1, 0, 0, 0})
		for range 3 {
			if _, err := p.Acquire(); !errors.Is(err, engine.ErrBusy) {
				t.Errorf("acquire: %v, want %v", err, engine.ErrBusy)
			}
		}
		if s := p.Stats(); s.Failed != 1 || s.Instances != 1 {
			t.Errorf("%+v, want one failure and the one instance", s)
		}
		if err := callOn(t, i, placement(1)); err != nil {
			t.Errorf("the instance that there was: %v", err)
		}
		p.SetConfig([]byte{0, 0, 0, 0})
		time.Sleep(time.Second)
		second := acquire(t, p)
		second.Release()
		i.Release()
	})
}

// Memory that is nearly used up, or that grows and grows, ends with its instance.
func TestMemoryIsRecycled(t *testing.T) {
	grow := func(pages int32) []byte { return code(constant(pages), opMemoryGrow, 0, opDrop, constant(0)) }
	tests := []struct {
		name     string
		pages    int32
		calls    int
		recycled int
	}{
		{"little, once", 1, 1, 0},
		{"little, twice", 1, 2, 1},
		{"to three quarters", 191, 1, 0},
		{"beyond three quarters", 192, 1, 1},
		{"beyond, three times", 250, 3, 3},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := compile(t, newEngine(t, engine.Config{Limits: engine.Limits{Instances: 1}}), engine.Source{Module: policy(grow(test.pages), 0).wasm()})
			for range test.calls {
				i := acquire(t, p)
				b, err := i.Buffer(placement(1).Size())
				if err != nil {
					t.Fatal(err)
				}
				placement(1).Encode(b)
				if _, _, err := i.Call(policyabi.HookPlace, placement(1).Size(), 1<<30); err != nil {
					t.Fatal(err)
				}
				i.Release()
			}
			if s := p.Stats(); s.Recycled != test.recycled || s.Discarded != 0 {
				t.Errorf("%+v, want %d recycled", s, test.recycled)
			}
		})
	}
}

// A guest that has called itself a million times deep does not keep the stack that this took.
func TestDeepStackIsGivenBack(t *testing.T) {
	// f(n) = n == 0 ? 0 : f(n-1)
	f := function{params: one, results: one, body: code(opBlock, void, get(0), opBrIf, 0, constant(0), opReturn, opEnd,
		get(0), constant(1), opI32Sub, call(3))}
	p := compile(t, newEngine(t, engine.Config{Limits: engine.Limits{Instances: 1}}),
		engine.Source{Module: policy(code(constant(400_000), call(3)), 0, f).wasm()})
	before := heap()
	if _, used, err := decide(t, p, placement(1), 1<<30); err != nil || used < 1<<20 {
		t.Fatalf("used %d, %v", used, err)
	}
	if kept := heap() - before; kept > 4<<20 {
		t.Errorf("%d bytes are kept after a deep recursion", kept)
	}
	if s := p.Stats(); s.Made != 1 {
		t.Errorf("%+v: want the instance kept", s)
	}
}

// Nor does one whose few calls have large frames: 21,000 units of fuel take 32 MiB here.
func TestLargeFramesAreGivenBack(t *testing.T) {
	// f(n) = n > 0 ? f(n-1) : the sum of 3,000 values, all of which are kept over a call.
	const values = 3000
	var sum []byte
	for n := range values {
		sum = append(sum, code(get(0), load(4*n))...)
	}
	sum = append(sum, call(4)...)
	sum = append(sum, bytes.Repeat([]byte{opI32Add}, values-1)...)
	f := function{params: one, results: one, body: code(
		opBlock, void, get(0), opBrIf, 0, sum, opReturn, opEnd, get(0), constant(1), opI32Sub, call(3))}
	nothing := function{params: none, results: none}
	p := compile(t, newEngine(t, engine.Config{Limits: engine.Limits{Instances: 1}}),
		engine.Source{Module: policy(code(constant(1500), call(3), opDrop, constant(0)), 0, f, nothing).wasm()})
	before := heap()
	if _, used, err := decide(t, p, placement(1), 1<<30); err != nil || used > 1<<16 {
		t.Fatalf("used %d, %v", used, err)
	}
	if kept := heap() - before; kept > 4<<20 {
		t.Errorf("%d bytes are kept after calls with large frames", kept)
	}
	if s := p.Stats(); s.Made != 1 {
		t.Errorf("%+v: want the instance kept", s)
	}
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // The first may leave what has a finalizer.
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// The whole way of a decision allocates nothing.
func TestCallDoesNotAllocate(t *testing.T) {
	p := compile(t, newEngine(t, engine.Config{}), engine.Source{Module: policy(answering(16, 1), 0).wasm()})
	request := placement(10)
	ask := func() {
		i, err := p.Acquire()
		if err != nil {
			t.Fatal(err)
		}
		defer i.Release()
		if err := callOn(t, i, request); err != nil {
			t.Fatal(err)
		}
	}
	if n := testing.AllocsPerRun(100, ask); n != 0 {
		t.Errorf("%v allocations in a call", n)
	}
}
