package wasmpolicies_test

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
	"github.com/wasmesh/wasmesh/wasm-policies/policytest"
)

// TestHelloPolicies: the example of each SDK is at most 15 lines, and does what it says.
func TestHelloPolicies(t *testing.T) {
	const maxLines = 15
	e := newEngine(t)
	for sdk, source := range map[string]string{"c": "policy.c", "rust": "policy.rs", "assemblyscript": "policy.ts"} {
		t.Run(sdk, func(t *testing.T) {
			lines := 0
			for line := range strings.Lines(string(read(t, filepath.Join("../sdk/policy", sdk, "examples/hello", source)))) {
				if strings.TrimSpace(line) != "" {
					lines++
				}
			}
			if lines > maxLines {
				t.Errorf("%d lines", lines)
			}
			hello, err := open(t, e, "examples/hello-"+sdk).With(t.Context(), "")
			if err != nil {
				t.Fatal(err)
			}
			request := &policyabi.PlaceRequest{Rows: []policyabi.PlaceRow{
				{Name: "a", FreeMemory: 5}, {Name: "b", FreeMemory: 9}, {Name: "c", FreeMemory: 99, Flags: policyabi.HostFlagDraining}, {Name: "d", FreeMemory: 9},
			}}
			answer, _, err := hello.Decide(policyabi.HookPlace, request)
			if err != nil {
				t.Fatal(err)
			}
			ranking, err := policyabi.DecodePlaceAnswers(answer, len(request.Rows))
			if err != nil {
				t.Fatal(err)
			}
			if len(ranking) != 3 || ranking[0].Row != 1 || ranking[1].Row != 3 || ranking[2].Row != 0 {
				t.Errorf("answers %v", ranking)
			}
		})
	}
}

// TestGuestsDoNotLeak: the memory of a guest grows with the largest request only, so one instance lasts, and decides the same
// whatever came before.
func TestGuestsDoNotLeak(t *testing.T) {
	const calls = 2000
	e := newEngine(t)
	for _, name := range shipped() {
		hookName, _, _ := strings.Cut(name, "-")
		hook := map[string]policyabi.Hook{"place": policyabi.HookPlace, "evict": policyabi.HookEvict, "status": policyabi.HookStatus}[hookName]
		t.Run(name, func(t *testing.T) {
			configured, err := open(t, e, name).With(t.Context(), "")
			if err != nil {
				t.Fatal(err)
			}
			small, large := policytest.Typical(hook, 2), policytest.Typical(hook, 10_000)
			first := decide(t, configured, small)
			decide(t, configured, large)
			decide(t, configured, small)
			before := configured.Program().Stats()
			for range calls {
				if !bytes.Equal(decide(t, configured, small), first) {
					t.Fatal("another answer to the same request")
				}
			}
			if after := configured.Program().Stats(); after != before {
				t.Errorf("instances before %+v, after %+v", before, after)
			}
		})
	}
	if programs := e.Programs(); programs != 0 {
		t.Errorf("%d programs are left", programs)
	}
}

func decide(t *testing.T, configured *policytest.Configured, request []byte) []byte {
	t.Helper()
	answer, _, err := configured.DecideBytes(request)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}
