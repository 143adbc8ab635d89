// Package installed finds what `make test-deps` puts on a machine: our programs, tools from other projects, runtimes and
// sample models. Invariant: a path that it answers exists; a missing one fails the test with the command that installs
// it, so no test is ever passed over in silence. Called by tests.
package installed

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// Program is the path of one of our binaries, such as "wasmesh-host".
func Program(tb testing.TB, name string) string {
	tb.Helper()
	return existing(tb, "make build", filepath.Join(Root(tb), "bin", name))
}

// Tool is the path of a tool that test/tools pins, such as "versitygw".
func Tool(tb testing.TB, name string) string {
	tb.Helper()
	return existing(tb, "make tool-"+name, filepath.Join(Root(tb), "bin", "tools", name))
}

// RuntimesDir is the directory of runtimes that holds the given server type, such as "mlserver": the launcher's
// --runtimes-dir.
func RuntimesDir(tb testing.TB, serverType string) string {
	tb.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		tb.Fatalf("find the user's cache: %v", err)
	}
	dir := filepath.Join(cache, "wasmesh", "runtimes")
	existing(tb, "make runtime-"+serverType, filepath.Join(dir, serverType))
	return dir
}

// Samples are the sample models.
type Samples struct {
	// Dir holds one directory, Bucket, laid out as the bucket's content.
	Dir    string `json:"-"`
	Bucket string `json:"bucket"`
	// Models are listed in the order in which they were trained, the tutorial's first.
	Models []Sample `json:"samples"`
}

// Sample is one model with a question and scikit-learn's own answer to it.
type Sample struct {
	// Key is the object's name in the bucket.
	Key   string `json:"key"`
	Bytes int64  `json:"bytes"`
	// Input is one row; the model's input has the shape [1, len(Input)].
	Input []float64 `json:"input"`
	// Answer is a class, or a real number for a regression.
	Answer float64 `json:"answer"`
}

// SampleModels reads what test/samples/train.py wrote.
func SampleModels(tb testing.TB) Samples {
	tb.Helper()
	link := existing(tb, "make samples", filepath.Join(Root(tb), "bin", "samples"))
	dir, err := filepath.EvalSymlinks(link)
	if err != nil {
		tb.Fatalf("resolve %s: %v", link, err)
	}
	content, err := os.ReadFile(filepath.Join(dir, "samples.json"))
	if err != nil {
		tb.Fatalf("read the list of samples: %v", err)
	}
	samples := Samples{Dir: dir}
	if err := json.Unmarshal(content, &samples); err != nil {
		tb.Fatalf("decode the list of samples: %v", err)
	}
	return samples
}

// Root is the directory of the product's go.mod, found from the test's working directory.
func Root(tb testing.TB) string {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			tb.Fatal("no go.mod above the working directory: run the test inside a clone")
		}
		dir = parent
	}
}

func existing(tb testing.TB, command, path string) string {
	tb.Helper()
	if _, err := os.Stat(path); err != nil {
		tb.Fatalf("%s is missing; install it with: %s (`make test-deps` installs all that tests need)", path, command)
	}
	return path
}
