package meter_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"github.com/wasmesh/wasmesh/wasm-policies/engine/meter"
)

// TestShapes compares the original with its metered form in both engines, and knows the cost of the simple ones.
func TestShapes(t *testing.T) {
	const none = 0xffffffff
	tests := []struct {
		export string
		args   []uint64
		want   uint64 // none: no result
		fuel   int64  // 0: not known here, but the same in both engines
		trap   string
	}{
		{"constant", nil, 7, 2, ""},
		{"choose", []uint64{1}, 1, 4, ""},
		{"choose", []uint64{0}, 5, 6, ""},
		{"fib", []uint64{0}, 0, 7, ""},
		{"fib", []uint64{2}, 1, 2*7 + 5 + 9, ""},
		{"fib", []uint64{15}, 610, 0, ""},
		{"switch", []uint64{0}, 100, 5, ""},
		{"switch", []uint64{2}, 102, 5, ""},
		{"switch", []uint64{3}, 100, 5, ""},
		{"switch", []uint64{1 << 31}, 103, 4, ""},
		{"sum", []uint64{0}, 0, 1 + 3 + 1, ""},
		{"sum", []uint64{100}, 5050, 1 + 100*(3+4+5-1+1) + 3 + 1, ""},
		{"digits", []uint64{87}, 15, 0, ""},
		{"indirect", []uint64{0, 21}, 42, 1 + 3 + 100, ""},
		{"indirect", []uint64{1, 10}, 55, 0, ""},
		{"indirect", []uint64{3, 1}, none, 0, "invalid table access"},
		{"reference", []uint64{8}, 16, 1 + 6 + 100, ""},
		{"double", []uint64{8}, 16, 100, ""},
		{"fill", []uint64{0}, none, 1 + 4, ""},
		{"fill", []uint64{1}, none, 1 + 4 + 1, ""},
		{"fill", []uint64{65536}, none, 1 + 4 + 8192, ""},
		{"fill", []uint64{65537}, none, 0, "out of bounds memory access"},
		{"grow", []uint64{0}, 1, 1 + 2 + growing, ""},
		{"grow", []uint64{3}, 1, 1 + 2 + growing + 3*8192, ""},
		{"grow", []uint64{memoryPages}, none, 1 + 2 + growing, ""},
		{"grow", []uint64{none}, none, 1 + 2 + growing, ""},
		{"growTable", []uint64{6}, 4, 1 + 3 + growing + 6, ""},
		{"growTable", []uint64{7}, none, 1 + 3 + growing, ""},
		{"divide", []uint64{7, 2}, 3, 1 + 3, ""},
		{"divide", []uint64{7, 0}, none, 1 + 3, "integer divide by zero"},
	}
	original := readFile(t, "shapes.wasm")
	metered := mustRewrite(t, original, options()).Wasm
	for _, test := range tests {
		for _, m := range machines() {
			plain, _, plainErr := m.mustInstantiate(t, original).call(test.export, 0, test.args...)
			got, used, err := m.mustInstantiate(t, metered).call(test.export, 1<<20, test.args...)
			if !reflect.DeepEqual(got, plain) || (err == nil) != (plainErr == nil) {
				t.Errorf("%s %v, %s: original %v %v, metered %v %v", test.export, test.args, m.name, plain, plainErr, got, err)
			}
			if len(got) == 1 && got[0] != test.want || test.fuel != 0 && used != test.fuel {
				t.Errorf("%s %v, %s: got %v for %d, want %d for %d", test.export, test.args, m.name, got, used, test.want, test.fuel)
			}
			if test.trap != "" && (err == nil || !strings.Contains(err.Error(), test.trap)) {
				t.Errorf("%s %v, %s: got %v, want %s", test.export, test.args, m.name, err, test.trap)
			}
		}
	}
}

// TestModule reads what the host is told about a module.
func TestModule(t *testing.T) {
	m := mustRewrite(t, readFile(t, "shapes.wasm"), options())
	unary := meter.FuncType{Params: []meter.ValueType{meter.I32}, Results: []meter.ValueType{meter.I32}}
	if want := []meter.Import{{Module: "host", Name: "double", Type: unary}}; !reflect.DeepEqual(m.Imports, want) {
		t.Errorf("imports %v", m.Imports)
	}
	if want := (meter.Export{Name: "fib", Kind: meter.ExternFunc, Index: 3, Type: unary}); !reflect.DeepEqual(m.Exports[3], want) {
		t.Errorf("export %v", m.Exports[3])
	}
	if want := (meter.MemoryLimits{Present: true, Min: 1, Max: memoryPages}); m.Memory != want {
		t.Errorf("memory %v", m.Memory)
	}
	if m.FuelExport != meter.FuelExport || m.Start || m.Functions != 13 {
		t.Errorf("got %q, start %v, %d functions", m.FuelExport, m.Start, m.Functions)
	}
	if got := unary.String(); got != "(i32) -> (i32)" {
		t.Errorf("type %s", got)
	}
	if !unary.Is([]meter.ValueType{meter.I32}, []meter.ValueType{meter.I32}) || unary.Is(nil, nil) {
		t.Error("type is not itself")
	}
}

// TestCustomSections keeps names, unless told otherwise, and drops what describes the original's code.
func TestCustomSections(t *testing.T) {
	names := cat("name", 1, sized(cat(1, 0, "work")))
	wasm := module(sec(1, nothing), oneFunc, sec(7, export("f", 0, 0)), sec(10, code(0x00)),
		rawSec(0, cat(".debug_line", "x")), rawSec(0, cat("sourceMappingURL", "x")), rawSec(0, names), rawSec(0, cat("mesh.policy", "kept")))
	m := mustRewrite(t, wasm, options())
	if want := []string{".debug_line", "sourceMappingURL", "name", "mesh.policy"}; !reflect.DeepEqual(m.CustomSections, want) {
		t.Errorf("custom sections %v", m.CustomSections)
	}
	if bytes.Contains(m.Wasm, []byte("debug")) || bytes.Contains(m.Wasm, []byte("URL")) || !bytes.Contains(m.Wasm, []byte("kept")) {
		t.Errorf("wrong sections kept: %q", m.Wasm)
	}
	_, _, err := machines()[0].mustInstantiate(t, m.Wasm).call("f", 10)
	if err == nil || !strings.Contains(err.Error(), "work") {
		t.Errorf("the trace does not name the function: %v", err)
	}
	opts := options()
	opts.DropNames = true
	if bytes.Contains(mustRewrite(t, wasm, opts).Wasm, []byte("work")) {
		t.Error("names kept")
	}
}

// TestDeterministic rewrites twice, and without changing the input.
func TestDeterministic(t *testing.T) {
	original := readFile(t, "shapes.wasm")
	before := bytes.Clone(original)
	first, second := mustRewrite(t, original, options()).Wasm, mustRewrite(t, original, options()).Wasm
	if !bytes.Equal(first, second) || !bytes.Equal(before, original) {
		t.Error("two rewritings differ, or the input was changed")
	}
	opts := options()
	opts.Mode = meter.Off
	off := mustRewrite(t, original, opts)
	if off.FuelExport != "" || bytes.Contains(off.Wasm, []byte(meter.ReservedPrefix)) {
		t.Error("the counter is there although metering is off")
	}
	if _, err := meter.Rewrite(first, options()); err == nil {
		t.Error("a rewritten module is taken again")
	}
}
