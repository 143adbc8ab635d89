package policytest

import (
	"bytes"
	"compress/gzip"
	"errors"
	"strings"
	"testing"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
	"github.com/wasmesh/wasmesh/wasm-policies/engine"
	"github.com/wasmesh/wasmesh/wasm-policies/hook/conformance"
	"github.com/wasmesh/wasmesh/wasm-policies/hook/hooktest"
)

func newEngine(t *testing.T) *engine.Engine {
	e, err := engine.New(engine.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func configured(t *testing.T, m hooktest.Module) *Configured {
	t.Helper()
	module, err := Open(newEngine(t), "mine", m.Wasm())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(module.Close)
	c, err := module.With(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// What the mesh would refuse is found here, and says what and where; a module that traps is asked everything still.
func TestConform(t *testing.T) {
	for _, c := range []struct {
		name   string
		module hooktest.Module
		// rule that is broken; empty for none. says is part of the detail.
		rule, says string
	}{
		{"answers", hooktest.Module{}, "", ""},
		{"abstains", hooktest.Module{Fault: hooktest.Abstains}, "", ""},
		{"traps", hooktest.Module{Fault: hooktest.Traps, Rows: 1000}, conformance.RuleAnswers, "unreachable"},
		{"always traps", hooktest.Module{Fault: hooktest.Traps}, conformance.RuleAnswers, "unreachable"},
		{"loops", hooktest.Module{Fault: hooktest.Loops, Rows: 17}, conformance.RuleAnswers, "fuel"},
		{"lies", hooktest.Module{Fault: hooktest.Lies}, conformance.RuleValid, "row 0"},
		{"keeps state", hooktest.Module{Fault: hooktest.Wavers}, conformance.RulePure, "state"},
	} {
		t.Run(c.name, func(t *testing.T) {
			policy := configured(t, c.module)
			failures := policy.Failures()
			if (c.rule == "") != (len(failures) == 0) {
				t.Fatalf("failures %v", failures)
			}
			for _, f := range failures {
				if f.Rule != c.rule || !strings.Contains(f.Detail, c.says) {
					t.Errorf("failure %v is not of rule %q, or does not say %q", f, c.rule, c.says)
				}
			}
			if err := policy.Conform(); err != nil && !strings.HasPrefix(err.Error(), "policy mine: place, request ") {
				t.Errorf("error %v does not name the module, the hook and the request", err)
			}
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	e := newEngine(t)
	module := hooktest.Module{}.Wasm()
	for _, c := range []struct {
		name    string
		content []byte
		rule    string
	}{
		{"nothing", nil, "format"},
		{"text", []byte("hello"), "format"},
		{"cut off", module[:len(module)/2], "format"},
		{"cut off gzip", zip(t, module)[:100], engine.RuleInvalid},
		{"gzip bomb", zip(t, make([]byte, 17<<20)), engine.RuleLimit},
	} {
		_, err := Open(e, "mine", c.content)
		var refusal *engine.Refusal
		if !errors.As(err, &refusal) || refusal.Rule != c.rule || !strings.Contains(err.Error(), "mine") {
			t.Errorf("%s: error %v, not a refusal by rule %q that names the module", c.name, err, c.rule)
		}
	}
	opened, err := Open(e, "mine", zip(t, module))
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	if !bytes.Equal(opened.Wasm(), module) || opened.Name() != "mine" {
		t.Errorf("%s has %d bytes", opened.Name(), len(opened.Wasm()))
	}
}

func zip(t *testing.T, content []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// A configuration is refused where it is given, not at the first decision.
func TestConfigurationIsRefused(t *testing.T) {
	module, err := Open(newEngine(t), "mine", hooktest.Module{}.Wasm())
	if err != nil {
		t.Fatal(err)
	}
	defer module.Close()
	var refusal *engine.Refusal
	if _, err := module.With(t.Context(), "a=1"); !errors.As(err, &refusal) || refusal.Rule != engine.RuleConfigure || refusal.Policy != "mine" {
		t.Errorf("error %v", err)
	}
}

// What is measured is what it says it is, and the same every time.
func TestTypical(t *testing.T) {
	policy := configured(t, hooktest.Module{})
	for _, hook := range []policyabi.Hook{policyabi.HookPlace, policyabi.HookEvict} {
		for _, rows := range []int{0, 1, 1000} {
			request := Typical(hook, rows)
			header, err := policyabi.ViewHeader(request)
			if err != nil || header.Hook() != hook || int(header.RowCount()) != rows || !bytes.Equal(request, Typical(hook, rows)) {
				t.Errorf("%v over %d rows: hook %v, %d rows, error %v", hook, rows, header.Hook(), header.RowCount(), err)
			}
			if answer, _, err := policy.DecideBytes(request); err != nil || (len(answer) > 0) != (rows > 0) {
				t.Errorf("%v over %d rows: %d bytes, error %v", hook, rows, len(answer), err)
			}
		}
	}
}
