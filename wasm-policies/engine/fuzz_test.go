package engine_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
	"github.com/wasmesh/wasmesh/wasm-policies/engine"
)

// FuzzModule: whatever the bytes are, a module is refused by a rule, or its calls end within their budget, in a Trap, an
// answer within its area, or nothing; and the interpreter comes to the same, for the same fuel.
func FuzzModule(f *testing.F) {
	recursive := function{params: one, results: one, body: code(get(0), call(3))}
	configure := function{export: "mesh_configure", params: one, results: one, body: constant(0)}
	for _, m := range []module{
		policy(abstain, 0),
		policy(answering(16, 1), 0),
		policy(forever, 0),
		policy(code(constant(9), call(3)), 0, recursive),
		policy(code(opLoop, void, constant(1), opMemoryGrow, 0, opDrop, opBr, 0, opEnd, opUnreachable), 0),
		policy(code(constant(0), constant(1), constant(60000), opPrefix, 11, 0, constant(0)), 1, configure),
		policy(code(constant(2), constant(0), constant(9), call(0), constant(0)), 0).importing(imported{"mesh_v1", "log", three, none}),
		policy(code(constant(0), constant(99), call(0)), 0).importing(imported{"wasi_snapshot_preview1", "random_get", []byte{i32, i32}, one}),
	} {
		f.Add(m.wasm())
	}
	var engines []*engine.Engine
	for _, interpreter := range []bool{false, true} {
		engines = append(engines, newEngine(f, engine.Config{Interpreter: interpreter, Fuel: engine.FuelTable{Initialize: 100_000, Configure: 100_000, Buffer: 100_000}}))
	}
	f.Fuzz(func(t *testing.T, wasm []byte) {
		var outcomes []outcome
		for _, e := range engines {
			p, err := e.Compile(t.Context(), engine.Source{Module: wasm})
			var refusal *engine.Refusal
			if err != nil && !errors.As(err, &refusal) {
				t.Fatalf("compile: %v is not a Refusal", err)
			}
			if err != nil {
				outcomes = append(outcomes, outcome{rule: refusal.Rule})
				continue
			}
			outcomes = append(outcomes, askOnce(t, p))
			p.Release()
		}
		if compiled, interpreted := outcomes[0], outcomes[1]; !compiled.equal(interpreted) {
			t.Fatalf("compiled: %+v\ninterpreted: %+v", compiled, interpreted)
		}
	})
}

// outcome of compiling a module and asking it once.
type outcome struct {
	rule   string
	kind   engine.TrapKind
	used   uint64
	answer []byte
}

// equal but for how deep a guest may recurse, which is where the two ways to run one differ.
func (o outcome) equal(other outcome) bool {
	if o.rule != "" || o.kind != 0 {
		return o.rule == other.rule && (o.kind != 0) == (other.kind != 0)
	}
	return other.rule == "" && other.kind == 0 && o.used == other.used && bytes.Equal(o.answer, other.answer)
}

func askOnce(t *testing.T, p *engine.Program) (o outcome) {
	if !p.Implements(policyabi.HookPlace) {
		return o
	}
	var err error
	o.answer, o.used, err = decide(t, p, placement(2), 100_000)
	var trap *engine.Trap
	switch {
	case errors.As(err, &trap):
		o.kind = trap.Kind
	case err != nil:
		t.Fatalf("call: %v is not a Trap", err)
	}
	if o.used > 100_000 || len(o.answer) > 32 {
		t.Fatalf("%d units of fuel and %d bytes of answer are more than there were", o.used, len(o.answer))
	}
	return o
}
