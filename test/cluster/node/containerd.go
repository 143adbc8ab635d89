package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/wasmesh/wasmesh/test/cluster/controlplane"
)

// pollInterval is how often something is asked whether it is ready: far below what a start takes.
const pollInterval = 100 * time.Millisecond

// containerdConfig: restrict_oom_score_adj, because a sandbox may not be allowed to lower the score of a process, and
// every container's start would fail with it. The network plugins are the distribution's.
const containerdConfig = `version = 2
root = %q
state = "/run/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs"]

[grpc]
  address = %q

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %q
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = %q
`

const networkConfig = `{
  "cniVersion": "1.0.0",
  "name": "pods",
  "plugins": [
    {
      "type": "bridge", "bridge": "pods0", "isGateway": true, "hairpinMode": true, "ipMasq": false,
      "ipam": {"type": "host-local", "ranges": [[{"subnet": %q}]], "routes": [{"dst": "0.0.0.0/0"}]}
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
`

func (n *node) startContainerd() error {
	config := fmt.Sprintf(containerdConfig, n.config.File("containerd"), Containerd, PauseImage, n.config.File("cni"))
	err := errors.Join(
		controlplane.WriteFiles(n.config.File("cni"), map[string][]byte{"pods.conflist": fmt.Appendf(nil, networkConfig, podRange)}),
		controlplane.WriteFiles(n.config.File("etc"), map[string][]byte{"containerd.toml": []byte(config)}),
	)
	if err != nil {
		return err
	}
	path, err := exec.LookPath("containerd")
	if err != nil {
		return fmt.Errorf("%w (install it with `make cluster-deps`)", err)
	}
	return n.runIn(filepath.Dir(path), "containerd", "--config="+n.config.File("etc", "containerd.toml"))
}

// importPause waits for containerd, and gives it the image without which no pod starts.
func (n *node) importPause(ctx context.Context) error {
	if err := n.await(ctx, func() error {
		connection, err := net.Dial("unix", Containerd)
		if err != nil {
			return err
		}
		return connection.Close()
	}); err != nil {
		return fmt.Errorf("wait for containerd: %w", err)
	}
	return output(exec.CommandContext(ctx, "ctr", ImportArguments(n.config.PauseImage)...))
}

// ImportArguments are those of ctr, run in the node's mount namespace, that import images from a tar file.
func ImportArguments(file string) []string {
	return []string{"--address", Containerd, "--namespace", "k8s.io", "images", "import", file}
}

// await polls until the check passes, ctx ends, or one of the programs does.
func (n *node) await(ctx context.Context, check func() error) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		last := check()
		if last == nil {
			return nil
		}
		if err := n.failed(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; last answer: %w", context.Cause(ctx), last)
		case <-ticker.C:
		}
	}
}
