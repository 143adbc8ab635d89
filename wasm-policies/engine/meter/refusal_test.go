package meter_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/wasmesh/wasmesh/wasm-policies/engine/meter"
)

// Parts of the modules below.
var (
	nothing  = funcType(nil, nil)
	oneFunc  = sec(3, []byte{0})
	oneTable = sec(4, []byte{0x70, 0, 1})
	oneMem   = sec(5, []byte{0, 1})
)

// withCode is a module of one function () -> (), with memory, table and one mutable global.
func withCode(instructions ...any) []byte {
	return module(sec(1, nothing), oneFunc, oneTable, oneMem, sec(6, []byte{i64, 1, 0x42, 0, 0x0b}), sec(10, code(instructions...)))
}

func TestRefusals(t *testing.T) {
	valid := withCode(0x23, 0, 0x1a)
	tests := []struct {
		name   string
		module []byte
		rule   meter.Rule
		detail string // part of the refusal
	}{
		{"empty", nil, meter.RuleFormat, "no WebAssembly module"},
		{"text", []byte("(module (func))"), meter.RuleFormat, "no WebAssembly module"},
		{"component", []byte("\x00asm\x0d\x00\x01\x00"), meter.RuleFormat, "no WebAssembly module of version 1"},
		{"truncated", valid[:len(valid)-3], meter.RuleFormat, "unexpected end"},
		{"trailing byte", append(bytes.Clone(valid), 7), meter.RuleFormat, "unexpected end"},
		{"unknown section", module(rawSec(14, nil)), meter.RuleFormat, "unknown section 14"},
		{"section order", module(oneMem, oneTable), meter.RuleFormat, "table section: repeated or out of order"},
		{"section twice", module(oneMem, oneMem), meter.RuleFormat, "memory section: repeated"},
		{"section too long", module(rawSec(1, []byte{0, 0})), meter.RuleFormat, "type section: 1 bytes after the last item"},
		{"overlong number", module(rawSec(1, []byte{0x80, 0x80, 0x80, 0x80, 0x80, 0})), meter.RuleFormat, "exceeds 32 bits"},
		{"number above 32 bits", module(rawSec(1, []byte{0xff, 0xff, 0xff, 0xff, 0x1f})), meter.RuleFormat, "exceeds 32 bits"},
		{"count without items", module(rawSec(3, uleb(1000))), meter.RuleFormat, "1000 functions announced"},
		{"name not UTF-8", module(rawSec(0, []byte{1, 0xff})), meter.RuleFormat, "not UTF-8"},
		{"functions without code", module(sec(1, nothing), oneFunc), meter.RuleFormat, "1 functions declared, 0 bodies"},
		{"garbage collection", module(sec(1, []byte{0x5f, 0})), meter.RuleFeature, "type form 0x5f: garbage collection"},
		{"exceptions", module(rawSec(13, []byte{0})), meter.RuleFeature, "exception handling"},
		{"value type", module(sec(1, funcType([]byte{0x64}, nil))), meter.RuleFeature, "value type 0x64"},

		{"import not offered", module(sec(1, nothing), sec(2, cat("wasi_snapshot_preview1", "sock_open", 0, 0))), meter.RuleImport, `import section: "wasi_snapshot_preview1"."sock_open" is not offered`},
		{"imported memory", module(sec(2, cat("host", "memory", 2, 0, 1))), meter.RuleImport, `"host"."memory" is a memory`},
		{"imported table", module(sec(2, cat("host", "table", 1, 0x70, 0, 1))), meter.RuleImport, `"host"."table" is a table`},
		{"imported global", module(sec(2, cat("host", "g", 3, i64, 1))), meter.RuleImport, `"host"."g" is a global`},
		{"import of unknown type", module(sec(1, nothing), sec(2, cat("host", "tick", 0, 1))), meter.RuleIndex, "type 1 of 1"},

		{"reserved export", module(oneMem, sec(7, export("__mesh_fuel", 2, 0))), meter.RuleExport, `"__mesh_fuel": names that begin with "__mesh_"`},
		{"export twice", module(oneMem, sec(7, export("m", 2, 0), export("m", 2, 0))), meter.RuleFormat, `"m" is exported twice`},
		{"export of nothing", module(sec(7, export("m", 2, 0))), meter.RuleIndex, `export "m" of memory 0 of 0`},
		{"export of the counter", module(sec(6, []byte{i64, 1, 0x42, 0, 0x0b}), sec(7, export("g", 3, 1))), meter.RuleIndex, `export "g" of global 1 of 1`},
		{"export of a tag", module(sec(7, export("t", 4, 0))), meter.RuleFeature, `"t" is of kind 4`},

		{"start with parameters", module(sec(1, funcType([]byte{i32}, nil)), oneFunc, rawSec(8, []byte{0}), sec(10, code())), meter.RuleFormat, "function 0 is of type (i32) -> ()"},
		{"start of nothing", module(rawSec(8, []byte{0})), meter.RuleIndex, "function 0 of 0"},

		{"two memories", module(sec(5, []byte{0, 1}, []byte{0, 1})), meter.RuleFeature, "multiple memories"},
		{"memory64", module(sec(5, []byte{4, 1})), meter.RuleFeature, "memory64"},
		{"shared memory", module(sec(5, []byte{3, 1, 1})), meter.RuleFeature, "threads"},
		{"memory above the limit", module(sec(5, cat(0, uleb(memoryPages+1)))), meter.RuleLimit, "at least 65 memory pages, at most 64"},
		{"memory reversed", module(sec(5, []byte{1, 2, 1})), meter.RuleFormat, "minimum 2 above maximum 1"},
		{"memory beyond 4 GiB", module(sec(5, cat(1, 1, uleb(65537)))), meter.RuleFormat, "the format ends at 65536"},
		{"table above the limit", module(sec(4, cat(0x70, 0, uleb(1001)))), meter.RuleLimit, "at least 1001 table elements, at most 1000"},
		{"table with initialiser", module(sec(4, []byte{0x40, 0, 0x70, 0, 1, 0xd0, 0x70, 0x0b})), meter.RuleFeature, "initialiser"},

		{"constant of a global", module(sec(6, []byte{i64, 0, 0x23, 1, 0x0b})), meter.RuleIndex, "constant expression reads global 1"},
		{"long constant", module(sec(6, []byte{i32, 0, 0x41, 1, 0x41, 1, 0x6a, 0x0b})), meter.RuleFeature, "more than one instruction"},
		{"constant of a call", module(sec(6, []byte{i32, 0, 0x10, 0, 0x0b})), meter.RuleFormat, "instruction 0x10"},
		{"element of no function", module(oneTable, sec(9, cat(0, 0x41, 0, 0x0b, 1, 5))), meter.RuleIndex, "element segment 0: function 5 of 0"},
		{"element of no table", module(sec(9, cat(0, 0x41, 0, 0x0b, 0))), meter.RuleIndex, "table 0 of 0"},
		{"data without memory", module(sec(11, cat(0, 0x41, 0, 0x0b, "x"))), meter.RuleIndex, "memory 0 of 0"},
		{"data count", module(oneMem, rawSec(12, []byte{2}), sec(11, cat(1, "x"))), meter.RuleFormat, "2 data segments announced, 1 found"},

		{"counter read", withCode(0x23, 1, 0x1a), meter.RuleIndex, "function 0: global.get: global 1 of 1"},
		{"counter written", withCode(0x42, 0, 0x24, 1), meter.RuleIndex, "global.set: global 1 of 1"},
		{"counter by padded index", withCode(0x42, 0, 0x24, 0x81, 0x80, 0), meter.RuleIndex, "global.set: global 1 of 1"},
		{"function added later", withCode(0x10, 1), meter.RuleIndex, "call: function 1 of 1"},
		{"reference to nothing", withCode(0xd2, 1, 0x1a), meter.RuleIndex, "ref.func: function 1 of 1"},
		{"local", withCode(0x20, 0, 0x1a), meter.RuleIndex, "local.get: local 0 of 0"},
		{"type", withCode(0x41, 0, 0x11, 1, 0), meter.RuleIndex, "call_indirect: type 1 of 1"},
		{"table", withCode(0x41, 0, 0x11, 0, 1), meter.RuleIndex, "call_indirect: table 1 of 1"},
		{"block type", withCode(0x02, 1, 0x0b), meter.RuleIndex, "block: type 1 of 1"},
		{"label", withCode(0x02, 0x40, 0x0c, 2, 0x0b), meter.RuleIndex, "branch to label 2 of 2"},
		{"label in dead code", withCode(0x00, 0x0c, 1), meter.RuleIndex, "branch to label 1 of 1"},
		{"label of br_table", withCode(0x41, 0, 0x0e, 1, 1, 0), meter.RuleIndex, "branch to label 1 of 1"},
		{"else without if", withCode(0x02, 0x40, 0x05, 0x0b), meter.RuleFormat, "else without if"},
		{"second else", withCode(0x41, 0, 0x04, 0x40, 0x05, 0x05, 0x0b), meter.RuleFormat, "else without if"},
		{"open block", withCode(0x02, 0x40), meter.RuleFormat, "unexpected end"},
		{"code after the end", withCode(0x0b, 0x01), meter.RuleFormat, "bytes after the end"},
		{"alignment", withCode(0x41, 0, 0x28, 3, 0, 0x1a), meter.RuleFormat, "alignment 2^3 above the natural 2^2"},
		{"data segment", withCode(0xfc, 9, 0), meter.RuleFormat, "data.drop without a data count section"},
		{"element segment", withCode(0xfc, 13, 0), meter.RuleIndex, "elem.drop: element segment 0 of 0"},
		{"no memory", module(sec(1, nothing), oneFunc, sec(10, code(0x3f, 0, 0x1a))), meter.RuleIndex, "memory.size: memory 0 of 0"},
		{"lane", withCode(0xfd, 0x0c, make([]byte, 16), 0xfd, 0x15, 16, 0x1a), meter.RuleIndex, "lane 16 of 16"},

		{"unknown instruction", withCode(0xff), meter.RuleOpcode, "function 0: unknown instruction 0xff"},
		{"unknown prefixed instruction", withCode(0xfc, 18), meter.RuleOpcode, "unknown instruction 0xfc 0x12"},
		{"unknown vector instruction", withCode(0xfd, 0x9a, 1), meter.RuleOpcode, "unknown instruction 0xfd 0x9a"},
		{"padded vector instruction", withCode(0xfd, 0x8b, 0), meter.RuleFormat, "padded"},
		{"relaxed vectors", withCode(0xfd, 0x80, 2), meter.RuleFeature, "instruction 0xfd 0x100: relaxed vectors"},
		{"atomics", withCode(0xfe, 0), meter.RuleFeature, "instruction 0xfe: threads"},
		{"tail call", withCode(0x12, 0), meter.RuleFeature, "instruction 0x12: tail calls"},
		{"throw", withCode(0x08, 0), meter.RuleFeature, "instruction 0x08: exception handling"},
		{"garbage collection code", withCode(0xfb, 0), meter.RuleFeature, "instruction 0xfb: garbage collection"},
		{"call_ref", withCode(0x14, 0), meter.RuleFeature, "instruction 0x14: typed function references"},
		{"second memory accessed", withCode(0x41, 0, 0x28, 0x42, 1, 0, 0x1a), meter.RuleFeature, "multiple memories"},
		{"second memory grown", withCode(0x41, 0, 0x40, 1, 0x1a), meter.RuleFeature, "memory.grow: memory 1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { checkRefused(t, test.module, options(), test.rule, test.detail) })
	}
	if _, err := meter.Rewrite(valid, options()); err != nil {
		t.Errorf("the module that the others vary: %v", err)
	}
}

func checkRefused(t *testing.T, module []byte, opts meter.Options, rule meter.Rule, detail string) {
	t.Helper()
	_, err := meter.Rewrite(module, opts)
	var refusal *meter.Refusal
	if !errors.As(err, &refusal) {
		t.Fatalf("got %v, want a refusal", err)
	}
	if refusal.Rule != rule || !strings.Contains(refusal.Detail, detail) || !strings.Contains(err.Error(), refusal.Detail) {
		t.Errorf("got %v, want rule %s and %q", err, rule, detail)
	}
	if refusal.Offset < 0 || refusal.Offset > len(module) {
		t.Errorf("offset %d in a module of %d bytes", refusal.Offset, len(module))
	}
}

func TestLimits(t *testing.T) {
	many := func(n int, item ...byte) [][]byte {
		items := make([][]byte, n)
		for i := range items {
			items[i] = item
		}
		return items
	}
	funcs := func(n int, body []byte) []byte {
		return module(sec(1, nothing), sec(3, many(n, 0)...), sec(10, many(n, body...)...))
	}
	tests := []struct {
		name   string
		limits meter.Limits
		module []byte
		detail string
	}{
		{"module", meter.Limits{MaxModuleBytes: 20}, funcs(5, code()), "module of 40 bytes, at most 20"},
		{"types", meter.Limits{MaxTypes: 2}, module(sec(1, many(3, 0x60, 0, 0)...)), "3 types, at most 2"},
		{"parameters", meter.Limits{MaxTypeValues: 1}, module(sec(1, funcType([]byte{i32, i32}, nil))), "2 parameters, at most 1"},
		{"imports", meter.Limits{MaxImports: 1}, module(sec(1, nothing), sec(2, many(2, cat("host", "tick", 0, 0)...)...)), "2 imports, at most 1"},
		{"functions", meter.Limits{MaxFunctions: 4}, funcs(5, code()), "5 functions, at most 4"},
		{"body", meter.Limits{MaxFunctionBytes: 10}, funcs(1, code(bytes.Repeat([]byte{1}, 9))), "body of 11 bytes, at most 10"},
		{"locals", meter.Limits{MaxLocals: 10}, funcs(1, sized(cat(2, 10, i32, 1, i64, 0x0b))), "11 locals or more, at most 10"},
		{"locals beyond 32 bits", meter.Limits{}, funcs(1, sized(cat(2, uleb(1<<32-1), i32, uleb(1<<32-1), i64, 0x0b))), "locals or more, at most 4096"},
		{"nesting", meter.Limits{MaxNesting: 3}, funcs(1, code(bytes.Repeat([]byte{2, 0x40}, 4), bytes.Repeat([]byte{0x0b}, 4))), "blocks nested deeper than the 3 allowed"},
		{"branches", meter.Limits{MaxBranches: 3}, funcs(1, code(bytes.Repeat([]byte{2, 0x40, 0x0b}, 8))), "more than the 3 allowed blocks and branches"},
		{"large functions", meter.Limits{MaxBranches: 10, MaxLargeFunctions: 1}, funcs(2, code(bytes.Repeat([]byte{2, 0x40, 0x0b}, 8))),
			"function 1: together with the functions before it"},
		{"loops and locals", meter.Limits{}, funcs(1, code(bytes.Repeat([]byte{3, 0x40, 0x0b}, 2000))), "loops with"},
		{"tables", meter.Limits{MaxTables: 1}, module(sec(4, many(2, 0x70, 0, 1)...)), "2 tables, at most 1"},
		{"globals", meter.Limits{MaxGlobals: 1}, module(sec(6, many(2, i32, 0, 0x41, 0, 0x0b)...)), "2 globals, at most 1"},
		{"exports", meter.Limits{MaxExports: 1}, module(oneMem, sec(7, export("a", 2, 0), export("b", 2, 0))), "2 exports, at most 1"},
		{"segments", meter.Limits{MaxSegments: 1}, module(oneMem, sec(11, many(2, 1, 0)...)), "2 segments, at most 1"},
		{"announced segments", meter.Limits{MaxSegments: 1}, module(rawSec(12, []byte{2})), "2 data segments, at most 1"},
		{"items of all segments", meter.Limits{MaxTables: 1, MaxTable: 3}, module(sec(9, many(2, 5, 0x70, 2, 0xd0, 0x70, 0x0b, 0xd0, 0x70, 0x0b)...)), "2 items of all segments, at most 1"},
		{"custom sections", meter.Limits{MaxCustoms: 1}, module(rawSec(0, []byte{0}), rawSec(0, []byte{0})), "custom section: more than the 1 allowed"},
		{"name", meter.Limits{MaxNameBytes: 3}, module(rawSec(0, cat("long"))), "a name of 4 bytes, at most 3"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			opts := options()
			opts.Limits = test.limits
			checkRefused(t, test.module, opts, meter.RuleLimit, test.detail)
		})
	}
}
