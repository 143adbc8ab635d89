package cluster

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/wasmesh/wasmesh/test/cluster/node"
)

// Load imports images from tar files, so that pods can name them; one of the same name is replaced. A file that is as it
// was when it was loaded last is passed over: most are, when a cluster that is up gets a new build.
func (c *Cluster) Load(ctx context.Context, files ...string) error {
	pid, alive, err := c.owner()
	if err != nil {
		return err
	}
	if !alive {
		return ErrDown
	}
	for _, file := range files {
		if err := c.loadOne(ctx, pid, file); err != nil {
			return fmt.Errorf("load image %s: %w", file, err)
		}
	}
	return nil
}

func (c *Cluster) loadOne(ctx context.Context, pid int, file string) error {
	// In the node the working directory is another.
	file, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	digest := fnv.New64a()
	digest.Write([]byte(file))
	note := c.config.File("loaded", fmt.Sprintf("%016x", digest.Sum64()))
	state := fmt.Sprintf("%s %d %s", file, info.Size(), info.ModTime())
	if noted, err := os.ReadFile(note); err == nil && string(noted) == state {
		return nil
	}
	arguments := append([]string{"--mount", "--target=" + strconv.Itoa(pid), "--", "ctr"}, node.ImportArguments(file)...)
	if said, err := exec.CommandContext(ctx, "nsenter", arguments...).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, said)
	}
	return errors.Join(os.MkdirAll(filepath.Dir(note), 0o755), os.WriteFile(note, []byte(state), 0o644))
}
