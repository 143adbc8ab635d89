package builtin_test

import (
	"errors"
	"testing"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
	"github.com/wasmesh/wasmesh/wasm-policies/builtin"
)

// request is what all request structs can do.
type request interface {
	Size() int
	Encode([]byte)
}

// decide asks the built-in policy of that name.
func decide(t *testing.T, hook policyabi.Hook, name string, r request) []byte {
	t.Helper()
	p, ok := builtin.ByName(hook, name)
	if !ok {
		t.Fatalf("no built-in policy %v %q", hook, name)
	}
	buf := make([]byte, r.Size())
	r.Encode(buf)
	answer, err := p.Decide(buf)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func TestDefaults(t *testing.T) {
	for hook, name := range map[policyabi.Hook]string{
		policyabi.HookPlace: "balanced", policyabi.HookEvict: "cost-aware", policyabi.HookStatus: "modelmesh",
	} {
		p := builtin.Default(hook)
		if p.Name != name || p.Hook != hook {
			t.Errorf("default of %v is %q of %v, want %q", hook, p.Name, p.Hook, name)
		}
		if _, err := p.Decide([]byte("MPR1")); !errors.Is(err, policyabi.ErrRequest) {
			t.Errorf("%s of four bytes: %v, want a policyabi.ErrRequest", name, err)
		}
	}
	for _, c := range []struct {
		hook  policyabi.Hook
		name  string
		found bool
	}{
		{policyabi.HookEvict, "lru", true},
		{policyabi.HookEvict, "gdsf", true},
		{policyabi.HookPlace, "lru", false},
		{policyabi.HookPlace, "", false},
		{policyabi.HookRoute, "", false},
	} {
		if p, ok := builtin.ByName(c.hook, c.name); ok != c.found || ok && p.Name != c.name {
			t.Errorf("ByName(%v, %q) = %q, %v", c.hook, c.name, p.Name, ok)
		}
	}
}

// TestAllocations: the request path waits for these.
func TestAllocations(t *testing.T) {
	place := policyabi.PlaceRequest{Rows: make([]policyabi.PlaceRow, 100)}
	evict := policyabi.EvictRequest{Rows: make([]policyabi.EvictRow, 100)}
	stat := policyabi.StatusRequest{Rows: make([]policyabi.StatusRow, 2)}
	for hook, r := range map[policyabi.Hook]request{
		policyabi.HookPlace: &place, policyabi.HookEvict: &evict, policyabi.HookStatus: &stat,
	} {
		for _, name := range []string{builtin.Default(hook).Name, "lru", "gdsf"} {
			p, ok := builtin.ByName(hook, name)
			if !ok {
				continue
			}
			buf := make([]byte, r.Size())
			r.Encode(buf)
			if n := testing.AllocsPerRun(10, func() {
				if answer, err := p.Decide(buf); err != nil || len(answer) == 0 {
					t.Fatal(answer, err)
				}
			}); n != 0 {
				t.Errorf("%v %s: %v allocations", hook, name, n)
			}
		}
	}
}
