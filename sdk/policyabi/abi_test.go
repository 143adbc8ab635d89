package policyabi

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"
)

func vector(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func put32(offset int, v uint32) func([]byte) []byte {
	return func(b []byte) []byte {
		binary.LittleEndian.PutUint32(b[offset:], v)
		return b
	}
}

func TestViewRefuses(t *testing.T) {
	for name, change := range map[string]func([]byte) []byte{
		"empty":            func(b []byte) []byte { return nil },
		"short":            func(b []byte) []byte { return b[:headerLeast-1] },
		"magic":            put32(offHeaderMagic, 0),
		"major":            func(b []byte) []byte { b[offHeaderAbiMajor] = 2; return b },
		"hook":             func(b []byte) []byte { b[offHeaderHook] = byte(HookEvict); return b },
		"cut":              func(b []byte) []byte { return b[:len(b)-8] },
		"total":            put32(offHeaderTotalLen, math.MaxUint32),
		"header small":     put32(offHeaderHeaderSize, headerLeast-8),
		"header large":     put32(offHeaderHeaderSize, math.MaxUint32),
		"too many rows":    put32(offHeaderRowCount, math.MaxUint32),
		"one row more":     put32(offHeaderRowCount, 4),
		"context before":   put32(offHeaderContextOff, 0),
		"context beyond":   put32(offHeaderContextOff, math.MaxUint32-7),
		"context unlikely": put32(offHeaderContextSize, math.MaxUint32),
		"rows before":      put32(offHeaderRowsOff, headerSize),
		"rows unaligned":   put32(offHeaderRowsOff, 164),
		"row size 0":       put32(offHeaderRowSize, 0),
		"row size odd":     put32(offHeaderRowSize, 12),
		"row size large":   put32(offHeaderRowSize, math.MaxUint32-7),
		"strings beyond":   put32(offHeaderStringsOff, math.MaxUint32),
		"strings long":     put32(offHeaderStringsLen, math.MaxUint32),
		"response beyond":  put32(offHeaderResponseOff, math.MaxUint32-7),
		"response before":  put32(offHeaderResponseOff, headerSize),
		"response small":   put32(offHeaderResponseCap, 3*sizePlaceAnswer-1),
		"response large":   put32(offHeaderResponseCap, 3*sizePlaceAnswer+8),
	} {
		t.Run(name, func(t *testing.T) {
			b := change(vector(t, "place.bin"))
			if _, err := ViewPlace(b); !errors.Is(err, ErrRequest) {
				t.Errorf("error %v, want one of %v", err, ErrRequest)
			}
			if _, err := DecodePlaceRequest(b); !errors.Is(err, ErrRequest) {
				t.Errorf("decode: error %v, want one of %v", err, ErrRequest)
			}
		})
	}
}

// TestNameOutsideOfStrings is nil in a view, which policies see, and an error for people.
func TestNameOutsideOfStrings(t *testing.T) {
	offset := (&PlaceRequest{}).parts(0).strings + sizePlaceRow + 136 // name_off of the second row
	for _, v := range []uint32{math.MaxUint32, 1000} {
		b := put32(offset+4, 1)(put32(offset, v)(vector(t, "place.bin")))
		view, err := ViewPlace(b)
		if err != nil {
			t.Fatal(err)
		}
		if name := view.Row(1).Name(); name != nil {
			t.Errorf("name %q from offset %d", name, v)
		}
		if name := view.Row(2).Name(); string(name) != "placerow-2-ü" {
			t.Errorf("name of the next row is %q", name)
		}
		if _, err := DecodePlaceRequest(b); !errors.Is(err, ErrRequest) {
			t.Errorf("error %v, want one of %v", err, ErrRequest)
		}
	}
}

func TestRowOutOfRangePanics(t *testing.T) {
	v, err := ViewPlace(vector(t, "place.bin"))
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{-1, 3, 100} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("row %d of 3 was returned", i)
				}
			}()
			v.Row(i)
		}()
	}
}

