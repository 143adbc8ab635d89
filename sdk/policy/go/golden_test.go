package policy_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"unsafe"

	policy "github.com/wasmesh/wasmesh/sdk/policy/go"
	"github.com/wasmesh/wasmesh/sdk/policy/go/evict"
	"github.com/wasmesh/wasmesh/sdk/policy/go/place"
	"github.com/wasmesh/wasmesh/sdk/policy/go/status"
)

const vectors = "../../policyabi/testdata/"

// aligned is a copy that begins at a multiple of 8, as requests in a module do.
func aligned(b []byte) []byte {
	words := make([]uint64, (len(b)+7)/8)
	to := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), len(b))
	copy(to, b)
	return to
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(vectors + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var open = map[string]func([]byte) (any, error){
	"place":  func(b []byte) (any, error) { r, _, err := place.Open(b); return &r, err },
	"evict":  func(b []byte) (any, error) { r, _, err := evict.Open(b); return &r, err },
	"status": func(b []byte) (any, error) { r, _, err := status.Open(b); return &r, err },
}

// TestGoldenRequests reads what hosts of this, an older and a newer version write.
func TestGoldenRequests(t *testing.T) {
	paths, err := filepath.Glob(vectors + "*.bin")
	if err != nil || len(paths) < 12 {
		t.Fatalf("golden vectors: %v, %v", paths, err)
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".bin")
		hook, kind, _ := strings.Cut(name, "-")
		if kind == "answer" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			r, err := open[hook](aligned(read(t, name+".bin")))
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(read(t, name+".txt"))) {
				path, want, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " = ")
				if got := lookup(t, r, path); got != want {
					t.Errorf("%s = %s, want %s", path, got, want)
				}
			}
		})
	}
}

// TestGoldenAnswers writes the answers of the vectors.
func TestGoldenAnswers(t *testing.T) {
	number := func(answers []byte, hook string, i int, field string) int64 {
		prefix := fmt.Sprintf("answer[%d].%s = ", i, field)
		for line := range strings.Lines(string(answers)) {
			if text, ok := strings.CutPrefix(line, prefix); ok {
				var v int64
				fmt.Sscan(text, &v)
				return v
			}
		}
		t.Fatalf("no %s of %s", prefix, hook)
		return 0
	}
	placeText, evictText, statusText := read(t, "place-answer.txt"), read(t, "evict-answer.txt"), read(t, "status-answer.txt")
	request := aligned(read(t, "place.bin"))
	_, placed, err := place.Open(request)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		placed.Add(int(number(placeText, "place", i, "row")), int32(number(placeText, "place", i, "score")), policy.Reason(number(placeText, "place", i, "reason")))
	}
	placed.Add(0, 1, policy.ReasonFree) // There is no room for it.
	wrote(t, "place", request, placed.Len())

	request = aligned(read(t, "evict.bin"))
	_, evicted, err := evict.Open(request)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		evicted.Add(int(number(evictText, "evict", i, "row")), int32(number(evictText, "evict", i, "keep")), policy.Reason(number(evictText, "evict", i, "reason")))
	}
	wrote(t, "evict", request, evicted.Len())

	request = aligned(read(t, "status.bin"))
	_, read, err := status.Open(request)
	if err != nil {
		t.Fatal(err)
	}
	n := func(field string) uint16 { return uint16(number(statusText, "status", 0, field)) }
	read.Set(status.Answer{Ready: 7})
	read.Set(status.Answer{
		Transition: policy.Transition(n("transition")), Ready: n("ready"),
		ActiveState: policy.ModelState(n("active_state")), TargetState: policy.ModelState(n("target_state")),
		ActiveFailure: policy.Failure(n("active_failure")), TargetFailure: policy.Failure(n("target_failure")),
	})
	wrote(t, "status", request, read.Len())
}

// wrote compares the answer at the end of a request, where its room is.
func wrote(t *testing.T, hook string, request []byte, n int) {
	t.Helper()
	want := read(t, hook+"-answer.bin")
	if n != len(want) {
		t.Errorf("%s: wrote %d bytes, want %d", hook, n, len(want))
	}
	if got := request[len(request)-len(want):]; !bytes.Equal(got, want) {
		t.Errorf("%s: wrote\n%x, want\n%x", hook, got, want)
	}
}

// lookup goes from a pointer along a path like row[2].free_memory, by methods or fields, and returns what is there as in
// golden text.
func lookup(t *testing.T, from any, path string) string {
	t.Helper()
	v := reflect.ValueOf(from)
	for step := range strings.SplitSeq(path, ".") {
		name, index, indexed := strings.Cut(strings.TrimSuffix(step, "]"), "[")
		i := 0
		if indexed {
			fmt.Sscan(index, &i)
		}
		name = goName(name)
		if m := v.MethodByName(name); m.IsValid() {
			var in []reflect.Value
			if indexed {
				in = append(in, reflect.ValueOf(i))
			}
			v = m.Call(in)[0]
			continue
		}
		if v = reflect.Indirect(v).FieldByName(name); !v.IsValid() {
			t.Fatalf("nothing is called %s in %s", name, path)
		}
		if v.Kind() == reflect.Interface {
			v = v.Elem()
		}
		if indexed {
			v = v.Index(i).Addr()
		}
	}
	switch {
	case v.Kind() == reflect.Slice:
		return string(v.Bytes())
	case v.CanInt():
		return fmt.Sprint(v.Int())
	case v.CanUint():
		return fmt.Sprint(v.Uint())
	}
	return v.String()
}

func goName(name string) string {
	var b strings.Builder
	for word := range strings.SplitSeq(name, "_") {
		if word == "id" {
			word = "iD"
		}
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}
