package sim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// mutantSeeds is within how many seeds a seeded bug has to be found.
const mutantSeeds = "200"

// root is the repository, from here.
const root = "../.."

// TestMutants: every bug that is put into the code on purpose is found.
func TestMutants(t *testing.T) {
	files, err := filepath.Glob("mutants/*.txt")
	if err != nil || len(files) < 3 {
		t.Fatalf("%d mutants, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			overlay, err := mutate(file, t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			found := build(t, overlay)
			var out bytes.Buffer
			// Fewer hosts and models than in earnest: the bug is in one line, not in the numbers.
			command := exec.Command(found, "-seeds", mutantSeeds, "-no-shrink", "-hosts", "4", "-models", "40", "-requests", "400")
			command.Stdout, command.Stderr = &out, &out
			err = command.Run()
			if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 {
				t.Fatalf("not found within %s seeds: %v\n%s", mutantSeeds, err, out.String())
			}
			t.Log(regexp.MustCompile(`seed \d+: .*`).FindString(out.String()))
		})
	}
}

// build builds the simulator with files replaced.
func build(t *testing.T, overlay string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "sim")
	command := exec.Command("go", "build", "-trimpath", "-overlay", overlay, "-o", program, "./cmd/sim")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("the mutant does not build: %v\n%s", err, out)
	}
	return program
}

// mutate writes the files that a mutant changes into a directory, and what go build -overlay has to know of them.
func mutate(file, dir string) (overlay string, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	replace := map[string]string{}
	var path, content string
	var old, fresh []string
	apply := func() error {
		if len(old) == 0 {
			return nil
		}
		from, to := strings.Join(old, "\n")+"\n", strings.Join(fresh, "\n")+"\n"
		if n := strings.Count(content, from); n != 1 {
			return fmt.Errorf("%s: these lines are %d times in %s, not once; the code has moved, so the mutant has to follow it:\n%s", file, n, path, from)
		}
		content = strings.Replace(content, from, to, 1)
		old, fresh = nil, nil
		return os.WriteFile(filepath.Join(dir, filepath.Base(path)), []byte(content), 0o644)
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "file "):
			if err := apply(); err != nil {
				return "", err
			}
			path = strings.TrimPrefix(line, "file ")
			original, err := os.ReadFile(filepath.Join(root, path))
			if err != nil {
				return "", err
			}
			absolute, err := filepath.Abs(filepath.Join(root, path))
			if err != nil {
				return "", err
			}
			content = string(original)
			replace[absolute] = filepath.Join(dir, filepath.Base(path))
		case path != "" && strings.HasPrefix(line, "-"):
			if len(fresh) > 0 {
				if err := apply(); err != nil {
					return "", err
				}
			}
			old = append(old, line[1:])
		case path != "" && strings.HasPrefix(line, "+"):
			fresh = append(fresh, line[1:])
		}
	}
	if err := apply(); err != nil {
		return "", err
	}
	content, err2 := encode(replace)
	if err2 != nil {
		return "", err2
	}
	overlay = filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, []byte(content), 0o644)
}

func encode(replace map[string]string) (string, error) {
	text, err := json.Marshal(map[string]any{"Replace": replace})
	return string(text), err
}
