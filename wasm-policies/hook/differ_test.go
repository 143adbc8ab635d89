package hook

import (
	"testing"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
)

func encoded(r interface {
	Size() int
	Encode([]byte)
}) []byte {
	b := make([]byte, r.Size())
	r.Encode(b)
	return b
}

func TestDifferPlace(t *testing.T) {
	request := encoded(placeRequest(4))
	answer := func(rows ...int) []byte {
		v, err := policyabi.ViewPlace(encoded(placeRequest(4)))
		if err != nil {
			t.Fatal(err)
		}
		a := v.Answers()
		for _, row := range rows {
			a.Add(row, 0, policyabi.ReasonFree)
		}
		return a.Bytes()
	}
	for _, test := range []struct {
		one, other []byte
		want       string
	}{
		{answer(0, 1), answer(0, 1), ""},
		{answer(0, 1, 2), answer(0, 2), ""},
		{answer(0, 1, 2, 3), answer(3, 1), "host-d, host-b instead of host-a, host-b, host-c"},
		{answer(), answer(2), "host-c instead of none"},
		{answer(2), answer(), "none instead of host-c"},
		{answer(), answer(), ""},
	} {
		got, err := Differ(policyabi.HookPlace, request, test.one, test.other)
		if err != nil || got != test.want {
			t.Errorf("%q, %v; want %q", got, err, test.want)
		}
	}
}

// Copies that may not go are no victims, and equal keep-values leave it to the last use.
func TestDifferEvict(t *testing.T) {
	r := evictRequest(4)
	r.Rows[0].Flags = policyabi.CopyFlagPinned
	r.Rows[1].LastUsedMs = r.Rows[3].LastUsedMs + 1
	answer := func(keep ...int32) []byte {
		v, err := policyabi.ViewEvict(encoded(r))
		if err != nil {
			t.Fatal(err)
		}
		a := v.Answers()
		for row, k := range keep {
			a.Add(row, k, policyabi.ReasonRecency)
		}
		return a.Bytes()
	}
	for _, test := range []struct {
		one, other []byte
		want       string
	}{
		{answer(9, 1, 2, 3), answer(-9, 1, 3, 2), ""},
		{answer(0, 1, 2, 3), answer(0, 3, 2, 1), "model-d, model-c, model-b instead of model-b, model-c, model-d"},
		{answer(0, 5, 5, 5), answer(0, 6, 5, 7), ""},
		{answer(0, 5, 6, 5), answer(0, 4, 6, 5), "model-b, model-d, model-c instead of model-d, model-b, model-c"},
	} {
		got, err := Differ(policyabi.HookEvict, encoded(r), test.one, test.other)
		if err != nil || got != test.want {
			t.Errorf("%q, %v; want %q", got, err, test.want)
		}
	}
}

func TestDifferStatus(t *testing.T) {
	request := &policyabi.StatusRequest{Rows: []policyabi.StatusRow{{}}}
	answer := func(a policyabi.StatusAnswer) []byte {
		v, err := policyabi.ViewStatus(encoded(request))
		if err != nil {
			t.Fatal(err)
		}
		answers := v.Answers()
		answers.Set(a)
		return answers.Bytes()
	}
	loaded := policyabi.StatusAnswer{Transition: policyabi.TransitionUpToDate, ActiveState: policyabi.ModelStateLoaded, Ready: 1}
	failing := policyabi.StatusAnswer{Transition: policyabi.TransitionBlockedByFailedLoad, ActiveState: policyabi.ModelStateLoaded,
		TargetState: policyabi.ModelStateFailedToLoad, TargetFailure: policyabi.FailureModelLoadFailed}
	if got, err := Differ(policyabi.HookStatus, encoded(request), answer(loaded), answer(loaded)); err != nil || got != "" {
		t.Errorf("%q, %v", got, err)
	}
	got, err := Differ(policyabi.HookStatus, encoded(request), answer(loaded), answer(failing))
	if want := "BlockedByFailedLoad/Loaded/FailedToLoad(ModelLoadFailed)/not ready instead of UpToDate/Loaded/ready"; err != nil || got != want {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}

func TestDifferSaysWhatItCannotRead(t *testing.T) {
	request := encoded(evictRequest(2))
	for _, hook := range []policyabi.Hook{policyabi.HookPlace, policyabi.HookEvict, policyabi.HookRoute} {
		if _, err := Differ(hook, request, []byte{1}, nil); err == nil {
			t.Errorf("%v: no error", hook)
		}
	}
}
