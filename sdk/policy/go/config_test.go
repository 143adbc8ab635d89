package policy

import (
	"errors"
	"strings"
	"testing"
)

func TestConfiguration(t *testing.T) {
	for name, c := range map[string]struct {
		text    string
		a, b    int64
		refused string
	}{
		"nothing":     {"", 1, 2, ""},
		"both":        {"a=5\nb=-7", 5, -7, ""},
		"blanks":      {"  \n# a=3\n\ta = 5 \r\n\n", 5, 2, ""},
		"last counts": {"a=5\na=6\n", 6, 2, ""},
		"widest":      {"a=9223372036854775807\nb=-9223372036854775808", 1<<63 - 1, -1 << 63, ""},
		"too wide":    {"a=9223372036854775808", 1, 2, "not key=integer: a=9223372036854775808"},
		"not integer": {"a=5\nb=1.5", 1, 2, "not key=integer: b=1.5"},
		"no value":    {"a=", 1, 2, "not key=integer: a="},
		"no sign":     {"a", 1, 2, "not key=integer: a"},
		"unknown":     {"a=5\nz=1\nc=1", 1, 2, "unknown key in the configuration: c; there are: a, b"},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := &Configurable{"a", 1}, &Configurable{"b", 2}
			err := setInts([]byte(c.text), []*Configurable{a, b})
			if c.refused == "" && err != nil || c.refused != "" && (err == nil || !strings.Contains(err.Error(), c.refused)) {
				t.Errorf("error %v, want %q", err, c.refused)
			}
			if a.Value() != c.a || b.Value() != c.b {
				t.Errorf("a is %d and b %d, want %d and %d", a.Value(), b.Value(), c.a, c.b)
			}
		})
	}
}

func TestOnConfigure(t *testing.T) {
	if err := Configure(nil); err != nil {
		t.Errorf("no configuration for a policy that takes none: %v", err)
	}
	if err := Configure([]byte("a=1")); err == nil || !strings.Contains(err.Error(), "there are: none") {
		t.Errorf("a configuration for a policy that takes none: %v", err)
	}
	refusal := errors.New("no")
	OnConfigure(func(config []byte) error {
		if string(config) == "a=1" {
			return nil
		}
		return refusal
	})
	defer OnConfigure(nil)
	if err := Configure([]byte("a=1")); err != nil {
		t.Error(err)
	}
	if err := Configure(nil); !errors.Is(err, refusal) {
		t.Errorf("error %v, want %v", err, refusal)
	}
}
