package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wasmesh/wasmesh/test/installed"
)

// Every command of docs/policies.md works, in its order, against a running mesh.
func TestPolicyCookbook(t *testing.T) {
	root := installed.Root(t)
	guide, err := os.ReadFile(filepath.Join(root, "docs", "policies.md"))
	if err != nil {
		t.Fatal(err)
	}
	const name = "example-sklearn-isvc" // What the guide asks about.
	m := crowded(t, name)
	ask := func(names ...string) {
		client := m.grpcClient()
		for _, name := range names {
			if _, err := infer(t.Context(), client, name); err != nil {
				t.Fatal(err)
			}
		}
	}

	work := t.TempDir()
	blocks := shellBlocks(string(guide))
	if len(blocks) < 6 {
		t.Fatalf("docs/policies.md has %d blocks of commands", len(blocks))
	}
	for _, block := range blocks {
		// The guide leaves out which mesh is meant, as people do who have one.
		script := `set -eu; wasmesh() { command wasmesh "$@" --data-dir "$MESH"; }; ` + "\n" + block
		command := exec.CommandContext(t.Context(), "bash", "-c", script)
		command.Dir = work
		command.Env = append(os.Environ(), "MESH="+m.data, "POLICIES="+filepath.Join(root, "bin", "policies"),
			"PATH="+filepath.Dir(installed.Program(t, "wasmesh"))+":"+os.Getenv("PATH"))
		var output bytes.Buffer
		command.Stdout, command.Stderr = &output, &output
		if err := command.Run(); err != nil {
			t.Fatalf("%v\n%s\n%s", err, block, &output)
		}
		t.Logf("%s\n%s", block, &output)
		if strings.Contains(block, "policy apply oldest-first\n") {
			m.untilPhase("oldest-first", "Programmed")
			ask(append(crowd, name)...) // So that there is something to explain and to replay.
		}
	}
	m.untilPhase("oldest-first", "Suspended")
}

// shellBlocks are the contents of the fences marked sh.
func shellBlocks(markdown string) []string {
	var blocks []string
	for _, part := range strings.Split(markdown, "\n```sh\n")[1:] {
		block, _, _ := strings.Cut(part, "\n```")
		blocks = append(blocks, block+"\n")
	}
	return blocks
}
