package conformance

import (
	"bytes"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
	"github.com/wasmesh/wasmesh/wasm-policies/builtin"
)

var hooks = []policyabi.Hook{policyabi.HookPlace, policyabi.HookEvict, policyabi.HookStatus}

func find(t *testing.T, hook policyabi.Hook, name string) Request {
	t.Helper()
	for _, r := range Requests(hook) {
		if r.Name == name {
			return r
		}
	}
	t.Fatalf("no request %q of %v", name, hook)
	return Request{}
}

func TestRequestsAreTheSameInEveryRunAndNamedApart(t *testing.T) {
	for _, hook := range hooks {
		first, again := Requests(hook), Requests(hook)
		if !reflect.DeepEqual(first, again) {
			t.Errorf("%v: two sets differ", hook)
		}
		seen := make(map[string]bool)
		rows := make(map[int]bool)
		for _, r := range first {
			if seen[r.Name] {
				t.Errorf("%v: two requests are named %q", hook, r.Name)
			}
			seen[r.Name], rows[r.Rows] = true, true
		}
		if !rows[0] || !rows[1] || !rows[1000] {
			t.Errorf("%v: requests of %v rows", hook, rows)
		}
	}
	if Requests(policyabi.HookRoute) != nil {
		t.Error("requests for a hook that no policy answers")
	}
}

// Built-in policies are held to what modules are held to.
func TestBuiltInPoliciesConform(t *testing.T) {
	policies := []builtin.Policy{builtin.Default(policyabi.HookPlace), builtin.Default(policyabi.HookEvict), builtin.Default(policyabi.HookStatus)}
	for _, name := range []string{"lru", "gdsf"} {
		p, ok := builtin.ByName(policyabi.HookEvict, name)
		if !ok {
			t.Fatalf("no policy %s", name)
		}
		policies = append(policies, p)
	}
	for _, p := range policies {
		for _, r := range Requests(p.Hook) {
			if err := Check(p.Hook, r, func(request []byte) ([]byte, uint64, error) {
				answer, err := p.Decide(slices.Clone(request))
				return answer, 0, err
			}); err != nil {
				t.Errorf("%s: %v", p.Name, err)
			}
		}
	}
}

// What an older or newer host writes says the same in the fields that both know.
func TestSkewedRequestsSayTheSame(t *testing.T) {
	for _, hook := range hooks {
		for _, name := range []string{"no rows", "one row", "seventeen rows"} {
			plain, newer, older := decode(t, hook, find(t, hook, name)), decode(t, hook, find(t, hook, name+", from a newer host")), decode(t, hook, find(t, hook, name+", from an older host"))
			if !reflect.DeepEqual(plain, newer) {
				t.Errorf("%v, %s: a newer host's request reads\n%+v, want\n%+v", hook, name, newer, plain)
			}
			// Names are the last fields, which the older host does not have.
			if reflect.DeepEqual(plain, older) {
				t.Errorf("%v, %s: an older host's request has names", hook, name)
			}
			if stripNames(plain); !reflect.DeepEqual(plain, older) {
				t.Errorf("%v, %s: an older host's request reads\n%+v, want\n%+v", hook, name, older, plain)
			}
		}
	}
}

func decode(t *testing.T, hook policyabi.Hook, r Request) any {
	t.Helper()
	var decoded any
	var err error
	switch hook {
	case policyabi.HookPlace:
		decoded, err = policyabi.DecodePlaceRequest(r.Bytes)
	case policyabi.HookEvict:
		decoded, err = policyabi.DecodeEvictRequest(r.Bytes)
	case policyabi.HookStatus:
		decoded, err = policyabi.DecodeStatusRequest(r.Bytes)
	}
	if err != nil {
		t.Fatalf("%v, %s: %v", hook, r.Name, err)
	}
	return decoded
}

func stripNames(request any) {
	switch r := request.(type) {
	case *policyabi.PlaceRequest:
		r.Context.Name = ""
		for i := range r.Rows {
			r.Rows[i].Name = ""
		}
	case *policyabi.EvictRequest:
		r.Context.Name = ""
		for i := range r.Rows {
			r.Rows[i].Name = ""
		}
	case *policyabi.StatusRequest:
		r.Context.Name = ""
		for i := range r.Rows {
			r.Rows[i].Name = ""
		}
	}
}

func TestEveryRequestIsWellFormed(t *testing.T) {
	for _, hook := range hooks {
		for _, r := range Requests(hook) {
			decode(t, hook, r)
		}
	}
}

func TestCheckNamesTheRule(t *testing.T) {
	request := find(t, policyabi.HookPlace, "two rows")
	answer := func(rows ...byte) []byte {
		var b []byte
		for _, row := range rows {
			b = append(append(b, row), make([]byte, 15)...)
		}
		return b
	}
	calls := 0
	for name, test := range map[string]struct {
		decide Decide
		rule   string
	}{
		"answers":        {func([]byte) ([]byte, uint64, error) { return answer(1, 0), 10, nil }, ""},
		"abstains":       {func([]byte) ([]byte, uint64, error) { return nil, 10, nil }, ""},
		"fails":          {func([]byte) ([]byte, uint64, error) { return nil, 0, errors.New("division by zero") }, RuleAnswers},
		"row twice":      {func([]byte) ([]byte, uint64, error) { return answer(1, 1), 10, nil }, RuleValid},
		"row not there":  {func([]byte) ([]byte, uint64, error) { return answer(2), 10, nil }, RuleValid},
		"half an answer": {func([]byte) ([]byte, uint64, error) { return answer(1)[:8], 10, nil }, RuleValid},
		"much fuel":      {func([]byte) ([]byte, uint64, error) { return answer(1), 1 << 40, nil }, RuleFuel},
		"changes its mind": {func([]byte) ([]byte, uint64, error) {
			calls++
			return answer(byte(calls % 2)), 10, nil
		}, RulePure},
	} {
		err := Check(policyabi.HookPlace, request, test.decide)
		var failure *Failure
		switch {
		case test.rule == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case test.rule != "" && (!errors.As(err, &failure) || failure.Rule != test.rule || !strings.Contains(err.Error(), `"two rows"`)):
			t.Errorf("%s: %v, want rule %q", name, err, test.rule)
		}
	}
}

func TestTryAnswersWhatWasSaid(t *testing.T) {
	request := find(t, policyabi.HookStatus, "one row")
	p := builtin.Default(policyabi.HookStatus)
	tried, err := Try(Trial{Hook: policyabi.HookStatus, Request: request, Budget: 100}, func(request []byte) ([]byte, uint64, error) {
		answer, err := p.Decide(slices.Clone(request))
		return answer, 50, err
	})
	want, _ := p.Decide(slices.Clone(request.Bytes))
	if err != nil || tried.Fuel != 50 || !bytes.Equal(tried.Answer, want) {
		t.Fatalf("%+v, %v", tried, err)
	}
}
