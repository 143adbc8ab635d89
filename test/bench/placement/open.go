package placement

import (
	"context"
	"fmt"
	"time"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
	"github.com/wasmesh/wasmesh/test/bench/eviction"
	"github.com/wasmesh/wasmesh/wasm-policies/builtin"
	"github.com/wasmesh/wasmesh/wasm-policies/engine"
	"github.com/wasmesh/wasmesh/wasm-policies/hook"
)

// shippedPlace is the place policy that the figures are about.
const shippedPlace = "place-balanced"

// OpenBuiltIn opens the policies in Go.
func OpenBuiltIn() Open {
	return Open{Evict: eviction.OpenBuiltIn, Place: func(context.Context) (Placer, func(), error) {
		h, err := newHook()
		if err != nil {
			return nil, nil, err
		}
		return Hook(h), h.Close, nil
	}}
}

// OpenModules opens the modules of a directory.
func OpenModules(dir string) Open {
	return Open{Evict: eviction.OpenModules(dir), Place: func(ctx context.Context) (Placer, func(), error) {
		path, wasm, err := eviction.ReadModule(dir, shippedPlace)
		if err != nil {
			return nil, nil, err
		}
		return openModule(ctx, path, wasm)
	}}
}

// openModule makes a hook of its own for the module.
func openModule(ctx context.Context, name string, wasm []byte) (_ Placer, _ func(), err error) {
	var ends []func()
	end := func() {
		for i := len(ends) - 1; i >= 0; i-- {
			ends[i]()
		}
	}
	defer func() {
		if err != nil {
			end()
			err = fmt.Errorf("open policy %s: %w", name, err)
		}
	}()
	e, err := engine.New(engine.Config{})
	if err != nil {
		return nil, nil, err
	}
	ends = append(ends, func() { _ = e.Close() }) // Nothing is in use by then, and the figures are there.
	program, err := e.Compile(ctx, engine.Source{Name: name, Module: wasm})
	if err != nil {
		return nil, nil, err
	}
	ends = append(ends, program.Release)
	h, err := newHook()
	if err != nil {
		return nil, nil, err
	}
	ends = append(ends, h.Close)
	h.Activate(hook.NewGeneration(&syncv1.Generation{Id: shippedPlace, Policy: shippedPlace}, program))
	return Hook(h), end, nil
}

// newHook makes one that the built-in policy decides. Its clock stands, so that its decisions have the same numbers every
// time.
func newHook() (*hook.Hook, error) {
	start := eviction.TimeOf(eviction.Request{})
	return hook.New(hook.Config{
		Hook: policyabi.HookPlace, BuiltIn: builtin.Default(policyabi.HookPlace), Host: "bench",
		Now: func() time.Time { return start },
	})
}
