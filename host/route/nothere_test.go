package route

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestNotHereOnTheWire(t *testing.T) {
	tests := []struct {
		notHere NotHere
		want    string
	}{
		{NotHere{Reason: Absent}, "absent"},
		{NotHere{Reason: Busy}, "busy"},
		{NotHere{Reason: Failed, Err: &Error{LoadFailed, "no joblib: 100 % zeros\nin ä", 1500 * time.Millisecond}},
			"failed load_failed 1500 no%20joblib:%20100%20%25%20zeros%0Ain%20%C3%A4"},
		{NotHere{Reason: Refused, Err: &Error{Outcome: QueueFull}}, "refused queue_full 0 "},
	}
	for _, tt := range tests {
		if got := tt.notHere.Encode(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
		back, err := ParseNotHere(tt.want)
		if err != nil || !reflect.DeepEqual(back, &tt.notHere) {
			t.Errorf("%s: got back %+v %v", tt.want, back, err)
		}
	}
	for _, malformed := range []string{
		"", " ", "Absent", "absent ", " absent", "gone", "unreachable", "unknown", "failed load_failed", "failed load_failed 1",
		"failed load_failed 1 a b", "failed served 1 a", "failed nonsense 1 a", "failed load_failed -1 a", "failed load_failed +1 a",
		"failed load_failed 01 a", "failed load_failed 1.5 a", "failed load_failed 99999999999 a", "failed load_failed 1 %zz",
		"failed load_failed 1 %ff", "failed load_failed 1 " + strings.Repeat("x", 3000),
	} {
		if got, err := ParseNotHere(malformed); err == nil {
			t.Errorf("%q was taken as %+v", malformed, got)
		}
	}
}

func TestLongMessagesAreCut(t *testing.T) {
	long := &NotHere{Reason: Failed, Err: Errorf(LoadFailed, "%s", strings.Repeat("€", 1000))}
	back, err := ParseNotHere(long.Encode())
	if err != nil || len(back.Err.Message) < 2000 || !strings.HasPrefix(long.Err.Message, back.Err.Message) {
		t.Errorf("got %v", err)
	}
}

func FuzzParseNotHere(f *testing.F) {
	f.Add("absent")
	f.Add("failed load_failed 1500 no%20joblib")
	f.Add("refused queue_full 0 ")
	f.Fuzz(func(t *testing.T, value string) {
		n, err := ParseNotHere(value)
		if err != nil {
			return
		}
		if n.Error() == "" && n.Err == nil || n.Err != nil && !utf8.ValidString(n.Err.Message) {
			t.Errorf("%q: %+v", value, n)
		}
		encoded := n.Encode()
		again, err := ParseNotHere(encoded)
		if err != nil || !reflect.DeepEqual(n, again) {
			t.Errorf("%q -> %+v -> %q -> %+v %v", value, n, encoded, again, err)
		}
		for i := range len(encoded) {
			if encoded[i] < ' ' || encoded[i] > '~' {
				t.Fatalf("%q cannot stand in a header", encoded)
			}
		}
	})
}

func TestStrip(t *testing.T) {
	header := http.Header{"Wasmesh-Wait": {"1"}, "Wasmesh-Anything": {"x"}, "wasmesh-raw": {"y"}, "Wasm": {"z"}, "X-Wasmesh-Wait": {"1"}}
	Strip(header)
	if want := (http.Header{"Wasm": {"z"}, "X-Wasmesh-Wait": {"1"}}); !reflect.DeepEqual(header, want) {
		t.Errorf("left %v", header)
	}
}

func TestOutcomes(t *testing.T) {
	labels := make(map[string]bool)
	for i := range outcomes {
		o := Outcome(i)
		labels[o.String()] = true
		if back, ok := ParseOutcome(o.String()); !ok || back != o {
			t.Errorf("%v: got back %v %v", o, back, ok)
		}
	}
	if len(labels) != len(outcomes) {
		t.Errorf("%d labels for %d outcomes", len(labels), len(outcomes))
	}
	if _, ok := ParseOutcome("nonsense"); ok {
		t.Error("nonsense is no outcome")
	}
}
