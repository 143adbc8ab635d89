package hook

import (
	"fmt"
	"testing"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
	"github.com/wasmesh/wasmesh/wasm-policies/builtin"
	"github.com/wasmesh/wasmesh/wasm-policies/engine"
	"github.com/wasmesh/wasmesh/wasm-policies/hook/hooktest"
)

// BenchmarkEvict is a whole decision: encoding, the guest or the built-in policy, checking, recording.
func BenchmarkEvict(b *testing.B) {
	e, err := engine.New(engine.Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	p, err := e.Compile(b.Context(), engine.Source{Name: "guest", Module: hooktest.Module{}.Wasm()})
	if err != nil {
		b.Fatal(err)
	}
	defer p.Release()
	for _, rows := range []int{1, 100, 1000} {
		for name, g := range map[string]*Generation{"built-in": nil, "module": NewGeneration(meta("g"), p)} {
			b.Run(fmt.Sprintf("%s/%d", name, rows), func(b *testing.B) {
				h, err := New(Config{Hook: policyabi.HookEvict, BuiltIn: builtin.Default(policyabi.HookEvict)})
				if err != nil {
					b.Fatal(err)
				}
				defer h.Close()
				if g != nil {
					h.Activate(g)
				}
				request := evictRequest(rows)
				b.ReportAllocs()
				for b.Loop() {
					h.Evict(request, About{Model: "m"})
				}
			})
		}
	}
}
