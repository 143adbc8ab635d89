package policies

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/wasmesh/wasmesh/wasm-policies/engine"
	"github.com/wasmesh/wasmesh/wasm-policies/hook"
	"github.com/wasmesh/wasmesh/wasm-policies/hook/conformance"
)

const (
	// fetchTimeout and trialTimeout bound what one generation may hold up the others.
	fetchTimeout = time.Minute
	trialTimeout = time.Minute
)

// prepare fetches, compiles and tries one generation, and notes what came of it.
func (s *Set) prepare(ctx context.Context, g *generation) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.mu.Lock()
	if !mentions(s.plan, g.meta.GetId()) {
		s.mu.Unlock()
		return
	}
	s.working, s.cancel = g.meta.GetId(), cancel
	s.mu.Unlock()

	program, trial, err := s.attempt(ctx, g)

	s.mu.Lock()
	defer s.mu.Unlock()
	s.working, s.cancel = "", nil
	switch {
	case err == nil:
		g.program, g.decider, g.trial = program, hook.NewGeneration(g.meta, program), trial
		g.message, g.attempts = "", 0
		s.config.Logger.Info("policy is prepared", "hook", g.meta.GetHook(), "policy", g.meta.GetPolicy(), "generation", g.meta.GetId(),
			"requests", trial.Requests, "replayed", trial.Replayed, "differed", trial.Differed, "fuel_max", trial.FuelMax)
	case ctx.Err() != nil:
		// Not wanted any more, or the host stops.
	case final(err):
		g.failed, g.message = true, err.Error()
		s.config.Logger.Warn("policy cannot be used", "hook", g.meta.GetHook(), "policy", g.meta.GetPolicy(), "generation", g.meta.GetId(), "error", err)
	default:
		g.retryAt, g.message = time.Now().Add(min(firstRetry<<min(g.attempts, 5), maxRetry)), err.Error()
		g.attempts++
		s.config.Logger.Warn("policy is not prepared yet", "hook", g.meta.GetHook(), "policy", g.meta.GetPolicy(), "generation", g.meta.GetId(),
			"error", err, "retry_at", g.retryAt)
	}
}

// attempt answers a program that the caller owns, and how it did in the trial.
func (s *Set) attempt(ctx context.Context, g *generation) (*engine.Program, hook.Preflighted, error) {
	module, err := s.module(ctx, g.meta)
	if err != nil {
		return nil, hook.Preflighted{}, fmt.Errorf("fetch policy %s: %w", g.meta.GetPolicy(), err)
	}
	program, err := s.config.Engine.Compile(ctx, engine.Source{Name: g.meta.GetPolicy(), Module: module, Config: g.meta.GetConfig()})
	if err != nil {
		return nil, hook.Preflighted{}, err
	}
	trialCtx, cancel := context.WithTimeout(ctx, trialTimeout)
	defer cancel()
	trial, err := s.byName(g.meta.GetHook()).Preflight(trialCtx, program)
	if err != nil {
		program.Release()
		if trialCtx.Err() != nil && ctx.Err() == nil {
			err = &tooSlow{err}
		}
		return nil, trial, err
	}
	return program, trial, nil
}

// tooSlow is a policy that could not be tried in time.
type tooSlow struct{ err error }

func (t *tooSlow) Error() string { return fmt.Sprintf("not done within %v: %v", trialTimeout, t.err) }
func (t *tooSlow) Unwrap() error { return t.err }

// final says whether trying again cannot help before the plan changes.
func final(err error) bool {
	var refusal *engine.Refusal
	var failure *conformance.Failure
	var wrong *wrongModule
	var slow *tooSlow
	return errors.As(err, &refusal) || errors.As(err, &failure) || errors.As(err, &wrong) || errors.As(err, &slow)
}
