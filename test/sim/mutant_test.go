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
const mutantSeeds = "100"

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

// mutate writes the files that a mutant changes into a directory, and what `go build -overlay` has to know of them.
func mutate(file, dir string) (overlay string, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	replaced := map[string]string{}
	for i, part := range strings.Split(string(text), "\nfile ") {
		path, changes, _ := strings.Cut(part, "\n")
		if i == 0 {
			continue // What it is about.
		}
		original, err := filepath.Abs(filepath.Join(root, path))
		if err != nil {
			return "", err
		}
		content, err := os.ReadFile(original)
		if err != nil {
			return "", err
		}
		changed, err := change(string(content), changes)
		if err != nil {
			return "", fmt.Errorf("%s: %s: %w", file, path, err)
		}
		replaced[original] = filepath.Join(dir, strings.ReplaceAll(path, "/", "_"))
		if err := os.WriteFile(replaced[original], []byte(changed), 0o644); err != nil {
			return "", err
		}
	}
	content, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		return "", err
	}
	overlay = filepath.Join(dir, "overlay.json")
	return overlay, os.WriteFile(overlay, content, 0o644)
}

// change replaces each run of lines that follow a "-" with the lines after it that follow a "+".
func change(content, changes string) (string, error) {
	runs := regexp.MustCompile(`((?:-.*\n)+)((?:\+.*\n)*)`).FindAllStringSubmatch(changes+"\n", -1)
	if len(runs) == 0 {
		return "", errors.New("nothing to change")
	}
	bare := func(lines string) string { return regexp.MustCompile(`(?m)^[-+]`).ReplaceAllString(lines, "") }
	for _, run := range runs {
		old := bare(run[1])
		if n := strings.Count(content, old); n != 1 {
			return "", fmt.Errorf("these lines are there %d times, not once; the code has moved, and the mutant has to follow it:\n%s", n, old)
		}
		content = strings.Replace(content, old, bare(run[2]), 1)
	}
	return content, nil
}
