package hook

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
	"github.com/wasmesh/wasmesh/wasm-policies/engine"
	"github.com/wasmesh/wasmesh/wasm-policies/hook/conformance"
	"github.com/wasmesh/wasmesh/wasm-policies/hook/hooktest"
	"github.com/wasmesh/wasmesh/wasm-policies/hook/internal/header"
)

func TestPreflightNamesWhatIsBroken(t *testing.T) {
	e := newEngine(t)
	for name, test := range map[string]struct {
		module  hooktest.Module
		rule    string
		request string
	}{
		"good":                        {hooktest.Module{Backward: true}, "", ""},
		"abstains":                    {hooktest.Module{Fault: hooktest.Abstains}, "", ""},
		"traps":                       {hooktest.Module{Fault: hooktest.Traps}, conformance.RuleAnswers, "no rows"},
		"traps with a thousand rows":  {hooktest.Module{Fault: hooktest.Traps, Rows: 1000}, conformance.RuleAnswers, "a thousand rows"},
		"loops with three rows":       {hooktest.Module{Fault: hooktest.Loops, Rows: 3}, conformance.RuleAnswers, "all zero"},
		"lies":                        {hooktest.Module{Fault: hooktest.Lies}, conformance.RuleValid, "two rows"},
		"keeps state":                 {hooktest.Module{Fault: hooktest.Wavers}, conformance.RulePure, "two rows"},
		"traps on a recorded request": {hooktest.Module{Fault: hooktest.Traps, Rows: 7}, conformance.RuleAnswers, "recorded decision"},
		// What was asked on this host is part of the trial; what a policy does only when it counts is not.
		"traps when it counts": {hooktest.Module{Fault: hooktest.Traps, OnlyLive: true}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHook(t, policyabi.HookEvict, nil)
			h.Activate(newGeneration(meta("live"), &fake{answer: inOrder}))
			for range 3 {
				h.Evict(evictRequest(7), About{Model: "some-model"})
			}
			p := compile(t, e, test.module)
			defer p.Release()
			figures, err := h.Preflight(t.Context(), p)
			if test.rule == "" {
				if err != nil || figures.Replayed != 3 || figures.Requests < 20 || figures.FuelMax == 0 {
					t.Fatalf("%+v, %v", figures, err)
				}
				// It decides at once, as often at a time as it ever will.
				if s := p.Stats(); s.Instances != min(runtime.GOMAXPROCS(0), 8) {
					t.Fatalf("%+v after the trial, want all instances", s)
				}
				if differed := test.module.Backward; differed && figures.Differed != 3 || !differed && figures.Differed != 0 {
					t.Fatalf("%+v: wrong number of differences", figures)
				}
				return
			}
			var failure *conformance.Failure
			if !errors.As(err, &failure) || failure.Rule != test.rule || !strings.HasPrefix(failure.Request, test.request) {
				t.Fatalf("error %v, want rule %q on request %q", err, test.rule, test.request)
			}
			for _, word := range []string{"guest", test.rule, test.request} {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("%q does not mention %q", err, word)
				}
			}
		})
	}
}

func TestPreflightNeedsTheHook(t *testing.T) {
	e := newEngine(t)
	p := compile(t, e, hooktest.Module{})
	defer p.Release()
	_, err := newHook(t, policyabi.HookStatus, nil).Preflight(t.Context(), p)
	var refusal *engine.Refusal
	if !errors.As(err, &refusal) || !strings.Contains(err.Error(), "mesh_status") || refusal.Policy != "guest" {
		t.Fatalf("error %v", err)
	}
}

func TestPreflightHoldsToHalfOfTheFuel(t *testing.T) {
	h := newHook(t, policyabi.HookEvict, nil)
	for budget, fits := range map[uint64]bool{2 * 1100: true, 2*1100 - 2: false} {
		p := &fake{answer: inOrder, budget: budget} // It takes 100, and 1 for each row.
		_, err := h.preflight(t.Context(), p)
		var failure *conformance.Failure
		if fits != (err == nil) || !fits && (!errors.As(err, &failure) || failure.Rule != conformance.RuleFuel) {
			t.Errorf("budget %d: %v", budget, err)
		}
	}
}

func TestPreflightReplaysTheNewest(t *testing.T) {
	h := newHook(t, policyabi.HookEvict, nil)
	for range maxReplayed + 20 {
		h.Evict(evictRequest(2), About{})
	}
	replayed := 0
	p := &fake{answer: func(memory []byte) (int, uint64, error) {
		if policyabi.RequestFlag(memory[header.Flags])&policyabi.RequestFlagReplay != 0 {
			replayed++
		}
		return inOrder(memory)
	}}
	figures, err := h.preflight(t.Context(), p)
	if err != nil || figures.Replayed != maxReplayed || replayed != 2*maxReplayed {
		t.Fatalf("%+v, %v; the program saw %d replays, want each of %d twice", figures, err, replayed, maxReplayed)
	}
}

func TestPreflightIsGivenUp(t *testing.T) {
	h := newHook(t, policyabi.HookEvict, nil)
	ctx, cancel := context.WithCancel(t.Context())
	p := &fake{acquireErr: engine.ErrBusy}
	var failure *conformance.Failure
	if _, err := h.preflight(ctx, p); !errors.As(err, &failure) || failure.Rule != conformance.RuleAnswers {
		t.Fatalf("a program that never has an instance: %v", err)
	}
	cancel()
	if _, err := h.preflight(ctx, p); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
}
