package policyabi

import (
	"encoding/binary"
	"reflect"
	"testing"
)

// FuzzView reads all that there is in whatever passes as a request: nothing panics, and what decodes survives the way back.
func FuzzView(f *testing.F) {
	for _, name := range []string{
		"place.bin", "place-older.bin", "place-newer.bin", "evict.bin", "evict-older.bin", "status.bin", "status-newer.bin", "place-answer.bin",
	} {
		f.Add(vector(f, name))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if v, err := ViewPlace(b); err == nil {
			a := v.Answers()
			readAll(v.Header(), v.Context())
			for i := range v.Len() {
				readAll(v.Row(i))
				_ = v.Row(i).Name()
				a.Add(i, 1, ReasonFree)
			}
			if _, err := DecodePlaceAnswers(a.Bytes(), v.Len()); err != nil || a.Len() != v.Len()*sizePlaceAnswer {
				t.Errorf("%d bytes of answers about %d rows: %v", a.Len(), v.Len(), err)
			}
		}
		if v, err := ViewEvict(b); err == nil {
			readAll(v.Header(), v.Context())
			for i := range v.Len() {
				readAll(v.Row(i))
			}
		}
		if v, err := ViewStatus(b); err == nil {
			a := v.Answers()
			a.Set(StatusAnswer{Transition: TransitionUpToDate, ActiveState: ModelStateLoaded})
			readAll(v.Header(), v.Context())
			for i := range v.Len() {
				readAll(v.Row(i))
			}
		}
		wayBack(t, b, DecodePlaceRequest)
		wayBack(t, b, DecodeEvictRequest)
		wayBack(t, b, DecodeStatusRequest)
	})
}

// readAll calls every getter.
func readAll(views ...any) {
	for _, view := range views {
		v := reflect.ValueOf(view)
		for i := range v.NumMethod() {
			v.Method(i).Call(nil)
		}
	}
}

func wayBack[R interface {
	Size() int
	Encode([]byte)
}](t *testing.T, b []byte, decode func([]byte) (R, error)) {
	first, err := decode(b)
	if err != nil || first.Size() > MaxRequestBytes {
		return // A name may be in many rows at once, which an encoder writes once for each.
	}
	again := make([]byte, first.Size())
	first.Encode(again)
	second, err := decode(again)
	if err != nil {
		t.Fatalf("what was decoded encodes to no request: %v", err)
	}
	if !reflect.DeepEqual(first, second) {
		t.Errorf("got %+v, want %+v", second, first)
	}
}

// FuzzRoundTrip fills every field of a request from the fuzzer's bytes.
func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("some bytes, which become fields of all widths and names"), uint8(3))
	f.Add([]byte{}, uint8(0))
	f.Fuzz(func(t *testing.T, b []byte, rows uint8) {
		place, evict, status := &PlaceRequest{}, &EvictRequest{}, &StatusRequest{}
		if rows > 0 {
			place.Rows, evict.Rows, status.Rows = make([]PlaceRow, rows), make([]EvictRow, rows), make([]StatusRow, rows)
		}
		for _, r := range []any{place, evict, status} {
			b = fill(reflect.ValueOf(r).Elem(), b)
		}
		encoded := make([]byte, place.Size())
		place.Encode(encoded)
		if got, err := DecodePlaceRequest(encoded); err != nil || !reflect.DeepEqual(got, place) {
			t.Errorf("got %+v, %v, want %+v", got, err, place)
		}
		encoded = make([]byte, evict.Size())
		evict.Encode(encoded)
		if got, err := DecodeEvictRequest(encoded); err != nil || !reflect.DeepEqual(got, evict) {
			t.Errorf("got %+v, %v, want %+v", got, err, evict)
		}
		encoded = make([]byte, status.Size())
		status.Encode(encoded)
		if got, err := DecodeStatusRequest(encoded); err != nil || !reflect.DeepEqual(got, status) {
			t.Errorf("got %+v, %v, want %+v", got, err, status)
		}
	})
}

// fill sets integers and strings from b, and returns what is left of it.
func fill(v reflect.Value, b []byte) []byte {
	switch {
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			b = fill(v.Field(i), b)
		}
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			b = fill(v.Index(i), b)
		}
	case v.Kind() == reflect.String:
		n := min(len(b), len(b)%7)
		v.SetString(string(b[:n]))
		return b[n:]
	default:
		var word [8]byte
		n := copy(word[:], b)
		if bits := binary.LittleEndian.Uint64(word[:]); v.CanInt() {
			v.SetInt(int64(bits) >> (64 - v.Type().Bits()))
		} else {
			v.SetUint(bits >> (64 - v.Type().Bits()))
		}
		return b[n:]
	}
	return b
}
