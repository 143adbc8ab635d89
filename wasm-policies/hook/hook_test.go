package hook

import (
	"bytes"
	"errors"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
	"github.com/wasmesh/wasmesh/wasm-policies/builtin"
	"github.com/wasmesh/wasmesh/wasm-policies/engine"
	"github.com/wasmesh/wasmesh/wasm-policies/hook/hooktest"
)

// Whatever a module does, there is an answer: its own, or the built-in policy's.
func TestEveryQuestionIsAnswered(t *testing.T) {
	e := newEngine(t)
	request := evictRequest(5)
	byBuiltIn := newHook(t, policyabi.HookEvict, nil).Evict(request, About{}).Answers
	backward := []uint32{4, 3, 2, 1, 0}
	for name, test := range map[string]struct {
		module *hooktest.Module
		want   syncv1.DecisionOutcome
	}{
		"no module": {nil, builtIn},
		"answers":   {&hooktest.Module{Backward: true}, answered},
		"abstains":  {&hooktest.Module{Fault: hooktest.Abstains}, abstained},
		"traps":     {&hooktest.Module{Fault: hooktest.Traps}, trapped},
		"loops":     {&hooktest.Module{Fault: hooktest.Loops}, outOfFuel},
		"lies":      {&hooktest.Module{Fault: hooktest.Lies}, invalid},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHook(t, policyabi.HookEvict, nil)
			want := ""
			if test.module != nil {
				want = "g1"
				h.Activate(generation(t, e, want, *test.module))
			}
			got := h.Evict(request, About{Model: "incoming"})
			if got.Outcome != test.want || got.Generation != want {
				t.Fatalf("outcome %v of generation %q, want %v of %q", got.Outcome, got.Generation, test.want, want)
			}
			if test.want == answered {
				for i, a := range got.Answers {
					if a.Row != backward[i] {
						t.Fatalf("answers %v, want rows %v", got.Answers, backward)
					}
				}
			} else if !reflect.DeepEqual(got.Answers, byBuiltIn) {
				t.Fatalf("answers %v, want the built-in policy's %v", got.Answers, byBuiltIn)
			}
			record := h.Records(Filter{})[0]
			if record.GetId() != got.Decision || record.GetOutcome() != test.want || record.GetModelId() != "incoming" {
				t.Fatalf("record %v", record)
			}
			recorded, err := policyabi.DecodeEvictAnswers(record.GetAnswer(), 5)
			if err != nil || !reflect.DeepEqual(recorded, got.Answers) {
				t.Fatalf("recorded answer %v, %v; want %v", recorded, err, got.Answers)
			}
			if failed := test.want != answered && test.want != abstained && test.want != builtIn; failed != (record.GetError() != "") {
				t.Fatalf("recorded error %q", record.GetError())
			}
		})
	}
}

func TestPlaceAndStatus(t *testing.T) {
	e := newEngine(t)
	place := newHook(t, policyabi.HookPlace, nil)
	place.Activate(generation(t, e, "g1", hooktest.Module{Backward: true}))
	if got := place.Place(placeRequest(3), About{}); got.Outcome != answered || got.Answers[0].Row != 2 {
		t.Fatalf("place: %+v", got)
	}
	status := newHook(t, policyabi.HookStatus, nil)
	request := &policyabi.StatusRequest{
		Context: policyabi.StatusContext{Transition: policyabi.TransitionUpToDate, HostsConnected: 1},
		Rows:    []policyabi.StatusRow{{Loaded: 1, HostsReady: 1, Name: "m"}},
	}
	if got := status.Status(request, About{}); got.Answer.ActiveState != policyabi.ModelStateLoaded || got.Answer.Ready != 1 {
		t.Fatalf("status: %+v", got)
	}
	if got := status.Status(request, About{}); got.Decision == 0 || got.Outcome != builtIn {
		t.Fatalf("status: %+v", got)
	}
}

