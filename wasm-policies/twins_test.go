// Package wasmpolicies_test holds the shipped modules, as `make policies` builds them, to what is promised about them.
package wasmpolicies_test

import (
	"bytes"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
	"github.com/wasmesh/wasmesh/wasm-policies/builtin"
	"github.com/wasmesh/wasmesh/wasm-policies/hook/conformance"
	"github.com/wasmesh/wasmesh/wasm-policies/policytest"
)

// twins are the modules whose policy is built in as well.
func twins() map[string]policyabi.Hook {
	return map[string]policyabi.Hook{
		"balanced": policyabi.HookPlace, "cost-aware": policyabi.HookEvict, "lru": policyabi.HookEvict,
		"gdsf": policyabi.HookEvict, "modelmesh": policyabi.HookStatus,
	}
}

// TestTwinsAgree: a module and its twin in Go give the same bytes, on the conformance set and on random requests.
func TestTwinsAgree(t *testing.T) {
	const requests = 1500
	e := newEngine(t)
	for name, hook := range twins() {
		t.Run(hook.String()+"-"+name, func(t *testing.T) {
			twin, ok := builtin.ByName(hook, name)
			if !ok {
				t.Fatal("it is not built in")
			}
			module, err := open(t, e, hook.String()+"-"+name).With(t.Context(), "")
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range conformance.Requests(hook) {
				compare(t, twin, module, r.Bytes)
			}
			random := world{rand.New(rand.NewPCG(1, uint64(hook)))}
			for range requests {
				compare(t, twin, module, random.request(hook))
				if t.Failed() {
					return
				}
			}
		})
	}
}

// FuzzTwinsAgree explores from seeds of the same random requests.
func FuzzTwinsAgree(f *testing.F) {
	for seed := range uint64(5) {
		f.Add(seed, uint8(seed))
	}
	e := newEngine(f)
	modules := map[string]*policytest.Configured{}
	for name, hook := range twins() {
		module, err := open(f, e, hook.String()+"-"+name).With(f.Context(), "")
		if err != nil {
			f.Fatal(err)
		}
		modules[name] = module
	}
	f.Fuzz(func(t *testing.T, seed uint64, which uint8) {
		hook := policyabi.HookPlace + policyabi.Hook(which%3)
		request := world{rand.New(rand.NewPCG(seed, 2))}.request(hook)
		for name, module := range modules {
			if twin, ok := builtin.ByName(hook, name); ok {
				compare(t, twin, module, request)
			}
		}
	})
}

// answerBytes is the size of an answer of each hook.
const answerBytes = 16

func compare(t *testing.T, twin builtin.Policy, module *policytest.Configured, request []byte) {
	t.Helper()
	want, err := twin.Decide(bytes.Clone(request))
	if err != nil {
		t.Fatalf("built-in: %v", err)
	}
	got, _, err := module.DecideBytes(request)
	if err != nil {
		t.Fatalf("module: %v", err)
	}
	if bytes.Equal(got, want) {
		return
	}
	if len(got) != len(want) {
		t.Errorf("the module answers %d bytes and its twin %d to a request of %d bytes", len(got), len(want), len(request))
		return
	}
	at := 0
	for got[at] == want[at] {
		at++
	}
	at -= at % answerBytes
	t.Errorf("the module answers %x and its twin %x, %d bytes on, to a request of %d bytes", got[at:at+answerBytes], want[at:at+answerBytes], at, len(request))
}

// world makes random requests.
type world struct{ *rand.Rand }

// rows of a request: mostly more than a ranking names.
func (w world) rows() int { return w.IntN(1 << w.IntN(8)) }

func (w world) request(hook policyabi.Hook) []byte {
	var request policytest.Request
	scale := w.IntN(62)
	switch hook {
	case policyabi.HookPlace:
		r := &policyabi.PlaceRequest{Rows: make([]policyabi.PlaceRow, w.rows())}
		w.fill(scale, &r.Header, &r.Context)
		for i := range r.Rows {
			w.fill(scale, &r.Rows[i])
			if w.IntN(4) > 0 { // Else most hosts have a flag that rules them out.
				r.Rows[i].Flags &^= policyabi.HostFlagDraining | policyabi.HostFlagExcluded | policyabi.HostFlagHasCopy
			}
		}
		request = r
	case policyabi.HookEvict:
		r := &policyabi.EvictRequest{Rows: make([]policyabi.EvictRow, w.rows())}
		w.fill(scale, &r.Header, &r.Context)
		for i := range r.Rows {
			w.fill(scale, &r.Rows[i])
		}
		request = r
	default:
		r := &policyabi.StatusRequest{Rows: make([]policyabi.StatusRow, w.IntN(4))}
		w.fill(w.IntN(4), &r.Header, &r.Context)
		for i := range r.Rows {
			w.fill(w.IntN(4), &r.Rows[i])
		}
		request = r
	}
	encoded := make([]byte, request.Size())
	request.Encode(encoded)
	return encoded
}

// fill sets the integers of structs to values of about 2^scale, so that they are worth comparing, some to 0, and few to
// extremes.
func (w world) fill(scale int, structs ...any) {
	for _, s := range structs {
		fields := reflect.ValueOf(s).Elem()
		for i := range fields.NumField() {
			field := fields.Field(i)
			value := w.value(scale)
			switch {
			case field.CanInt():
				bits := 64 - field.Type().Bits()
				field.SetInt(value << bits >> bits)
			case field.CanUint():
				bits := 64 - field.Type().Bits()
				field.SetUint(uint64(value) << bits >> bits)
			}
		}
	}
}

func (w world) value(scale int) int64 {
	switch w.IntN(40) {
	case 0:
		return math.MaxInt64
	case 1:
		return math.MinInt64
	case 2:
		return -w.Int64N(1 << 40)
	case 3, 4, 5, 6, 7:
		return 0
	case 8, 9, 10, 11:
		return w.Int64N(1 << w.IntN(62))
	}
	return w.Int64N(1 << scale)
}
