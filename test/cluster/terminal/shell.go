package terminal

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

// Block is one of the blocks of a document that are marked as sh.
type Block struct {
	Section  string // the heading that it is under, as in "## Install"
	Commands string
}

// Blocks are those of a document, whose path is within the clone, in its order.
func (t *Terminal) Blocks(document string) ([]Block, error) {
	text, err := os.ReadFile(filepath.Join(t.Root, document))
	if err != nil {
		return nil, fmt.Errorf("read the commands of a document: %w", err)
	}
	var found []Block
	section := ""
	var block *strings.Builder
	for line := range strings.Lines(string(text)) {
		switch {
		case block == nil && strings.HasPrefix(line, "## "):
			section = strings.TrimSpace(strings.TrimPrefix(line, "## "))
		case block == nil && line == "```sh\n":
			block = &strings.Builder{}
		case block != nil && line == "```\n":
			found = append(found, Block{Section: section, Commands: block.String()})
			block = nil
		case block != nil:
			block.WriteString(line)
		}
	}
	return found, nil
}

// Shell is one in which commands are run one after another, as a person does; it ends at the first that fails.
type Shell struct {
	t     *testing.T
	stdin io.WriteCloser
	lines *bufio.Scanner
	steps int
}

// Shell starts one in a directory of its own, in which the clone's charts are. It has all programs on its path, wasmesh also
// as the plugin of kubectl, and the caches of this machine. `helm install` gets the values of the test cluster on top.
func (t *Terminal) Shell(test *testing.T) *Shell {
	test.Helper()
	dir := test.TempDir()
	links := map[string]string{"charts": "charts", "values.yaml": "test/cluster/values.yaml"}
	for name, path := range programs {
		links["path/"+name] = path
	}
	for link, target := range links {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, link)), 0o755); err != nil {
			test.Fatal(err)
		}
		if err := os.Symlink(filepath.Join(t.Root, target), filepath.Join(dir, link)); err != nil {
			test.Fatal(err)
		}
	}
	caches, err := os.UserCacheDir()
	if err != nil {
		test.Fatal(err)
	}
	c, err := t.Command(test.Context(), "bash", "-euo", "pipefail", "-s")
	if err != nil {
		test.Fatal(err)
	}
	c.Dir = dir
	c.Env = append(c.Env, "HOME="+dir, "XDG_CACHE_HOME="+caches)
	said, says := io.Pipe()
	c.Stdout, c.Stderr = says, says
	stdin, err := c.StdinPipe()
	if err != nil {
		test.Fatal(err)
	}
	if err := c.Start(); err != nil {
		test.Fatal(err)
	}
	var ending sync.WaitGroup
	ending.Go(func() { says.CloseWithError(c.Wait()) })
	test.Cleanup(func() {
		stdin.Close()
		said.Close()
		ending.Wait()
	})
	s := &Shell{t: test, stdin: stdin, lines: bufio.NewScanner(said)}
	s.Run(`PATH="$PWD/path:$PATH"
helm() { if [ "$1" = install ]; then command helm "$@" --values values.yaml --timeout 3m; else command helm "$@"; fi; }
`)
	return s
}

// Run runs commands and answers what they printed. The test fails with the first that fails.
func (s *Shell) Run(commands string) string {
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
