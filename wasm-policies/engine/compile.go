package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/wasmesh/wasmesh/wasm-policies/engine/meter"
)

// Compile makes a Program of a module, or says why not: a *Refusal when the module is to blame, else an error that wraps
// the cause of ctx's end. It takes up to a second for a large module, waits for its turn behind others, and must be kept off hot paths.
// The caller owns the program and releases it.
func (e *Engine) Compile(ctx context.Context, source Source) (program *Program, err error) {
	done, err := e.turn(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	defer func() {
		if r := recover(); r != nil {
			program, err = nil, &Refusal{source.Name, RuleInvalid, fmt.Sprintf("the compiler panicked: %v", r)}
		}
	}()
	info, metered, err := inspect(source, e.limits, e.fuel)
	if err != nil {
		return nil, err
	}
	if len(source.Config) > 0 && !info.Configurable {
		return nil, &Refusal{source.Name, RuleConfigure, "there is a configuration, but the module exports no mesh_configure: remove the configuration"}
	}
	if err := e.validate(ctx, source); err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeoutCause(ctx, e.limits.CompileTime, errCompileTime)
	defer cancel()
	p, err := e.build(limited, source, metered)
	if err != nil {
		return nil, err
	}
	p.info = info
	p.id = generation(info)
	e.programs.Add(1)
	p.closed = func() { e.programs.Add(-1) }
	if err := p.first(); err != nil {
		p.Release()
		return nil, err
	}
	return p, nil
}

// validate checks the whole module as its author wrote it: after the rewrite it would be too late, as indices that are out
// of range in the original may then name what was added. Translating it for the interpreter is the cheap way.
func (e *Engine) validate(ctx context.Context, source Source) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("compile %s: %w", source.Name, err)
	}
	runtime := wazero.NewRuntimeWithConfig(ctx, e.configure(wazero.NewRuntimeConfigInterpreter()))
	defer runtime.Close(context.WithoutCancel(ctx))
	if _, err := runtime.CompileModule(ctx, source.Module); err != nil {
		return &Refusal{source.Name, RuleInvalid, err.Error()}
	}
	return nil
}

func (e *Engine) configure(c wazero.RuntimeConfig) wazero.RuntimeConfig {
	return c.WithMemoryLimitPages(e.limits.MemoryPages).WithDebugInfoEnabled(false)
}

// build compiles the rewritten module. What is wrong with the cache costs time and nothing else.
func (e *Engine) build(ctx context.Context, source Source, metered *meter.Module) (*Program, error) {
	p := &Program{engine: e, name: source.Name, config: append([]byte(nil), source.Config...), fuelExport: metered.FuelExport, owners: 1}
	if e.cacheDir != "" && !e.interpreter {
		err := e.open(ctx, p, metered, e.moduleCache(metered.Wasm))
		if err == nil {
			return p, nil
		}
		if ctx.Err() == nil {
			e.logger.WarnContext(ctx, "compile a policy without its cache", "policy", source.Name, "error", err)
			e.dropModuleCache(metered.Wasm)
		}
	}
	err := e.open(ctx, p, metered, "")
	switch cause := context.Cause(ctx); {
	case err == nil:
		return p, nil
	case cause == errCompileTime:
		return nil, &Refusal{source.Name, RuleLimit, fmt.Sprintf("compiling it takes longer than %v", e.limits.CompileTime)}
	case cause != nil:
		return nil, fmt.Errorf("compile %s: %w", source.Name, cause)
	}
	return nil, &Refusal{source.Name, RuleInvalid, err.Error()}
}

// errCompileTime tells that a module is to blame from that the caller has given up.
var errCompileTime = errors.New("compiling takes too long")

// open makes the program's runtime, with a cache in dir if one is named.
func (e *Engine) open(ctx context.Context, p *Program, metered *meter.Module, dir string) error {
	config := wazero.NewRuntimeConfig()
	if e.interpreter {
		config = wazero.NewRuntimeConfigInterpreter()
	}
	config = e.configure(config)
	p.cache = nil
	if dir != "" {
		cache, err := wazero.NewCompilationCacheWithDir(dir)
		if err != nil {
			return err
		}
		p.cache = cache
		config = config.WithCompilationCache(cache)
	}
	background := context.Background()
	p.runtime = wazero.NewRuntimeWithConfig(background, config)
	// With one worker wazero does not look at the context while it compiles.
	compiled, err := p.runtime.CompileModule(experimental.WithCompilationWorkers(ctx, 2), metered.Wasm)
	if err == nil {
		p.compiled = compiled
		err = defineImports(background, p.runtime, metered.Imports)
	}
	if err != nil {
		p.shut()
	}
	return err
}
