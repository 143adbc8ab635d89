package meter_test

import (
	"context"
	"fmt"
	"os"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/wasmesh/wasmesh/wasm-policies/engine/meter"
)

// A host rewrites a module before it compiles it, sets the counter before a call and reads it after. Here the budget is
// spent by an infinite loop.
func ExampleRewrite() {
	ctx := context.Background()
	wasm, err := os.ReadFile("testdata/hostile.wasm")
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := meter.Rewrite(wasm, meter.Options{
		AllowImport: func(module, name string) bool { return module == "host" && name == "tick" },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	r := wazero.NewRuntime(ctx)
	defer r.Close(ctx)
	if _, err := r.NewHostModuleBuilder("host").NewFunctionBuilder().WithFunc(func() {}).Export("tick").Instantiate(ctx); err != nil {
		fmt.Println(err)
		return
	}
	instance, err := r.Instantiate(ctx, m.Wasm)
	if err != nil {
		fmt.Println(err)
		return
	}
	fuel := instance.ExportedGlobal(m.FuelExport).(api.MutableGlobal)
	fuel.Set(1_000_000)
	_, err = instance.ExportedFunction("spin").Call(ctx)
	fmt.Println("trapped:", err != nil, "out of fuel:", int64(fuel.Get()) < 0)
	// Output: trapped: true out of fuel: true
}