// A guest owns its memory, and may write over what it was asked.
func TestRecordsAreWhatTheHostWrote(t *testing.T) {
	h := newHook(t, policyabi.HookEvict, nil)
	h.Activate(newGeneration(meta("g1"), &fake{answer: func(memory []byte) (int, uint64, error) {
		for i := range memory {
			memory[i] = 0xff
		}
		return 0, 0, &engine.Trap{Kind: engine.Trapped, Message: "after the damage"}
	}}))
	request := evictRequest(3)
	got := h.Evict(request, About{})
	record := h.Records(Filter{})[0]
	want := make([]byte, request.Size())
	request.Header.NowMs = record.GetTimeMs()
	request.Encode(want) // The hook has left id and seed in it.
	if !bytes.Equal(record.GetRequest(), want) {
		t.Fatal("the recorded request is not what was asked")
	}
	if len(got.Answers) != 3 {
		t.Fatalf("answers %v", got.Answers)
	}
}

// A request may be used again: each time it is asked at its own time, unless the caller says when.
func TestTimeOfARequest(t *testing.T) {
	c := newClock()
	h := newHook(t, policyabi.HookEvict, func(config *Config) { config.Now = c.now })
	request := evictRequest(1)
	want := c.now().UnixMilli()
	for i := range int64(3) {
		decision := h.Evict(request, About{}).Decision
		if request.Header.DecisionID != decision {
			t.Fatalf("the header has decision %d, want %d", request.Header.DecisionID, decision)
		}
		view, err := policyabi.ViewEvict(h.Records(Filter{})[0].GetRequest())
		if err != nil {
			t.Fatal(err)
		}
		if header := view.Header(); header.NowMs() != want+1000*i {
			t.Fatalf("asked at %d, want %d", header.NowMs(), want+1000*i)
		}
		c.forward(time.Second)
	}
	request.Header.NowMs = 77
	h.Evict(request, About{})
	if record := h.Records(Filter{})[3]; record.GetTimeMs() != 77 {
		t.Fatalf("asked at %d, want the caller's time", record.GetTimeMs())
	}
}

func TestBusyIsNotTheModulesFault(t *testing.T) {
	h := newHook(t, policyabi.HookEvict, nil)
	g := newGeneration(meta("g1"), &fake{acquireErr: engine.ErrBusy})
	h.Activate(g)
	for range 100 {
		if got := h.Evict(evictRequest(2), About{}); got.Outcome != busy || len(got.Answers) != 2 {
			t.Fatalf("got %+v", got)
		}
	}
	if f := g.Figures(time.Now()); f.Degraded || f.Failed != 100 || f.Problem != "" {
		t.Fatalf("figures %+v", f)
	}
	// A shadow without an instance has not been asked, and has not failed.
	observer := newCounting()
	beside := newHook(t, policyabi.HookEvict, func(c *Config) { c.Observer = observer })
	beside.Shadow(g)
	beside.Evict(evictRequest(2), About{})
	for observer.event(ShadowDropped) == 0 {
		runtime.Gosched()
	}
	if f := g.Figures(time.Now()); f.Failed != 100 || f.Compared != 0 {
		t.Fatalf("figures %+v after a shadow was busy", f)
	}
}

// A request that the recorder has no room for is decided all the same.
func TestRequestLargerThanTheRecorder(t *testing.T) {
	observer := newCounting()
	h := newHook(t, policyabi.HookEvict, func(c *Config) { c.RecorderBytes, c.Observer = 1<<10, observer })
	if got := h.Evict(evictRequest(100), About{}); len(got.Answers) != 100 {
		t.Fatalf("%d answers, want 100", len(got.Answers))
	}
	if observer.event(Unrecorded) != 1 || len(h.Records(Filter{})) != 0 {
		t.Fatal("want one decision unrecorded, and that counted")
	}
}

