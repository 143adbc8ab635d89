package meter_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"

	"github.com/wasmesh/wasmesh/wasm-policies/engine/meter"
)

// richModule has one of everything that an instruction can refer to. Its only function has a local i32 and never gets
// to the given code: behind `unreachable` every instruction finds the operands it needs.
func richModule(instructions []byte) []byte {
	body := sized(cat(1, 1, i32, 0x00, instructions, make([]byte, 20), 0x0b))
	return module(
		sec(1, nothing), oneFunc, oneTable, oneMem,
		sec(6, []byte{i64, 1, 0x42, 0, 0x0b}),
		sec(7, export("f", 0, 0)),
		sec(9, cat(1, 0, 1, 0)),
		rawSec(12, []byte{1}),
		sec(10, body),
		sec(11, cat(1, "x")),
	)
}

// TestInstructionTable holds the table of instructions to that of the engine: whatever operands follow an opcode, both
// take it or both refuse it, so that no instruction is read differently here than where it is executed.
func TestInstructionTable(t *testing.T) {
	zeros := make([]byte, 16)
	operands := [][]byte{
		{}, zeros[:1], zeros[:2], zeros[:3], zeros[:4], zeros[:8], zeros, // zeros left over are `unreachable`
		{0x40, 0x0b}, {0x7f, 0, 0x0b}, {0x7f, 0, 0x05, 0, 0x0b}, {0x00, 0x0b}, {0x70}, {1, 0x7f}, {2, 0x7f, 0x7f}, {1, 0, 0},
		{0, 1}, {1, 0}, {2, 0}, {3, 0}, {4, 0}, {5, 0}, {1, 0, 1}, {3, 0, 1}, {3, 0, 2}, {1, 0, 8}, {0, 0, 16}, {0, 0, 15}, {2}, {15}, {16},
		cat(zeros[:15], 31), cat(zeros[:15], 32),
	}
	var opcodes [][]byte
	for op := range 256 {
		if op != 0xfc && op != 0xfd {
			opcodes = append(opcodes, []byte{byte(op)})
		}
	}
	for sub := range 64 {
		opcodes = append(opcodes, cat(0xfc, uleb(sub)))
	}
	for sub := range 0x100 { // the engine does not read beyond; TestRefusals does
		opcodes = append(opcodes, cat(0xfd, uleb(sub)))
	}
	accepted := 0
	for _, opcode := range opcodes {
		for _, operand := range operands {
			wasm := richModule(cat(opcode, operand))
			_, refused := meter.Rewrite(wasm, options())
			invalid := compiles(t, wasm)
			if strings.Contains(fmt.Sprint(invalid), "type mismatch") || strings.Contains(fmt.Sprint(invalid), "results") {
				continue // typing of the stack is the engine's own
			}
			if (refused == nil) != (invalid == nil) {
				t.Errorf("%x %x: meter: %v, engine: %v", opcode, operand, refused, invalid)
			}
			if refused == nil {
				accepted++
			}
		}
	}
	if accepted < 436 { // the instructions of WebAssembly 2.0
		t.Errorf("%d accepted", accepted)
	}
}

// compiles reports how the interpreter, whose validation is the compiler's, takes a module.
func compiles(t testing.TB, wasm []byte) error {
	t.Helper()
	r := wazero.NewRuntimeWithConfig(t.Context(), wazero.NewRuntimeConfigInterpreter().WithMemoryLimitPages(memoryPages))
	defer r.Close(t.Context())
	_, err := r.CompileModule(t.Context(), wasm)
	return err
}
