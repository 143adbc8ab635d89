package splice

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/wasmesh/wasmesh/sdk/proto/inference"
)

func marshal(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func request(name string) *inference.ModelInferRequest {
	return &inference.ModelInferRequest{
		ModelName: name, Id: "7",
		Inputs:           []*inference.ModelInferRequest_InferInputTensor{{Name: "x", Datatype: "FP32", Shape: []int64{2, 2}}},
		RawInputContents: [][]byte{bytes.Repeat([]byte{0x0a}, 300)},
	}
}

// walk feeds message in pieces of size bytes.
func walk(path []uint32, message []byte, size int, expect string) (string, bool, error) {
	var w Walker
	w.Reset(path, int64(len(message)), expect)
	for rest := message; len(rest) > 0; {
		n := min(size, len(rest))
		if err := w.Write(rest[:n]); err != nil {
			return "", false, err
		}
		rest = rest[n:]
	}
	name, ok := w.Name()
	return name, ok, w.Close()
}

func TestNameAtPath(t *testing.T) {
	full := marshal(t, request("digits"))
	nested := Suffix([]uint32{1, 1}, "inner")
	tests := []struct {
		name    string
		path    []uint32
		message []byte
		want    string
	}{
		{"first field", []uint32{1}, full, "digits"},
		{"no name", []uint32{1}, marshal(t, request("")), ""},
		{"empty message", []uint32{1}, nil, ""},
		{"nested", []uint32{1, 1}, nested, "inner"},
		{"nested, outer empty", []uint32{1, 1}, []byte{0x0a, 0}, ""},
		{"last wins", []uint32{1}, append(marshal(t, request("a")), Suffix([]uint32{1}, "b")...), "b"},
		{"an empty one does not count", []uint32{1}, append(marshal(t, request("a")), 0x0a, 0), "a"},
		{"behind the tensors", []uint32{1}, append(marshal(t, request("")), Suffix([]uint32{1}, "z")...), "z"},
		{"no path", nil, full, ""},
	}
	for _, tt := range tests {
		for _, size := range []int{1, 3, 1 << 20} {
			got, ok, err := walk(tt.path, tt.message, size, "")
			if err != nil || got != tt.want || ok != (tt.want != "") {
				t.Errorf("%s, pieces of %d: got %q %v %v, want %q", tt.name, size, got, ok, err, tt.want)
			}
		}
	}
}

func TestMalformed(t *testing.T) {
	tests := []struct {
		name    string
		message []byte
		reason  string
	}{
		{"length over the end", []byte{0x0a, 5, 'a'}, "over the end"},
		{"ends inside a tag", []byte{0x80}, "inside a field"},
		{"ends inside a varint", []byte{0x08, 0xff}, "inside a field"},
		{"fixed64 cut", []byte{0x09, 1, 2}, "over the end"},
		{"field number 0", []byte{0x02, 0}, "impossible number"},
		{"group", []byte{0x0b, 0x0c}, "obsolete wire type"},
		{"number too long", append([]byte{0x08}, bytes.Repeat([]byte{0xff}, 10)...), "64 bits"},
		{"name too long", Suffix([]uint32{1}, strings.Repeat("n", MaxNameBytes+1)), "over the limit"},
	}
	for _, tt := range tests {
		_, _, err := walk([]uint32{1}, tt.message, 1, "")
		if _, ok := errors.AsType[*MalformedError](err); !ok || !strings.Contains(err.Error(), tt.reason) {
			t.Errorf("%s: got %v, want an error with %q", tt.name, err, tt.reason)
		}
	}
}

func TestConflict(t *testing.T) {
	_, _, err := walk([]uint32{1}, marshal(t, request("other")), 2, "digits")
	if conflict, ok := errors.AsType[*ConflictError](err); !ok || conflict.Named != "other" || conflict.Expected != "digits" {
		t.Fatalf("got %v", err)
	}
	if _, _, err := walk([]uint32{1}, marshal(t, request("")), 2, "digits"); err != nil {
		t.Fatalf("a message without a name: %v", err)
	}
}

// FuzzSplice holds the walker and the suffix against the real parser: what the walker accepts and the parser accepts,
// with the suffix appended, parses to the same message with only the name changed.
func FuzzSplice(f *testing.F) {
	f.Add(marshal(f, request("digits")), "digits__isvc-3642375d03", 3)
	f.Add(append(marshal(f, request("a")), marshal(f, request("b"))...), "c", 1)
	f.Add([]byte{0x0a, 0xff}, "x", 2)
	f.Add([]byte{0x3a, 2, 0x0a}, "x", 2)
	f.Fuzz(func(t *testing.T, message []byte, id string, size int) {
		size = 1 + max(0, size)%64
		id = strings.ToValidUTF8(id, "")
		if id == "" {
			return
		}
		name, found, err := walk([]uint32{1}, message, size, "")
		whole, _, wholeErr := walk([]uint32{1}, message, len(message)+1, "")
		if name != whole || (err == nil) != (wholeErr == nil) {
			t.Fatalf("pieces of %d: %q %v; whole: %q %v", size, name, err, whole, wholeErr)
		}
		var want inference.ModelInferRequest
		if proto.Unmarshal(message, &want) != nil || err != nil {
			return
		}
		if found && want.ModelName != "" && name != want.ModelName {
			t.Fatalf("walker found %q, parser %q", name, want.ModelName)
		}
		var got inference.ModelInferRequest
		if err := proto.Unmarshal(append(bytes.Clone(message), Suffix([]uint32{1}, id)...), &got); err != nil {
			t.Fatalf("spliced message does not parse: %v", err)
		}
		want.ModelName = id
		if !proto.Equal(&got, &want) {
			t.Fatalf("got %v, want %v", &got, &want)
		}
	})
}

// FuzzNested does the same for a name inside an embedded message.
func FuzzNested(f *testing.F) {
	f.Add(Suffix([]uint32{1, 1}, "inner"), "new")
	f.Fuzz(func(t *testing.T, message []byte, id string) {
		id = strings.ToValidUTF8(id, "")
		if _, _, err := walk([]uint32{1, 1}, message, 5, ""); err != nil || id == "" || len(id) > MaxNameBytes {
			return
		}
		spliced := append(bytes.Clone(message), Suffix([]uint32{1, 1}, id)...)
		got, _, err := walk([]uint32{1, 1}, spliced, 7, "")
		if err != nil {
			t.Fatalf("spliced message is malformed: %v", err)
		}
		if got != id {
			t.Fatalf("got %q, want %q", got, id)
		}
	})
}
