package policyabi

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// codec of one hook, without its types.
type codec struct {
	view    func([]byte) (any, error)
	decode  func([]byte) (any, error)
	answers func(response []byte, rows int) (any, error)
	write   func(request []byte, answer any) []byte
}

var codecs = map[string]codec{
	"place": {
		view:    func(b []byte) (any, error) { v, err := ViewPlace(b); return &v, err },
		decode:  func(b []byte) (any, error) { return DecodePlaceRequest(b) },
		answers: func(b []byte, rows int) (any, error) { return DecodePlaceAnswers(b, rows) },
		write: func(b []byte, answer any) []byte {
			v, _ := ViewPlace(b)
			a := v.Answers()
			for _, one := range answer.([]PlaceAnswer) {
				a.Add(int(one.Row), one.Score, one.Reason)
			}
			return a.Bytes()
		},
	},
	"evict": {
		view:    func(b []byte) (any, error) { v, err := ViewEvict(b); return &v, err },
		decode:  func(b []byte) (any, error) { return DecodeEvictRequest(b) },
		answers: func(b []byte, rows int) (any, error) { return DecodeEvictAnswers(b, rows) },
		write: func(b []byte, answer any) []byte {
			v, _ := ViewEvict(b)
			a := v.Answers()
			for _, one := range answer.([]EvictAnswer) {
				a.Add(int(one.Row), one.Keep, one.Reason)
			}
			return a.Bytes()
		},
	},
	"status": {
		view:    func(b []byte) (any, error) { v, err := ViewStatus(b); return &v, err },
		decode:  func(b []byte) (any, error) { return DecodeStatusRequest(b) },
		answers: func(b []byte, _ int) (any, error) { a, err := DecodeStatusAnswer(b); return []StatusAnswer{a}, err },
		write: func(b []byte, answer any) []byte {
			v, _ := ViewStatus(b)
			a := v.Answers()
			a.Set(answer.([]StatusAnswer)[0])
			return a.Bytes()
		},
	},
}

// goldens calls f for each golden file of bytes; text is what is to be read from it.
func goldens(t *testing.T, f func(t *testing.T, hook, kind string, b []byte, text string)) {
	paths, err := filepath.Glob("testdata/*.bin")
	if err != nil || len(paths) < 12 {
		t.Fatalf("golden vectors: %v, %v", paths, err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(strings.TrimSuffix(path, ".bin") + ".txt")
			if err != nil {
				t.Fatal(err)
			}
			hook, kind, _ := strings.Cut(strings.TrimSuffix(filepath.Base(path), ".bin"), "-")
			f(t, hook, kind, b, string(text))
		})
	}
}

// TestGoldenRequests reads what hosts of this, an older and a newer version write, in views and decoded.
func TestGoldenRequests(t *testing.T) {
	goldens(t, func(t *testing.T, hook, kind string, b []byte, text string) {
		if kind == "answer" {
			return
		}
		view, err := codecs[hook].view(b)
		if err != nil {
			t.Fatal(err)
		}
		decoded, err := codecs[hook].decode(b)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(text) {
			path, want, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " = ")
			if got := lookup(t, view, path); got != want {
				t.Errorf("view: %s = %s, want %s", path, got, want)
			}
			if got := lookup(t, decoded, strings.Replace(path, "row[", "rows[", 1)); got != want {
				t.Errorf("decoded: %s = %s, want %s", path, got, want)
			}
		}
		if kind != "" {
			return
		}
		request := decoded.(interface {
			Size() int
			Encode([]byte)
		})
		again := bytes.Repeat([]byte{0xaa}, request.Size())
		request.Encode(again)
		if !bytes.Equal(again, b) {
			t.Errorf("encoded\n%x, want\n%x", again, b)
		}
	})
}

func TestGoldenAnswers(t *testing.T) {
	goldens(t, func(t *testing.T, hook, kind string, b []byte, text string) {
		if kind != "answer" {
			return
		}
		answers, err := codecs[hook].answers(b, 3)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(text) {
			path, want, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " = ")
			if got := lookup(t, &struct{ Answer any }{answers}, path); got != want {
				t.Errorf("%s = %s, want %s", path, got, want)
			}
		}
		request, err := os.ReadFile("testdata/" + hook + ".bin")
		if err != nil {
			t.Fatal(err)
		}
		if got := codecs[hook].write(request, answers); !bytes.Equal(got, b) {
			t.Errorf("wrote\n%x, want\n%x", got, b)
		}
	})
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