func TestEmptyRequests(t *testing.T) {
	place, evict, status := &PlaceRequest{}, &EvictRequest{}, &StatusRequest{}
	for _, r := range []interface {
		Size() int
		Encode([]byte)
	}{place, evict, status} {
		b := make([]byte, r.Size())
		r.Encode(b)
		var got any
		var err error
		switch r.(type) {
		case *PlaceRequest:
			got, err = DecodePlaceRequest(b)
		case *EvictRequest:
			got, err = DecodeEvictRequest(b)
		case *StatusRequest:
			got, err = DecodeStatusRequest(b)
		}
		if err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("%T: got %+v, error %v", r, got, err)
		}
	}
}

// refused says whether err is about an answer, in these words.
func refused(err error, says string) bool {
	return errors.Is(err, ErrAnswer) && strings.Contains(err.Error(), says)
}

func TestAnswersThatAreRefused(t *testing.T) {
	answer := func(rows ...uint32) []byte {
		var b []byte
		for _, row := range rows {
			b = append(binary.LittleEndian.AppendUint32(b, row), make([]byte, 12)...)
		}
		return b
	}
	for name, c := range map[string]struct {
		response     []byte
		rows         int
		place, evict bool
		says         string // by both
	}{
		"none":           {nil, 2, true, false, ""},
		"none of none":   {nil, 0, true, true, ""},
		"some":           {answer(1), 2, true, false, ""},
		"each":           {answer(1, 0), 2, true, true, ""},
		"twice":          {answer(1, 1), 2, false, false, "answer 1 is about row 1 again"},
		"twice far away": {answer(5000, 1, 5000), 6000, false, false, ""},
		"far away":       {answer(5000, 4096, 1), 6000, true, false, ""},
		"beyond":         {answer(0, 2), 2, false, false, "answer 1 is about row 2, and the last row is 1"},
		"row 1 of one":   {answer(1), 1, false, false, "answer 0 is about row 1, and the last row is 0"},
		"far beyond":     {answer(math.MaxUint32, 0), 2, false, false, "answer 0 is about row 4294967295, and the last row is 1"},
		"too many":       {answer(0, 1, 0), 2, false, false, "3 answers about 2 rows"},
		"torn":           {answer(0, 1)[:20], 2, false, false, "20 bytes are not a multiple of 16"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := DecodePlaceAnswers(c.response, c.rows); (err == nil) != c.place || err != nil && !refused(err, c.says) {
				t.Errorf("place: error %v", err)
			}
			if _, err := DecodeEvictAnswers(c.response, c.rows); (err == nil) != c.evict || err != nil && !refused(err, c.says) {
				t.Errorf("evict: error %v", err)
			}
		})
	}
}

