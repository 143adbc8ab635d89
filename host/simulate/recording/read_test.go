package recording

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// write makes a directory with these files; those whose names end in .gz are compressed.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		data := []byte(content)
		if strings.HasSuffix(name, ".gz") {
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			if _, err := z.Write(data); err != nil {
				t.Fatal(err)
			}
			if err := z.Close(); err != nil {
				t.Fatal(err)
			}
			data = b.Bytes()
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestReadPlain(t *testing.T) {
	const rows = "time_ms,model,size_bytes,load_ms\n500,b,20,7\n0,a,10,5\n500,a,10,5\n"
	for _, name := range []string{"requests.csv", "requests.csv.gz"} {
		got, err := Read(write(t, map[string]string{name: rows}))
		if err != nil {
			t.Fatal(err)
		}
		want := []Request{{0, 1}, {500 * time.Millisecond, 0}, {500 * time.Millisecond, 1}}
		models := []Model{{"b", 20, 7 * time.Millisecond}, {"a", 10, 5 * time.Millisecond}}
		if !reflect.DeepEqual(got.Requests, want) || !reflect.DeepEqual(got.Models, models) {
			t.Errorf("%s: requests %v, want %v; models %v, want %v", name, got.Requests, want, got.Models, models)
		}
	}
	dir := write(t, map[string]string{"night.csv": "model,time_ms,zone,size_bytes\na,1,x,200000000\n"})
	got, err := Read(filepath.Join(dir, "night.csv"))
	if err != nil {
		t.Fatal(err)
	}
	if got.Name != "night" || got.Models[0].Load != 1500*time.Millisecond {
		t.Errorf("trace %q with %+v, want night, and a load of 1.5 s", got.Name, got.Models[0])
	}
}

func TestReadAzure(t *testing.T) {
	const invocations = "HashOwner,HashApp,HashFunction,Trigger,480,481\no,p,f,http,1,2\no,q,g,timer,0,1\n"
	for _, memory := range []string{
		"HashFunction,AverageAllocatedMb\nf,100.5\ng,200\nunused,1\n",
		"HashOwner,HashApp,AverageAllocatedMb\no,p,100.5\no,q,200\n",
	} {
		got, err := Read(write(t, map[string]string{"invocations.csv.gz": invocations, "memory.csv": memory}))
		if err != nil {
			t.Fatal(err)
		}
		counts := map[[2]int]int{}
		for _, r := range got.Requests {
			counts[[2]int{int(r.Model), int(r.At / time.Minute)}]++
		}
		if want := map[[2]int]int{{0, 0}: 1, {0, 1}: 2, {1, 1}: 1}; !reflect.DeepEqual(counts, want) {
			t.Errorf("requests by model and minute %v, want %v", counts, want)
		}
		if got.Models[0].Size != 100_500_000 || got.Models[1].Load != 1500*time.Millisecond {
			t.Errorf("models %+v", got.Models)
		}
	}
}

func TestReadRefuses(t *testing.T) {
	const header, azure, sizes = "time_ms,model,size_bytes,load_ms\n", "HashFunction,HashApp,480\n", "HashFunction,AverageAllocatedMb\n"
	for _, c := range []struct {
		name  string
		files map[string]string
		want  []string
	}{
		{"nothing to read", map[string]string{"trace.csv": header}, []string{"neither requests.csv nor invocations.csv"}},
		{"no rows", map[string]string{"requests.csv": header}, []string{"no requests"}},
		{"empty file", map[string]string{"requests.csv": ""}, []string{"requests.csv", "header"}},
		{"not compressed", map[string]string{"requests.csv": "\x00"}, []string{"requests.csv"}},
		{"column missing", map[string]string{"requests.csv": "time_ms,model\n"}, []string{"requests.csv:1", `"size_bytes"`}},
		{"column twice", map[string]string{"requests.csv": "time_ms,time_ms\n"}, []string{"requests.csv:1", "twice"}},
		{"field missing", map[string]string{"requests.csv": header + "0,a,1,1\n0,a\n"}, []string{"requests.csv", "line 3"}},
		{"no number", map[string]string{"requests.csv": header + "0,a,1,1\nnoon,a,1,1\n"}, []string{"requests.csv:3", `time_ms is "noon"`}},
		{"negative", map[string]string{"requests.csv": header + "0,a,-1,1\n"}, []string{"requests.csv:2", "size_bytes"}},
		{"no name", map[string]string{"requests.csv": header + "0,,1,1\n"}, []string{"requests.csv:2", "model is empty"}},
		{"two sizes", map[string]string{"requests.csv": header + "0,a,1,1\n1,a,2,1\n"}, []string{"requests.csv:3", "model a"}},
		{"more bytes than can be added up", map[string]string{"requests.csv": header + hugeModels()}, []string{"trace ", "bytes together"}},
		{"more load time than can be added up", map[string]string{"requests.csv": header + strings.Repeat("0,a,1,86400000\n", 120_000)},
			[]string{"trace ", "added up"}},
		{"no memory", map[string]string{"invocations.csv": azure}, []string{"no memory.csv"}},
		{"no minutes", map[string]string{"invocations.csv": "HashFunction\nf\n", "memory.csv": sizes + "f,1\n"},
			[]string{"invocations.csv:1", "minute"}},
		{"function without memory", map[string]string{"invocations.csv": azure + "f,a,1\n", "memory.csv": sizes + "g,1\n"},
			[]string{"invocations.csv:2", "HashFunction f", "memory.csv"}},
		{"function twice", map[string]string{"invocations.csv": azure + "f,a,1\nf,a,1\n", "memory.csv": sizes + "f,1\n"},
			[]string{"invocations.csv:3", "twice"}},
		{"no count", map[string]string{"invocations.csv": azure + "f,a,x\n", "memory.csv": sizes + "f,1\n"},
			[]string{"invocations.csv:2", `480 is "x"`}},
		{"no size", map[string]string{"invocations.csv": azure, "memory.csv": sizes + "f,NaN\n"},
			[]string{"memory.csv:2", `"NaN"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Read(write(t, c.files))
			for _, part := range c.want {
				if err == nil || !strings.Contains(err.Error(), part) {
					t.Errorf("error %v, want one with %q", err, part)
				}
			}
		})
	}
	if _, err := Read(filepath.Join(t.TempDir(), "absent")); err == nil {
		t.Error("an absent trace was read")
	}
}

// hugeModels are rows of models that take a pebibyte each, too many of them.
func hugeModels() string {
	var rows strings.Builder
	for i := range 8193 {
		fmt.Fprintf(&rows, "0,m%d,%d,1\n", i, int64(maxModelBytes))
	}
	return rows.String()
}
