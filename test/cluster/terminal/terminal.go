// Package terminal is where somebody sits who has a clone and its test cluster: programs run in the cluster's network with
// the clone as their directory, and the commands of a document can be typed one block after another. It owns nothing but
// the shells it starts, which end with their test. Called by the end-to-end tests in a cluster.
package terminal

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/wasmesh/wasmesh/test/cluster"
	"github.com/wasmesh/wasmesh/test/cluster/node"
)

// programs that the Makefile installs, by the name that documents call them by; all others are on the path, kubectl on the
// cluster's own.
var programs = map[string]string{
	"helm":            "bin/tools/helm",
	"grpcurl":         "bin/tools/grpcurl",
	"wasmesh":         "bin/wasmesh",
	"kubectl-wasmesh": "bin/wasmesh",
}

// Terminal is one of a clone.
type Terminal struct {
	*cluster.Cluster
	// Root is the clone's directory.
	Root string
}

// At is the terminal of a clone, whose cluster may or may not be up.
func At(root string) (*Terminal, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("find the clone: %w", err)
	}
	c, err := cluster.At(node.Config{Dir: filepath.Join(root, ".wasmesh/cluster"), Programs: filepath.Join(root, "bin/tools/kubernetes")})
	if err != nil {
		return nil, err
	}
	return &Terminal{Cluster: c, Root: root}, nil
}

// Command prepares a program in the cluster's network. It fails with cluster.ErrDown.
func (t *Terminal) Command(ctx context.Context, name string, args ...string) (*exec.Cmd, error) {
	if path, ours := programs[name]; ours {
		name = filepath.Join(t.Root, path)
	}
	c, err := t.Cluster.Command(ctx, name, args...)
	if err != nil {
		return nil, err
	}
	c.Dir = t.Root
	return c, nil
}

// Output runs a program to its end and answers all that it printed, on both streams, without the newlines at the end. The
// error names the program; what it printed is not in it.
func (t *Terminal) Output(ctx context.Context, stdin io.Reader, name string, args ...string) (string, error) {
	c, err := t.Command(ctx, name, args...)
	if err != nil {
		return "", err
	}
	c.Stdin = stdin
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err = c.Run(); err != nil {
		err = fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return strings.TrimRight(out.String(), "\n"), err
}
