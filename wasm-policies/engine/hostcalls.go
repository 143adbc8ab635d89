package engine

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
	"github.com/wasmesh/wasmesh/wasm-policies/engine/meter"
)

// hostFunction is one function that guests may import. Parameters and results are on the stack.
type hostFunction struct {
	call            func(g *guest, m api.Module, stack []uint64)
	params, results []api.ValueType
}

const (
	i32 = api.ValueTypeI32
	i64 = api.ValueTypeI64
)

// hostCallFuel is what each call of a host function takes; what it reads or writes is charged on top, by the byte.
// Measured: 30 to 50 ns, the time of some hundred instructions.
const hostCallFuel = 500

// hostFunctions of a module that guests may import from, by name; nil if there is no such module.
func hostFunctions(module string) map[string]hostFunction {
	switch module {
	case policyabi.ImportLogModule:
		return map[string]hostFunction{
			policyabi.ImportLog: {meshLog, []api.ValueType{i32, i32, i32}, nil},
		}
	case wasiModule:
		return wasiFunctions()
	}
	return nil
}

func allowedImport(module, name string) bool {
	_, ok := hostFunctions(module)[name]
	return ok
}

// checkImport compares the signature with which a module imports a function to what the function has.
func checkImport(i meter.Import) error {
	f := hostFunctions(i.Module)[i.Name]
	want := signature(f.params, f.results)
	if !i.Type.Is(want.Params, want.Results) {
		return fmt.Errorf("%q.%q is imported as %v; it is %v", i.Module, i.Name, i.Type, want)
	}
	return nil
}

func valueTypes(types []api.ValueType) (out []meter.ValueType) {
	for _, t := range types {
		out = append(out, meter.ValueType(t))
	}
	return out
}

// defineImports gives the runtime the functions that the module imports, and no other.
func defineImports(ctx context.Context, runtime wazero.Runtime, imports []meter.Import) error {
	builders := make(map[string]wazero.HostModuleBuilder)
	for _, i := range imports {
		f := hostFunctions(i.Module)[i.Name]
		builder := builders[i.Module]
		if builder == nil {
			builder = runtime.NewHostModuleBuilder(i.Module)
			builders[i.Module] = builder
		}
		call := api.GoModuleFunc(func(ctx context.Context, m api.Module, stack []uint64) { f.call(guestOf(ctx), m, stack) })
		builder.NewFunctionBuilder().WithGoModuleFunction(call, f.params, f.results).Export(i.Name)
	}
	for module, builder := range builders {
		if _, err := builder.Instantiate(ctx); err != nil {
			return fmt.Errorf("define %s: %w", module, err)
		}
	}
	return nil
}

// meshLog is mesh_v1.log(level, address, length).
func meshLog(g *guest, m api.Module, stack []uint64) {
	level, address, length := uint32(stack[0]), uint32(stack[1]), uint32(stack[2])
	length = min(length, uint32(g.program.engine.limits.LogLineBytes))
	g.charge(m, uint64(length))
	line, ok := m.Memory().Read(address, length)
	if !ok {
		panic(fmt.Errorf("log: %d bytes at %#x are not within the memory", length, address))
	}
	g.log(levelOf(policyabi.LogLevel(level)), line)
}

func levelOf(level policyabi.LogLevel) slog.Level {
	switch level {
	case policyabi.LogLevelDebug:
		return slog.LevelDebug
	case policyabi.LogLevelWarn:
		return slog.LevelWarn
	case policyabi.LogLevelError:
		return slog.LevelError
	}
	return slog.LevelInfo
}
