package forward

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/wasmesh/wasmesh/host/forward/splice"
	"github.com/wasmesh/wasmesh/host/route"
	"github.com/wasmesh/wasmesh/sdk/proto/inference"
)

// budget is a Memory that remembers what is taken.
type budget struct{ used, limit int64 }

func (b *budget) Take(n int64) *route.Error {
	if b.used+n > b.limit {
		return route.Errorf(route.QueueFull, "needs %d, in use %d, limit %d", n, b.used, b.limit)
	}
	b.used += n
	return nil
}

func (b *budget) Give(n int64) { b.used -= n }

func frame(flag byte, message []byte) []byte {
	out := append([]byte{flag}, 0, 0, 0, 0)
	binary.BigEndian.PutUint32(out[1:], uint32(len(message)))
	return append(out, message...)
}

func zip(message []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(message)
	w.Close()
	return out.Bytes()
}

func infer(t testing.TB, name string, tensor int) []byte {
	t.Helper()
	b, err := proto.Marshal(&inference.ModelInferRequest{ModelName: name, RawInputContents: [][]byte{make([]byte, tensor)}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// newFramer splices id at [1] if it is not empty.
func newFramer(src io.Reader, id, name string, memory Memory) *framer {
	f := &framer{src: src, limit: 1 << 20, name: name, encoding: "gzip", memory: memory}
	if id != "" {
		f.path, f.suffix = []uint32{1}, splice.Suffix([]uint32{1}, id)
	}
	return f
}

// messages splits a stream of gRPC messages.
func messages(t testing.TB, stream []byte) [][]byte {
	t.Helper()
	var out [][]byte
	for len(stream) > 0 {
		if len(stream) < PrefixBytes || stream[0] != 0 {
			t.Fatalf("not a prefix: % x", stream[:min(8, len(stream))])
		}
		size := int(binary.BigEndian.Uint32(stream[1:]))
		if len(stream) < PrefixBytes+size {
			t.Fatalf("message of %d bytes has only %d", size, len(stream)-PrefixBytes)
		}
		out = append(out, stream[PrefixBytes:PrefixBytes+size])
		stream = stream[PrefixBytes+size:]
	}
	return out
}

func TestFramerWritesTheIDBehindEachMessage(t *testing.T) {
	var stream []byte
	inputs := [][]byte{infer(t, "digits", 100_000), infer(t, "", 0), nil, infer(t, "digits", 3)}
	for i, m := range inputs {
		if i == 3 {
			stream = append(stream, frame(1, zip(m))...)
			continue
		}
		stream = append(stream, frame(0, m)...)
	}
	readers := map[string]func(io.Reader) io.Reader{
		"one byte at a time": iotest.OneByteReader,
		"whole":              func(r io.Reader) io.Reader { return r },
		"end with the data":  iotest.DataErrReader,
	}
	for name, wrap := range readers {
		memory := &budget{limit: 1 << 20}
		out, err := io.ReadAll(newFramer(wrap(bytes.NewReader(stream)), "digits__isvc-1", "digits", memory))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got := messages(t, out)
		if len(got) != len(inputs) {
			t.Fatalf("%s: %d messages, want %d", name, len(got), len(inputs))
		}
		for i, m := range got {
			var want, have inference.ModelInferRequest
			if err := errors.Join(proto.Unmarshal(inputs[i], &want), proto.Unmarshal(m, &have)); err != nil {
				t.Fatal(err)
			}
			want.ModelName = "digits__isvc-1"
			if !proto.Equal(&want, &have) {
				t.Errorf("%s: message %d differs", name, i)
			}
		}
		if memory.used != 0 {
			t.Errorf("%s: %d bytes of the budget not given back", name, memory.used)
		}
	}
}

func TestFramerEndsWithTheLastBytes(t *testing.T) {
	// The HTTP/2 frame that carries the end of the message can then carry the end of the stream.
	stream := frame(0, infer(t, "m", 10))
	f := newFramer(iotest.DataErrReader(bytes.NewReader(stream)), "m__isvc-1", "m", nil)
	if n, err := f.Read(make([]byte, 4096)); n <= len(stream) || err != io.EOF {
		t.Fatalf("got %d bytes, %v; want all and the end", n, err)
	}
}

func TestFramerRefuses(t *testing.T) {
	big := make([]byte, 1<<20+1)
	tests := []struct {
		name     string
		stream   []byte
		encoding string
		id       string
		outcome  route.Outcome
		code     codes.Code
		says     string
	}{
		{"too large", frame(0, big)[:20], "", "id", route.TooLarge, codes.ResourceExhausted, "1048577 bytes, over this server's limit of 1048576"},
		{"too large without an id to write", frame(0, big), "", "", route.TooLarge, codes.ResourceExhausted, "limit of 1048576"},
		{"decompresses to too much", frame(1, zip(big)), "gzip", "id", route.TooLarge, codes.ResourceExhausted, "decompresses to more"},
		{"not gzip", frame(1, []byte("plain")), "gzip", "id", route.InvalidRequest, codes.InvalidArgument, "decompress"},
		{"unknown compression", frame(1, nil), "snappy", "id", route.InvalidRequest, codes.Unimplemented, "identity,gzip"},
		{"names another model", frame(0, infer(t, "other", 1)), "", "id", route.InvalidRequest, codes.InvalidArgument, `names model "other"`},
		{"not protobuf", frame(0, []byte{0x0a, 9}), "", "id", route.InvalidRequest, codes.InvalidArgument, "not a valid protobuf"},
		{"cut short", frame(0, infer(t, "digits", 50))[:30], "", "id", route.InvalidRequest, codes.InvalidArgument, "ended"},
		{"cut in the prefix", []byte{0, 0}, "", "id", route.InvalidRequest, codes.InvalidArgument, "prefix"},
		{"not gRPC", []byte("POST / HTTP/1.1"), "", "id", route.InvalidRequest, codes.InvalidArgument, "not gRPC"},
		{"compressed and cut short", frame(1, zip(big))[:50], "gzip", "id", route.InvalidRequest, codes.InvalidArgument, "ended before"},
		{"over the memory budget", frame(1, zip(make([]byte, 600<<10))), "gzip", "id", route.QueueFull, codes.ResourceExhausted, "limit 1000000"},
	}
	for _, tt := range tests {
		memory := &budget{limit: 8 << 20}
		if tt.outcome == route.QueueFull {
			memory.limit = 1_000_000
		}
		f := newFramer(bytes.NewReader(tt.stream), tt.id, "digits", memory)
		f.encoding = tt.encoding
		_, err := io.ReadAll(f)
		bad, ok := errors.AsType[*RequestError](err)
		if !ok || bad.Outcome != tt.outcome || bad.Code != tt.code || !strings.Contains(bad.Message, tt.says) {
			t.Errorf("%s: got %v, want %v %v with %q", tt.name, err, tt.outcome, tt.code, tt.says)
		}
		f.give(f.taken)
		if memory.used != 0 {
			t.Errorf("%s: %d bytes of the budget not given back", tt.name, memory.used)
		}
	}
}

// FuzzFramer compares with a twin that has the whole stream before it.
func FuzzFramer(f *testing.F) {
	f.Add(append(frame(0, infer(f, "m", 9)), frame(0, nil)...), "id", uint8(3), uint8(7))
	f.Add(frame(0, infer(f, "m", 70)), "", uint8(1), uint8(200))
	f.Add([]byte{0, 0, 0, 0}, "id", uint8(1), uint8(1))
	f.Fuzz(func(t *testing.T, stream []byte, id string, in, out uint8) {
		id = strings.ToValidUTF8(id, "")
		framed := newFramer(&pieces{stream, 1 + int(in)}, id, "", &budget{limit: 1 << 30})
		var got []byte
		var err error
		for err == nil {
			p := make([]byte, 1+int(out))
			var n int
			n, err = framed.Read(p)
			got = append(got, p[:n]...)
		}
		want, ok := twin(stream, id)
		if (err == io.EOF) != ok {
			t.Fatalf("framer says %v, twin %v", err, ok)
		}
		if ok && !bytes.Equal(got, want) {
			t.Fatalf("got % x\nwant % x", got, want)
		}
	})
}

// pieces is a reader of n bytes at a time.
type pieces struct {
	rest []byte
	n    int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.rest[:min(p.n, len(p.rest))])
	p.rest = p.rest[n:]
	return n, nil
}

// twin frames a whole stream at once; it answers false where the framer has to refuse.
func twin(stream []byte, id string) ([]byte, bool) {
	var out []byte
	for len(stream) > 0 {
		if len(stream) < PrefixBytes || stream[0] > 1 {
			return nil, false
		}
		flag, size := stream[0], int(binary.BigEndian.Uint32(stream[1:]))
		if size > 1<<20 || len(stream) < PrefixBytes+size {
			return nil, false
		}
		message := bytes.Clone(stream[PrefixBytes : PrefixBytes+size])
		stream = stream[PrefixBytes+size:]
		if id != "" {
			if flag == 1 {
				unzip, err := gzip.NewReader(bytes.NewReader(message))
				if err != nil {
					return nil, false
				}
				if message, err = io.ReadAll(io.LimitReader(unzip, 1<<20+1)); err != nil || len(message) > 1<<20 {
					return nil, false
				}
				flag = 0
			}
			var w splice.Walker
			w.Reset([]uint32{1}, int64(len(message)), "")
			if w.Write(message) != nil || w.Close() != nil {
				return nil, false
			}
			message = append(message, splice.Suffix([]uint32{1}, id)...)
		}
		out = append(out, frame(flag, message)...)
	}
	return out, true
}