func TestDegradedGenerationRestsAndIsProbed(t *testing.T) {
	c, changed := newClock(), atomic.Int64{}
	h := newHook(t, policyabi.HookEvict, func(config *Config) {
		config.Now, config.Changed = c.now, func() { changed.Add(1) }
	})
	program := &fake{answer: func([]byte) (int, uint64, error) {
		return 0, 0, &engine.Trap{Kind: engine.Trapped, Message: "division by zero"}
	}}
	g := newGeneration(meta("g1"), program)
	h.Activate(g)
	ask := func(want syncv1.DecisionOutcome, calls int64) {
		t.Helper()
		if got := h.Evict(evictRequest(2), About{}); got.Outcome != want || len(got.Answers) != 2 {
			t.Fatalf("got %+v, want %v", got, want)
		}
		if n := program.calls.Load(); n != calls {
			t.Fatalf("the guest was called %d times, want %d", n, calls)
		}
	}
	for i := range int64(5) {
		ask(trapped, i+1)
	}
	if f := g.Figures(c.now()); !f.Degraded || f.Failed != 5 || !strings.Contains(f.Problem, "division by zero") || changed.Load() != 1 {
		t.Fatalf("figures %+v, told %d times; want degraded, told once", f, changed.Load())
	}
	ask(builtIn, 5)
	if record := h.Records(Filter{})[0]; !strings.Contains(record.GetError(), "rests") {
		t.Fatalf("record %v does not say that the generation rests", record)
	}
	c.forward(time.Second)
	ask(trapped, 6) // the probe
	c.forward(time.Second)
	ask(builtIn, 6) // two seconds of rest now
	c.forward(time.Second)
	program.answer = inOrder
	ask(answered, 7)
	ask(answered, 8)
	if !g.Figures(c.now()).Degraded {
		t.Fatal("one good answer is not enough to count as well")
	}
	c.forward(recovery)
	if g.Figures(c.now()).Degraded {
		t.Fatal("degraded long after it has recovered")
	}
}

// Replacing and closing generations under load fails no decision.
func TestActivationUnderLoad(t *testing.T) {
	e := newEngine(t)
	h := newHook(t, policyabi.HookEvict, nil)
	const swaps, callers = 40, 3
	done := make(chan struct{})
	var wg sync.WaitGroup
	var byPolicy atomic.Int64
	for range callers {
		wg.Go(func() {
			request := evictRequest(4)
			for {
				select {
				case <-done:
					return
				default:
				}
				got := h.Evict(request, About{})
				switch {
				case len(got.Answers) != 4:
					t.Errorf("%d answers, want 4", len(got.Answers))
				case got.Outcome == answered:
					byPolicy.Add(1)
				case got.Outcome != busy && got.Outcome != builtIn:
					t.Errorf("outcome %v", got.Outcome)
				}
			}
		})
	}
	var previous *engine.Program
	for i := range swaps {
		p := compile(t, e, hooktest.Module{Backward: i%2 == 0})
		h.Activate(NewGeneration(meta("g"), p))
		if previous != nil {
			previous.Release()
		}
		previous = p
		// Each generation is used before the next one comes.
		for before := byPolicy.Load(); byPolicy.Load() == before && !t.Failed(); {
			h.Evict(evictRequest(1), About{})
		}
	}
	h.Deactivate()
	previous.Release()
	close(done)
	wg.Wait() // Closing the engine, after the test, fails if a program is still open.
}

