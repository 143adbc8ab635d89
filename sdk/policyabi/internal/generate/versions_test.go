package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestNextVersion makes the next minor version of everything in Go, with a field appended to the header and to each context
// and row, and lets it pass the tests of golden vectors: the host's codec and views, and the guest SDK, read what hosts of
// this version, of the next and of the one after write. That this version reads the next is tested where the codecs are.
func TestNextVersion(t *testing.T) {
	now := abi(t)
	next, err := newer(now)
	if err != nil {
		t.Fatal(err)
	}
	files, err := generateAfter(now, next)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "go.mod"), []byte("module github.com/wasmesh/wasmesh\n\ngo 1.26\n"))
	for _, pattern := range []string{"sdk/policyabi/*.go", "sdk/policy/go/go.mod", "sdk/policy/go/*.go", "sdk/policy/go/internal/*/*.go"} {
		copyFiles(t, dir, pattern)
	}
	for name, content := range files {
		writeFile(t, filepath.Join(dir, name), content)
	}
	for _, hook := range now.Hooks() {
		name := "sdk/policyabi/testdata/" + strings.ToLower(hook)
		published, err := os.ReadFile(filepath.Join(root, name+".bin"))
		if err != nil || !bytes.Equal(published, files[name+"-older.bin"]) {
			t.Errorf("the next version is not tested with what this one writes for %s (%v)", hook, err)
		}
		if text := string(files[name+"-older.txt"]); !strings.Contains(text, "added_1_header = 0\n") {
			t.Errorf("the test does not look at what an older host does not write:\n%s", text)
		}
	}
	for _, module := range []string{"sdk/policyabi", "sdk/policy/go"} {
		command := exec.Command("go", "test", "-vet=off", "-run=Golden", ".")
		command.Dir = filepath.Join(dir, module)
		command.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
		if out, err := command.CombinedOutput(); err != nil {
			t.Errorf("%s of the next version: %v\n%s", module, err, out)
		}
	}
}

// TestGoSDK tests the guest SDK, which is a module of its own, and builds its example.
func TestGoSDK(t *testing.T) {
	for _, c := range []struct {
		args, environment []string
	}{
		{[]string{"test", "./..."}, nil},
		{[]string{"vet", "./..."}, nil},
		{[]string{"build", "-buildmode=c-shared", "-ldflags=-s -w", "-o", filepath.Join(t.TempDir(), "hello.wasm"), "./examples/hello"}, []string{"GOOS=wasip1", "GOARCH=wasm"}},
	} {
		command := exec.Command("go", c.args...)
		command.Dir = filepath.Join(root, "sdk/policy/go")
		command.Env = append(append(os.Environ(), "GOWORK=off", "GOFLAGS="), c.environment...)
		if out, err := command.CombinedOutput(); err != nil {
			t.Errorf("go %s: %v\n%s", strings.Join(c.args, " "), err, out)
		}
	}
}

// TestHelloIsShort: what an author of a policy writes, blank lines included.
func TestHelloIsShort(t *testing.T) {
	hello, err := os.ReadFile(filepath.Join(root, "sdk/policy/go/examples/hello/hello.go"))
	if err != nil {
		t.Fatal(err)
	}
	if lines := bytes.Count(hello, []byte("\n")); lines > 15 {
		t.Errorf("the hello policy has %d lines, over 15", lines)
	}
	documented, err := os.ReadFile(filepath.Join(root, "sdk/policy/go/policy.go"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(hello)) {
		if !bytes.Contains(documented, []byte(strings.TrimSuffix("//\t"+line, "\t\n"))) && line != "\n" {
			t.Errorf("the package comment of the SDK does not have the hello policy's line %q", line)
		}
	}
}

func copyFiles(t *testing.T, dir, pattern string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root, pattern))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no file is named %s: %v", pattern, err)
	}
	for _, path := range paths {
		name, err := filepath.Rel(root, path)
		if err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, name), content)
	}
}

func writeFile(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}
