package meter_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/wasmesh/wasmesh/wasm-policies/engine/meter"
)

// machine is one of wazero's two execution engines; the memory limit is that of the rewriting.
type machine struct {
	name   string
	config wazero.RuntimeConfig
}

const memoryPages = 64

func machines() []machine {
	return []machine{
		{"compiler", wazero.NewRuntimeConfigCompiler().WithMemoryLimitPages(memoryPages)},
		{"interpreter", wazero.NewRuntimeConfigInterpreter().WithMemoryLimitPages(memoryPages)},
	}
}

// allowHost allows what hostModule offers.
func allowHost(module, _ string) bool { return module == "host" }

func options() meter.Options {
	return meter.Options{
		AllowImport: allowHost, HostCallCost: 100, InitialFuel: 1 << 40,
		Limits: meter.Limits{MaxMemoryPages: memoryPages, MaxTable: 1000},
	}
}

// instance runs a module; fuel is nil if the module is not metered.
type instance struct {
	api.Module
	runtime wazero.Runtime
	fuel    api.MutableGlobal
	hosts   int64 // calls of host functions
}

// newRuntime returns a runtime with host functions to import: host.double, host.tick.
func (m machine) newRuntime(t testing.TB, i *instance) wazero.Runtime {
	t.Helper()
	ctx := context.Background()
	r := wazero.NewRuntimeWithConfig(ctx, m.config)
	t.Cleanup(func() { r.Close(ctx) })
	_, err := r.NewHostModuleBuilder("host").
		NewFunctionBuilder().WithFunc(func(v uint32) uint32 { i.hosts++; return 2 * v }).Export("double").
		NewFunctionBuilder().WithFunc(func() { i.hosts++ }).Export("tick").
		Instantiate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (m machine) instantiate(t testing.TB, wasm []byte) (*instance, error) {
	t.Helper()
	i := &instance{}
	i.runtime = m.newRuntime(t, i)
	mod, err := i.runtime.InstantiateWithConfig(context.Background(), wasm,
		wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		return nil, err
	}
	i.Module = mod
	if g := mod.ExportedGlobal(meter.FuelExport); g != nil {
		i.fuel = g.(api.MutableGlobal)
	}
	return i, nil
}

func (m machine) mustInstantiate(t testing.TB, wasm []byte) *instance {
	t.Helper()
	i, err := m.instantiate(t, wasm)
	if err != nil {
		t.Fatalf("%s: %v", m.name, err)
	}
	return i
}

// call calls an export and returns its results, the fuel used and the error.
func (i *instance) call(name string, budget int64, args ...uint64) ([]uint64, int64, error) {
	if i.fuel == nil {
		out, err := i.ExportedFunction(name).Call(context.Background(), args...)
		return out, 0, err
	}
	i.fuel.Set(uint64(budget))
	out, err := i.ExportedFunction(name).Call(context.Background(), args...)
	return out, budget - int64(i.fuel.Get()), err
}

func mustRewrite(t testing.TB, wasm []byte, opts meter.Options) *meter.Module {
	t.Helper()
	m, err := meter.Rewrite(wasm, opts)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
