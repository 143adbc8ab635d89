package wasmpolicies_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
	"github.com/wasmesh/wasmesh/wasm-policies/engine"
	"github.com/wasmesh/wasmesh/wasm-policies/policytest"
)

// TestShippedBudgets: ten thousand rows take less than half of the fuel that there is for them, which is what a policy must
// show before it is used. Where each host is better than all before it, which is the most work for who keeps the best, the
// fuel suffices.
func TestShippedBudgets(t *testing.T) {
	const rows = 10_000
	rising := &policyabi.PlaceRequest{Context: policyabi.PlaceContext{NeedMemory: 1 << 20}}
	for i := range rows {
		// Less and less of the curve to climb.
		rising.Rows = append(rising.Rows, policyabi.PlaceRow{
			Name: fmt.Sprintf("host-%d", i), CapacityMemory: 1 << 30, ReclaimHalf: 1 << 40, Reclaim4th: 1 << 40, Reclaim8th: 1 << 40,
			Reclaim16th: int64(rows-i) << 26, ZoneCopies: uint16(rows - i),
		})
	}
	encoded := make([]byte, rising.Size())
	rising.Encode(encoded)
	e := newEngine(t)
	for _, name := range shipped() {
		module, err := open(t, e, name).With(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		for _, hook := range []policyabi.Hook{policyabi.HookPlace, policyabi.HookEvict} {
			if !module.Implements(hook) {
				continue
			}
			requests := [][]byte{policytest.Typical(hook, rows)}
			if hook == policyabi.HookPlace {
				requests = append(requests, encoded)
			}
			for i, request := range requests {
				_, fuel, err := module.DecideBytes(request)
				if err != nil {
					t.Errorf("%s, request %d: %v", name, i, err)
				}
				if budget := engine.Budget(hook, rows); i == 0 && fuel > budget/2 {
					t.Errorf("%s, request %d: %d units of fuel, more than half of %d", name, i, fuel, budget)
				}
			}
		}
	}
}

// TestShippedConfigIsHonoured: each key that a README promises is in a scenario, which holds it to its meaning.
func TestShippedConfigIsHonoured(t *testing.T) {
	key := regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|")
	for _, name := range shipped() {
		scenarios, err := policytest.ReadDir(name + "/scenarios")
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range key.FindAllStringSubmatch(string(read(t, name+"/README.md")), -1) {
			held := false
			for _, s := range scenarios {
				held = held || strings.Contains(s.Config, match[1]+"=")
			}
			if !held {
				t.Errorf("%s: no scenario configures %s", name, match[1])
			}
		}
	}
}
