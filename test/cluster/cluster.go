// Package cluster brings up a real Kubernetes of one node on this machine, and takes it down without a trace. The
// node's processes, mounts and network are in namespaces of its own (package node); this package starts and ends them,
// and reaches into them. Invariants: a directory has at most one cluster, which holds a lock on a file in it for as long as
// it lives, so that an `Up` that was killed, or a machine that lost power, leaves nothing that the next Up or Down does not
// find; only processes that the lock's file names are ever ended. Called by the program cluster and by end-to-end tests.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/wasmesh/wasmesh/test/cluster/node"
)

const (
	pollInterval = 50 * time.Millisecond
	// endPatience is far more than the kernel takes to end a node's processes.
	endPatience = time.Minute
)

// Cluster is one that may or may not be up.
type Cluster struct {
	config node.Config
}

// At is the cluster of a directory. Nothing is read or written yet.
func At(config node.Config) (*Cluster, error) {
	var err error
	for _, path := range []*string{&config.Dir, &config.Programs, &config.CoreDNS, &config.PauseImage} {
		var failed error
		*path, failed = filepath.Abs(*path)
		err = errors.Join(err, failed)
	}
	if err != nil {
		return nil, fmt.Errorf("find cluster: %w", err)
	}
	for _, shadowed := range node.Shadowed {
		if strings.HasPrefix(config.Dir, shadowed+"/") {
			return nil, fmt.Errorf("directory %s: the node sees a %s of its own; choose a directory elsewhere", config.Dir, shadowed)
		}
	}
	return &Cluster{config: config}, nil
}

// Kubeconfig is the path of the administrator's configuration; the file is there while the cluster is up.
func (c *Cluster) Kubeconfig() string { return c.config.File(node.Kubeconfig) }

// Log is the path of the node's own log; those of its programs are in the directory log beside it.
func (c *Cluster) Log() string { return c.config.File("node.log") }

// Up returns when pods can be made. It reports whether it started the cluster: one that is up, or coming up, is left as
// it is. The cluster outlives this process, unless ctx ends before it is ready: then what this call started is ended, and
// its files stay for a look. See NodeArgument for what the program must do.
func (c *Cluster) Up(ctx context.Context) (started bool, err error) {
	_, alive, err := c.owner()
	if err != nil {
		return false, err
	}
	if !alive {
		if os.Geteuid() != 0 {
			return false, errors.New("a cluster's namespaces, mounts and network can only be made by root")
		}
		if err := c.clear(); err != nil {
			return false, err
		}
		if err := c.launch(); err != nil {
			return false, err
		}
	}
	err = c.await(ctx)
	if err != nil && !alive && ctx.Err() != nil {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), endPatience)
		defer cancel()
		err = errors.Join(err, c.end(ending))
	}
	return !alive, err
}

// await returns when the cluster is ready, or gone.
func (c *Cluster) await(ctx context.Context) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		if _, err := os.Stat(c.Kubeconfig()); err == nil {
			return nil
		}
		_, alive, err := c.owner()
		if err != nil {
			return err
		}
		if !alive {
			said, _ := os.ReadFile(c.Log())
			return fmt.Errorf("the node ended before it was ready: %s", strings.TrimSpace(string(said)))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the node: %w; its log: %s", context.Cause(ctx), c.Log())
		case <-ticker.C:
		}
	}
}

// Down ends the cluster and removes all of it, or what is left of one that ended otherwise. Without one it does nothing.
func (c *Cluster) Down(ctx context.Context) error {
	if err := c.end(ctx); err != nil {
		return err
	}
	return c.clear()
}

// end ends the node, if there is one, and returns when it has gone.
func (c *Cluster) end(ctx context.Context) error {
	pid, alive, err := c.owner()
	if err != nil || !alive {
		return err
	}
	// The first process of its namespace: the kernel ends all the others with it.
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("end node: %w", err)
	}
	for alive {
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the node's end: %w", context.Cause(ctx))
		case <-time.After(pollInterval):
		}
		if _, alive, err = c.owner(); err != nil {
			return err
		}
	}
	return nil
}

// clear removes what a node that has ended leaves.
func (c *Cluster) clear() error {
	if err := node.RemoveCgroups(c.config.Dir); err != nil {
		return err
	}
	if err := os.RemoveAll(c.config.Dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the cluster's files: %w", err)
	}
	return nil
}