func TestShadow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, observer := newEngine(t), newCounting()
		h := newHook(t, policyabi.HookEvict, func(c *Config) { c.Observer = observer })
		h.Activate(generation(t, e, "live", hooktest.Module{}))
		shadow := generation(t, e, "candidate", hooktest.Module{Backward: true})
		h.Shadow(shadow)
		request := evictRequest(3)
		decision := h.Evict(request, About{Model: "m"})
		if decision.Answers[0].Row != 0 {
			t.Fatalf("answers %v: the shadow must not decide", decision.Answers)
		}
		h.Evict(evictRequest(1), About{})
		synctest.Wait()
		if f := shadow.Figures(time.Now()); f.Compared != 2 || f.Differed != 1 || f.Answered != 2 {
			t.Fatalf("figures %+v; want 2 compared, and 1 differed, as one row leaves no choice", f)
		}
		if observer.event(ShadowCompared) != 2 || observer.event(ShadowDiffered) != 1 {
			t.Fatalf("observed %v", observer.events)
		}
		records := h.Records(Filter{Model: "m"})
		if len(records) != 2 {
			t.Fatalf("%d records, want the decision and the shadow's", len(records))
		}
		for _, record := range records {
			if record.GetGeneration().GetId() == "live" {
				continue
			}
			if want := "model-c, model-b, model-a instead of model-a, model-b, model-c"; !strings.Contains(record.GetEffect(), want) {
				t.Errorf("effect %q, want %q in it", record.GetEffect(), want)
			}
			if answers, err := policyabi.DecodeEvictAnswers(record.GetAnswer(), 3); err != nil || answers[0].Row != 2 {
				t.Errorf("answer %v, %v; want the shadow's", answers, err)
			}
		}
		h.Shadow(nil)
		h.Evict(request, About{})
		synctest.Wait()
		if observer.event(ShadowCompared) != 2 {
			t.Error("compared after the shadow was gone")
		}
	})
}

// A shadow that cannot keep up costs the decisions nothing but a count.
func TestSlowShadowIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		observer, release := newCounting(), make(chan struct{})
		h := newHook(t, policyabi.HookEvict, func(c *Config) { c.Observer = observer })
		h.Shadow(newGeneration(meta("slow"), &fake{answer: func(memory []byte) (int, uint64, error) {
			<-release
			return inOrder(memory)
		}}))
		h.Evict(evictRequest(1), About{})
		synctest.Wait() // It is in the guest now.
		for range maxJobs + 7 {
			h.Evict(evictRequest(1), About{})
		}
		if n := observer.event(ShadowDropped); n != 7 {
			t.Errorf("%d dropped, want 7", n)
		}
		close(release)
		synctest.Wait()
		if n := observer.event(ShadowCompared); n != maxJobs+1 {
			t.Errorf("%d compared, want %d", n, maxJobs+1)
		}
	})
}

func TestImpureGenerationIsFound(t *testing.T) {
	for _, fault := range []hooktest.Fault{hooktest.None, hooktest.Wavers} {
		synctest.Test(t, func(t *testing.T) {
			e, observer := newEngine(t), newCounting()
			h := newHook(t, policyabi.HookEvict, func(c *Config) { c.Observer = observer })
			g := generation(t, e, "g1", hooktest.Module{Fault: fault})
			h.Activate(g)
			request := evictRequest(2)
			for range recheckEvery {
				h.Evict(request, About{})
			}
			synctest.Wait()
			want := 0
			if fault == hooktest.Wavers {
				want = 1
			}
			if f := g.Figures(time.Now()); int(f.Impure) != want || observer.event(Impure) != want || (f.Problem != "") != (want == 1) {
				t.Errorf("fault %v: figures %+v, want %d impure", fault, f, want)
			}
		})
	}
}

func TestNewRefusesAHookThatNothingDecides(t *testing.T) {
	for _, config := range []Config{
		{Hook: policyabi.HookRoute, BuiltIn: builtin.Default(policyabi.HookRoute)},
		{Hook: policyabi.HookEvict, BuiltIn: builtin.Default(policyabi.HookPlace)},
		{Hook: policyabi.HookEvict},
	} {
		if h, err := New(config); err == nil {
			h.Close()
			t.Errorf("%v with built-in policy %q was accepted", config.Hook, config.BuiltIn.Name)
		}
	}
}

func TestOutcomes(t *testing.T) {
	for kind, want := range map[engine.TrapKind]syncv1.DecisionOutcome{
		engine.Trapped: trapped, engine.OutOfFuel: outOfFuel, engine.InvalidAnswer: invalid,
		engine.BadBuffer: invalid, engine.Memory: trapped, engine.ErrorCode: trapped,
	} {
		if got := outcomeOf(&engine.Trap{Kind: kind}); got != want {
			t.Errorf("%v is %v, want %v", kind, got, want)
		}
	}
	if got := outcomeOf(errors.New("request of 5 MiB")); got != trapped {
		t.Errorf("another error is %v", got)
	}
}
