package hook

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
	"github.com/wasmesh/wasmesh/wasm-policies/engine"
	"github.com/wasmesh/wasmesh/wasm-policies/hook/conformance"
	"github.com/wasmesh/wasmesh/wasm-policies/hook/internal/header"
)

// maxReplayed decisions, the newest, are asked again before a generation may decide.
const maxReplayed = 500

// maxBusy times in a row, each of 200 us at least, a program may have no instance before it counts as unable to make one.
const maxBusy = 20_000

// Preflighted is how a program did.
type Preflighted struct {
	// Requests it was tried with, conformance set and replayed decisions together.
	Requests int
	// Replayed are recorded decisions, and Differed those of them where it would have decided otherwise. Where it
	// abstained, nothing is compared.
	Replayed, Differed int
	// FuelMax is the fuel of its most expensive decision.
	FuelMax uint64
}

// Preflight tries a program: the conformance set, then the last decisions that were recorded here. An error that wraps a
// *conformance.Failure names the policy, the rule and the request; one that wraps ctx's says nothing about the policy.
// A program that has passed is warm: it can decide at once, as often at a time as it ever will.
func (h *Hook) Preflight(ctx context.Context, p *engine.Program) (Preflighted, error) {
	if !p.Implements(h.config.Hook) {
		return Preflighted{}, &engine.Refusal{Policy: p.Name(), Rule: engine.RuleExport,
			Detail: fmt.Sprintf("it is to decide %v, but does not export %s", h.config.Hook, h.config.Hook.Export())}
	}
	figures, err := h.preflight(ctx, compiled{p})
	if err == nil {
		err = p.Warm()
	}
	if err != nil {
		return figures, fmt.Errorf("preflight of policy %s: %w", p.Name(), err)
	}
	return figures, nil
}

func (h *Hook) preflight(ctx context.Context, p program) (f Preflighted, err error) {
	for _, request := range conformance.Requests(h.config.Hook) {
		if _, err := h.try(ctx, p, request, &f); err != nil {
			return f, err
		}
	}
	for _, r := range h.replays() {
		tried, err := h.try(ctx, p, r.request, &f)
		if err != nil {
			return f, err
		}
		f.Replayed++
		if len(tried.Answer) == 0 {
			continue
		}
		difference, err := Differ(h.config.Hook, r.request.Bytes, r.answer, tried.Answer)
		if err != nil {
			return f, err
		}
		if difference != "" {
			f.Differed++
		}
	}
	return f, nil
}

func (h *Hook) try(ctx context.Context, p program, request conformance.Request, f *Preflighted) (conformance.Tried, error) {
	trial := conformance.Trial{Hook: h.config.Hook, Request: request, Budget: p.Budget(h.config.Hook, request.Rows)}
	tried, err := conformance.Try(trial, func(request []byte) ([]byte, uint64, error) {
		return h.untilAnswered(ctx, p, request)
	})
	if cause := ctx.Err(); cause != nil {
		return tried, cause
	}
	f.Requests++
	f.FuelMax = max(f.FuelMax, tried.Fuel)
	return tried, err
}

// untilAnswered asks again while no instance is free: the program may decide already, or still make its instances.
func (h *Hook) untilAnswered(ctx context.Context, p program, request []byte) ([]byte, uint64, error) {
	for tries := 1; ; tries++ {
		if err := ctx.Err(); err != nil {
			return nil, 0, err
		}
		var answer []byte
		r, err := ask(p, call{
			hook: h.config.Hook, request: request, rows: header.Field(request, header.RowCount),
			accept: func(a []byte) error { answer = slices.Clone(a); return nil },
		})
		if err == nil && errors.Is(r.err, engine.ErrBusy) && tries < maxBusy {
			continue
		}
		return answer, r.fuel, errors.Join(err, r.err)
	}
}

// replay is a recorded decision to be asked again.
type replay struct {
	request conformance.Request
	answer  []byte
}

func (h *Hook) replays() (replays []replay) {
	h.recorder.each(func(e *entry, request []byte) bool {
		r := replay{answer: slices.Clone(request[e.response : e.response+e.answer])}
		encoded := slices.Clone(request)
		clear(encoded[e.response:])
		header.SetFlag(encoded, policyabi.RequestFlagReplay)
		r.request = conformance.Request{
			Name:  fmt.Sprintf("recorded decision %d about %s", e.id, e.model),
			Bytes: encoded, Rows: header.Field(encoded, header.RowCount),
		}
		replays = append(replays, r)
		return len(replays) < maxReplayed
	})
	return replays
}
