package engine_test

import (
	"encoding/binary"
	"errors"
	"flag"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
	"github.com/wasmesh/wasmesh/wasm-policies/engine"
)

// The fault that this test is for, a program that is closed under a caller, took tens of millions of calls to show in a
// counter that looked right. `make bench-swap` runs it with 1,000 swaps and 10^8 calls.
var (
	swaps = flag.Int("swaps", 40, "programs that replace another in TestSwapRace")
	calls = flag.Float64("calls", 1e6, "calls in TestSwapRace")
)

// swapped is a program in use, and how many times it has been called.
type swapped struct {
	current atomic.Pointer[engine.Program]
	done    atomic.Int64
	busy    atomic.Int64
	late    atomic.Int64
}

// Callers ask whatever program is current while it is replaced over and over: no call fails, each is answered by one
// program from beginning to end, and nothing is left behind.
func TestSwapRace(t *testing.T) {
	const callers = 8
	goroutines := runtime.NumGoroutine()
	e, err := engine.New(engine.Config{Limits: engine.Limits{Instances: callers}})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	var s swapped
	s.current.Store(generation(t, e, 0))
	var running sync.WaitGroup
	for range callers {
		running.Go(func() { s.call(t, int64(*calls)) })
	}
	for n := 1; n <= *swaps; n++ {
		next := generation(t, e, int32(n))
		for s.done.Load() < int64(*calls)*int64(n)/int64(*swaps+1) && !t.Failed() {
			runtime.Gosched()
		}
		s.current.Swap(next).Release()
	}
	running.Wait()
	took := time.Since(began)
	if n := e.Programs(); n != 1 {
		t.Errorf("%d programs are open, want the last one alone", n)
	}
	s.current.Load().Release()
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if n := e.Programs(); n != 0 {
		t.Errorf("%d programs are open after the last one was released", n)
	}
	// A goroutine that is waited for no more may have its last step to do.
	for n := 0; n < 10_000 && runtime.NumGoroutine() > goroutines; n++ {
		runtime.Gosched()
	}
	if n := runtime.NumGoroutine(); n > goroutines {
		t.Errorf("%d goroutines, %d before", n, goroutines)
	}
	t.Logf("%d calls over %d swaps in %v (%.0f ns each): %d found the pool busy, %d the program just replaced",
		s.done.Load(), *swaps, took.Round(time.Millisecond), float64(took.Nanoseconds())/float64(s.done.Load()), s.busy.Load(), s.late.Load())
}

// generation is a program that answers with its number.
func generation(t *testing.T, e *engine.Engine, number int32) *engine.Program {
	p, err := e.Compile(t.Context(), engine.Source{Name: "swapped", Module: policy(answering(16, number), 0).wasm()})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// call until all callers together have done so many.
func (s *swapped) call(t *testing.T, total int64) {
	request := placement(1)
	for s.done.Load() < total && !t.Failed() {
		const batch = 100
		good := int64(0)
		for range batch {
			if s.callOnce(t, request) {
				good++
			}
		}
		s.done.Add(good)
	}
}

// callOnce is false when the call is to be made again: a pool that is busy or a program that has just been replaced are
// no failures, as the caller decides without the policy or with the next.
func (s *swapped) callOnce(t *testing.T, request *policyabi.PlaceRequest) bool {
	p := s.current.Load()
	i, err := p.Acquire()
	switch {
	case errors.Is(err, engine.ErrBusy):
		s.busy.Add(1)
		return false
	case errors.Is(err, engine.ErrClosed):
		s.late.Add(1)
		return false
	case err != nil:
		t.Errorf("acquire: %v", err)
		return false
	}
	defer i.Release()
	b, err := i.Buffer(request.Size())
	if err != nil {
		t.Errorf("buffer: %v", err)
		return false
	}
	request.Encode(b)
	answer, _, err := i.Call(policyabi.HookPlace, request.Size(), budget)
	if err != nil || len(answer) != 16 {
		t.Errorf("call: answer of %d bytes, %v", len(answer), err)
		return false
	}
	if number := int32(binary.LittleEndian.Uint32(answer)); number < 0 || int(number) > *swaps {
		t.Errorf("answer %d is of no program", number)
		return false
	}
	return true
}
