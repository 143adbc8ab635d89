//go:build cluster

package migrate

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// commands are the blocks of a document that are marked as sh, by the number of the section that they are in: "3" of
// "## 3. Install".
func commands(t *testing.T, document string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, document))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]string{}
	section := ""
	var block *strings.Builder
	for line := range strings.Lines(string(text)) {
		switch {
		case block == nil && strings.HasPrefix(line, "## "):
			section, _, _ = strings.Cut(strings.TrimPrefix(line, "## "), ".")
		case block == nil && line == "```sh\n":
			block = &strings.Builder{}
		case block != nil && line == "```\n":
			found[section] = append(found[section], block.String())
			block = nil
		case block != nil:
			block.WriteString(line)
		}
	}
	return found
}

// shell is one in which commands are run one after another, as a person does; it ends at the first that fails.
type shell struct {
	t     *testing.T
	stdin io.WriteCloser
	lines *bufio.Scanner
	steps int
}

// newShell starts one in a directory of its own, in which the clone's charts are. Programs are on its path: wasmesh, also as
// the plugin of kubectl, and helm, which installs the images of the test cluster.
func newShell(t *testing.T) *shell {
	t.Helper()
	dir := t.TempDir()
	for link, target := range map[string]string{
		"charts": "charts", "path/wasmesh": "bin/wasmesh", "path/kubectl-wasmesh": "bin/wasmesh", "path/helm": "bin/tools/helm",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, link)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join(root, target), filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "values.yaml"), []byte(chartValues), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := command(t.Context(), "bash", "-euo", "pipefail", "-s")
	if err != nil {
		t.Fatal(err)
	}
	c.Dir = dir
	c.Env = append(c.Env, "HOME="+dir)
	said, says := io.Pipe()
	c.Stdout, c.Stderr = says, says
	stdin, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	var ending sync.WaitGroup
	ending.Go(func() { says.CloseWithError(c.Wait()) })
	t.Cleanup(func() {
		stdin.Close()
		said.Close()
		ending.Wait()
	})
	s := &shell{t: t, stdin: stdin, lines: bufio.NewScanner(said)}
	s.run(`PATH="$PWD/path:$PATH"
helm() { if [ "$1" = install ]; then command helm "$@" --values values.yaml --timeout 3m; else command helm "$@"; fi; }
`)
	return s
}

// run runs commands and answers what they printed.
func (s *shell) run(commands string) string {
	s.t.Helper()
	s.steps++
	mark := fmt.Sprintf("--- that was %d ---", s.steps)
	// Braces, so that no command reads the next ones.
	if _, err := fmt.Fprintf(s.stdin, "{\n%s\n} </dev/null\necho '%s'\n", commands, mark); err != nil {
		s.t.Fatalf("the shell has ended: %v", err)
	}
	var out strings.Builder
	for s.lines.Scan() {
		if s.lines.Text() == mark {
			return out.String()
		}
		out.WriteString(s.lines.Text() + "\n")
	}
	s.t.Fatalf("commands failed: %v\n%s\n%s", s.lines.Err(), commands, out.String())
	return ""
}
