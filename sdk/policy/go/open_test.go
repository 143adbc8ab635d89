package policy_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"testing"

	policy "github.com/wasmesh/wasmesh/sdk/policy/go"
	"github.com/wasmesh/wasmesh/sdk/policy/go/place"
	"github.com/wasmesh/wasmesh/sdk/policy/go/status"
)

func TestOpenRefuses(t *testing.T) {
	good := read(t, "place.bin")
	for name, c := range map[string]struct {
		change func(b []byte) []byte
		want   policy.CallError
	}{
		"empty":         {func(b []byte) []byte { return nil }, policy.CallErrorMalformed},
		"short":         {func(b []byte) []byte { return b[:79] }, policy.CallErrorMalformed},
		"magic":         {put32(0, 0), policy.CallErrorMalformed},
		"major":         {func(b []byte) []byte { b[4] = 2; return b }, policy.CallErrorVersion},
		"hook":          {func(b []byte) []byte { b[16] = 2; return b }, policy.CallErrorHook},
		"total":         {func(b []byte) []byte { return b[:len(b)-8] }, policy.CallErrorMalformed},
		"header size":   {put32(8, 72), policy.CallErrorMalformed},
		"header over":   {put32(8, 1<<31), policy.CallErrorMalformed},
		"rows":          {put32(20, 1<<32-1), policy.CallErrorMalformed},
		"one row more":  {put32(20, 4), policy.CallErrorMalformed},
		"context":       {put32(48, 1<<32-8), policy.CallErrorMalformed},
		"context size":  {put32(52, 1<<32-1), policy.CallErrorMalformed},
		"rows off":      {put32(56, 8), policy.CallErrorMalformed},
		"row size 0":    {put32(60, 0), policy.CallErrorMalformed},
		"row size odd":  {put32(60, 9), policy.CallErrorMalformed},
		"strings":       {put32(64, 1<<32-1), policy.CallErrorMalformed},
		"strings len":   {put32(68, 1<<32-1), policy.CallErrorMalformed},
		"response":      {put32(72, 1<<32-8), policy.CallErrorMalformed},
		"response room": {put32(76, 40), policy.CallErrorMalformed},
		"response over": {put32(76, 56), policy.CallErrorMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := place.Open(c.change(aligned(good)))
			if !errors.Is(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
		})
	}
	if _, _, err := place.Open(aligned(append([]byte{0}, good...))[1:]); !errors.Is(err, policy.CallErrorMalformed) {
		t.Errorf("unaligned: error %v, want %v", err, policy.CallErrorMalformed)
	}
}

func put32(offset int, v uint32) func([]byte) []byte {
	return func(b []byte) []byte {
		binary.LittleEndian.PutUint32(b[offset:], v)
		return b
	}
}

func TestRowOutOfRangePanics(t *testing.T) {
	r, _, err := place.Open(aligned(read(t, "place.bin")))
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{-1, 3, 1 << 40} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("row %d of 3 was returned", i)
				}
			}()
			r.Row(i)
		}()
	}
}

// FuzzOpen reads everything there is in whatever opens. Run it with -gcflags=all=-d=checkptr, which catches what is read
// outside of the request.
func FuzzOpen(f *testing.F) {
	for _, name := range []string{"place.bin", "place-older.bin", "place-newer.bin", "evict.bin", "status.bin", "place-answer.bin"} {
		f.Add(readFuzz(f, name))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		if r, a, err := place.Open(aligned(b)); err == nil {
			var sum int
			sum += len(r.Context().Name()) + int(r.Context().Copies()) + int(r.Header().ResponseCap())
			for i := range r.Len() {
				row := r.Row(i)
				sum += len(row.Name()) + int(row.HostKey()) + int(row.Zone()) + int(row.Rate())
				a.Add(i, int32(sum), policy.ReasonFree)
			}
			if a.Len() != 16*r.Len() {
				t.Errorf("%d bytes of answer about %d rows", a.Len(), r.Len())
			}
		}
		if r, a, err := status.Open(aligned(b)); err == nil {
			a.Set(status.Answer{Transition: policy.Transition(len(r.Context().Name()))})
			for i := range r.Len() {
				_, _ = r.Row(i).Name(), r.Row(i).PreviousState()
			}
		}
		if !bytes.Equal(b, before) {
			t.Error("the request was changed")
		}
	})
}

func readFuzz(f *testing.F, name string) []byte {
	b, err := os.ReadFile(vectors + name)
	if err != nil {
		f.Fatal(err)
	}
	return b
}