func TestStatusAnswerThatIsRefused(t *testing.T) {
	good := StatusAnswer{Transition: TransitionUpToDate, ActiveState: ModelStateLoaded, Ready: 1}
	for name, c := range map[string]struct {
		change func(a *StatusAnswer)
		ok     bool
		says   string
	}{
		"good":            {func(a *StatusAnswer) {}, true, ""},
		"target":          {func(a *StatusAnswer) { a.TargetState, a.TargetFailure = ModelStateFailedToLoad, FailureModelLoadFailed }, true, ""},
		"no transition":   {func(a *StatusAnswer) { a.Transition = 0 }, false, "transition is missing: one of UpToDate, InProgress, BlockedByFailedLoad, InvalidSpec"},
		"no active state": {func(a *StatusAnswer) { a.ActiveState = 0 }, false, "active_state is missing: one of Pending, Standby, Loading, Loaded, FailedToLoad"},
		"transition":      {func(a *StatusAnswer) { a.Transition = 5 }, false, "transition is 5: one of UpToDate, InProgress, BlockedByFailedLoad, InvalidSpec"},
		"state":           {func(a *StatusAnswer) { a.ActiveState = 6 }, false, "active_state is 6: one of Pending, Standby, Loading, Loaded, FailedToLoad"},
		"target state":    {func(a *StatusAnswer) { a.TargetState = 6 }, false, "target_state is 6: one of Pending, Standby, Loading, Loaded, FailedToLoad, or 0"},
		"failure":         {func(a *StatusAnswer) { a.ActiveFailure = 7 }, false, "active_failure is 7: one of ModelLoadFailed, "},
		"ready":           {func(a *StatusAnswer) { a.Ready = 2 }, false, "ready is 2: at most 1"},
	} {
		t.Run(name, func(t *testing.T) {
			answer := good
			c.change(&answer)
			b := make([]byte, sizeStatusAnswer)
			answer.encode(b)
			got, err := DecodeStatusAnswer(b)
			if (err == nil) != c.ok || err != nil && !refused(err, c.says) {
				t.Errorf("error %v", err)
			}
			if err == nil && got != answer {
				t.Errorf("got %+v, want %+v", got, answer)
			}
			if _, err := DecodeStatusAnswer(b[:8]); !errors.Is(err, ErrAnswer) {
				t.Errorf("half an answer: error %v", err)
			}
		})
	}
}

// TestReservedFieldsAreIgnored: a later minor version may give them a meaning.
func TestReservedFieldsAreIgnored(t *testing.T) {
	b := vector(t, "place-answer.bin")
	want, err := DecodePlaceAnswers(b, 3)
	if err != nil {
		t.Fatal(err)
	}
	b[10], b[12] = 1, 1
	if got, err := DecodePlaceAnswers(b, 3); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}

func TestNames(t *testing.T) {
	for got, want := range map[string]string{
		HookPlace.String():                                   "place",
		HookEvict.Export():                                   "mesh_evict",
		HookRoute.Export():                                   "",
		ReasonLeastLost.String():                             "LeastLost",
		Reason(1001).String():                                "1001",
		Failure(0).String():                                  "",
		(HostFlagSelf | HostFlagDraining).String():           "Draining|Self",
		(CopyFlagPinned | 0x80).String():                     "Pinned|0x80",
		HostFlag(0).String():                                 "",
		string(binary.LittleEndian.AppendUint32(nil, Magic)): "MPR1",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if f := HostFlagSelf | HostFlagWarming; !f.Has(HostFlagSelf) || f.Has(HostFlagSelf|HostFlagDraining) {
		t.Errorf("%v has the wrong flags", f)
	}
}

// TestCallsDoNotAllocate holds what the request path is promised.
func TestCallsDoNotAllocate(t *testing.T) {
	request := sample(200)
	buf := make([]byte, request.Size())
	answers := make([]PlaceAnswer, 0, 200)
	if n := testing.AllocsPerRun(100, func() {
		request.Encode(buf)
		v, err := ViewPlace(buf)
		if err != nil {
			t.Fatal(err)
		}
		a := v.Answers()
		for i := range v.Len() {
			if row := v.Row(i); len(row.Name()) > 0 {
				a.Add(i, int32(row.FreeMemory()), ReasonFree)
			}
		}
		if answers, err = AppendPlaceAnswers(answers[:0], a.Bytes(), v.Len()); err != nil || len(answers) != 200 {
			t.Fatal(len(answers), err)
		}
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// TestEncodeWritesEveryByte: the buffer may hold an older request.
func TestEncodeWritesEveryByte(t *testing.T) {
	request := sample(3)
	request.Rows[1].Name = "odd"
	clean, dirty := make([]byte, request.Size()), bytes.Repeat([]byte{0xff}, request.Size())
	request.Encode(clean)
	request.Encode(dirty)
	if !bytes.Equal(clean, dirty) {
		t.Error("what was in the buffer shows")
	}
}
