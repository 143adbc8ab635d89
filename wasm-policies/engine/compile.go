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
// the cause of ctx's end. It takes a second for a Go guest, up to a minute for one that was made to take long, waits for its
// turn behind others, and must be kept off hot paths. The caller owns the program and releases it.
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
	p, err := e.build(ctx, source, metered)
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

// errValidated ends a compilation that has come as far as it is to come.
var errValidated = errors.New("the module is valid")

// validate checks the whole module as its author wrote it: after the rewrite it would be too late, as indices that are out
// of range in the original may then name what was added. wazero validates before it compiles, and looks at the context
// before each function if several workers compile; here it has ended before the first. Without a compiler there is nothing
// to end. Translating for the interpreter instead would take half a gigabyte for the largest modules.
func (e *Engine) validate(ctx context.Context, source Source) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("compile %s: %w", source.Name, err)
	}
	ended, end := context.WithCancelCause(context.WithoutCancel(ctx))
	end(errValidated)
	runtime := wazero.NewRuntimeWithConfig(ended, e.configure(wazero.NewRuntimeConfig()))
	defer runtime.Close(ended)
	_, err := runtime.CompileModule(experimental.WithCompilationWorkers(ended, 2), source.Module)
	if err != nil && !errors.Is(err, errValidated) {
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
		err := e.open(p, metered, e.moduleCache(metered.Wasm))
		if err == nil {
			return p, nil
		}
		e.logger.WarnContext(ctx, "compile a policy without its cache", "policy", source.Name, "error", err)
		e.dropModuleCache(metered.Wasm)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("compile %s: %w", source.Name, err)
	}
	if err := e.open(p, metered, ""); err != nil {
		return nil, &Refusal{source.Name, RuleInvalid, err.Error()}
	}
	return p, nil
}

// open makes the program's runtime, with a cache in dir if one is named.
//
// wazero compiles on this goroutine alone: a panic of its compiler on one of several could not be recovered and would end
// the process. The price is that it cannot be interrupted; the limits of package meter bound what it takes.
func (e *Engine) open(p *Program, metered *meter.Module, dir string) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the compiler panicked: %v", r)
		}
		if err != nil {
			p.shut()
		}
	}()
	config := wazero.NewRuntimeConfig()
	if e.interpreter {
		config = wazero.NewRuntimeConfigInterpreter()
	}
	config = e.configure(config)
	p.runtime, p.cache = nil, nil
	if dir != "" {
		if p.cache, err = wazero.NewCompilationCacheWithDir(dir); err != nil {
			return err
		}
		config = config.WithCompilationCache(p.cache)
	}
	ctx := context.Background()
	p.runtime = wazero.NewRuntimeWithConfig(ctx, config)
	if p.compiled, err = p.runtime.CompileModule(ctx, metered.Wasm); err != nil {
		return err
	}
	return defineImports(ctx, p.runtime, metered.Imports)
}
