package meter_test

import (
	"strings"
	"testing"

	"github.com/wasmesh/wasmesh/wasm-policies/engine/meter"
)

// TestHostile stops everything that would not end by itself, in both engines after the same work.
func TestHostile(t *testing.T) {
	tests := []struct {
		export string
		args   []uint64
	}{
		{"spin", nil}, {"shared", nil}, {"spinByTable", nil}, {"tree", []uint64{40}}, {"fill", nil}, {"copy", nil},
		{"grow", nil}, {"table", nil}, {"host", nil}, {"hostByTable", nil}, {"unwind", []uint64{1 << 30}},
	}
	const budget = 10_000
	for _, mode := range []meter.Mode{meter.Exact, meter.Coarse} {
		opts := options()
		opts.Mode = mode
		metered := mustRewrite(t, readFile(t, "hostile.wasm"), opts).Wasm
		for _, test := range tests {
			var fuel [2]int64
			for i, m := range machines() {
				var err error
				if _, fuel[i], err = m.mustInstantiate(t, metered).call(test.export, budget, test.args...); err == nil || !strings.Contains(err.Error(), "unreachable") {
					t.Errorf("%s, %s: %v", test.export, m.name, err)
				}
			}
			// The last charge is a page or a host's call at most; it was refused, not done.
			if fuel[0] != fuel[1] || fuel[0] <= budget || fuel[0] > budget+8192+meter.CreditUnits {
				t.Errorf("%s: used %v of %d", test.export, fuel, budget)
			}
		}
	}
}

// TestUnwind lets a recursion spend its budget at the bottom: the frames on the way back must not go on to work.
func TestUnwind(t *testing.T) {
	metered := mustRewrite(t, readFile(t, "hostile.wasm"), options()).Wasm
	const (
		depth = 100
		down  = depth*17 + 13 // to the bottom; all but the end of each frame is charged at its entry
		up    = 6             // the end of each frame
	)
	for _, m := range machines() {
		for budget := int64(down - 50); budget < down+depth*up; budget += 7 {
			i := m.mustInstantiate(t, metered)
			_, used, err := i.call("unwind", budget, depth)
			done, _ := i.Memory().ReadUint32Le(4)
			if err == nil || used <= budget {
				t.Fatalf("%s: budget %d: used %d, %v", m.name, budget, used, err)
			}
			if most := max(budget-down, 0)/up + 1; int64(done) > most {
				t.Fatalf("%s: budget %d: %d frames went on, at most %d were paid", m.name, budget, done, most)
			}
			i.runtime.Close(t.Context())
		}
		if _, used, err := m.mustInstantiate(t, metered).call("unwind", down+(depth+1)*up, depth); err != nil || used != down+(depth+1)*up {
			t.Fatalf("%s: used %d of the %d that it needs: %v", m.name, used, down+(depth+1)*up, err)
		}
	}
}

// TestIndirectTree is an exponential tree of calls through a table. Its depth is without bound, so the engine's own limit
// on the stack may come first.
func TestIndirectTree(t *testing.T) {
	metered := mustRewrite(t, readFile(t, "hostile.wasm"), options()).Wasm
	for _, m := range machines() {
		if _, _, err := m.mustInstantiate(t, metered).call("indirect", 1<<30); err == nil {
			t.Errorf("%s: it ended", m.name)
		}
		_, used, err := m.mustInstantiate(t, metered).call("indirect", 1000)
		if err == nil || !strings.Contains(err.Error(), "unreachable") || used <= 1000 {
			t.Errorf("%s: used %d: %v", m.name, used, err)
		}
	}
}

// TestStart bounds instantiation by the initial fuel.
func TestStart(t *testing.T) {
	for _, fuel := range []int64{-5, 0, 1000} {
		opts := options()
		opts.InitialFuel = fuel
		rewritten := mustRewrite(t, readFile(t, "start.wasm"), opts)
		if !rewritten.Start {
			t.Error("the start function is not reported")
		}
		for _, m := range machines() {
			if _, err := m.instantiate(t, rewritten.Wasm); err == nil || !strings.Contains(err.Error(), "unreachable") {
				t.Errorf("%s: got %v", m.name, err)
			}
		}
	}
}

// TestHostCost charges what the host asks for, up to the greatest cost there is.
func TestHostCost(t *testing.T) {
	for _, cost := range []uint32{0, 1, 1<<32 - 1} {
		opts := options()
		opts.HostCallCost = cost
		i := machines()[0].mustInstantiate(t, mustRewrite(t, readFile(t, "shapes.wasm"), opts).Wasm)
		if _, used, err := i.call("double", 1<<40, 4); err != nil || used != int64(cost) {
			t.Errorf("cost %d: used %d, %v", cost, used, err)
		}
	}
}

// TestCredit takes the path through a function without loops or calls on which nothing but the sum of many small blocks
// is worth a test: every block with a charge that is tested anyway is skipped.
func TestCredit(t *testing.T) {
	ops := func(n int) (b []byte) { // 2n units
		for range n {
			b = append(b, 0x41, 1, 0x1a)
		}
		return b
	}
	const rounds, perRound = 50, 2 + 200
	instructions := []byte{0x02, 0x40}
	for range rounds {
		skip := cat(0x02, 0x40, 0x20, 0, 0x0d, 0, ops(300), 0x20, 1, 0x0d, 1, 0x0b) // the second branch leaves both blocks
		instructions = append(append(instructions, skip...), ops(100)...)
	}
	wasm := module(sec(1, funcType([]byte{i32, i32}, nil)), oneFunc, sec(7, export("f", 0, 0)), sec(10, code(instructions, 0x0b)))
	metered := mustRewrite(t, wasm, options()).Wasm
	const need = 1 + rounds*perRound
	for _, m := range machines() {
		i := m.mustInstantiate(t, metered)
		for _, budget := range []int64{0, 500, need / 2, need - meter.CreditUnits - 1} {
			if _, used, err := i.call("f", budget, 1, 0); err == nil || used <= budget {
				t.Errorf("%s: budget %d: used %d, %v", m.name, budget, used, err)
			}
		}
		if _, used, err := i.call("f", need, 1, 0); err != nil || used != need {
			t.Errorf("%s: used %d of the %d that it needs: %v", m.name, used, need, err)
		}
	}
}
