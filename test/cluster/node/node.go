// Package node is one machine of a test cluster and all that runs on it: a real Kubernetes of one node, with containerd
// and runc, inside namespaces of its own (mounts, processes, network, host name, IPC). Invariants: it changes nothing
// outside its directory, its namespaces and the cgroups below its name, except that it loads a module of the kernel that is
// not loaded (br_netfilter); when its first process ends, the kernel ends the rest, and takes mounts, interfaces and packet
// filters along. Called by package cluster, in a process that it starts for it.
package node

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/wasmesh/wasmesh/test/cluster/controlplane"
)

const (
	// Name is the only node's.
	Name = "node"
	// APIPort is the API server's, at Address.
	APIPort = 6443
	// PauseImage is the one that holds a pod's namespaces; it must be among Config.Images.
	PauseImage = "docker.io/local/pause:dev"

	// startTimeout is far more than a start takes (10 s), for a machine that does other work.
	startTimeout = 5 * time.Minute
	stopGrace    = 5 * time.Second
)

// Addresses of the network that only the node's own namespace knows.
var (
	nodeRange = netip.MustParsePrefix("10.95.0.0/24")
	// gateway is nobody: the default route needs one, so that addresses of Services are routable at all.
	gateway  = nodeRange.Addr().Next()
	podRange = netip.MustParsePrefix("10.244.0.0/24")
	dns      = netip.MustParseAddr("10.96.0.10")
)

// Address is the node's.
func Address() netip.Addr { return gateway.Next() }

// Config says what the node runs.
type Config struct {
	// Dir keeps everything that the node writes; made and removed by the caller.
	Dir string
	// Programs is the directory of Kubernetes' programs, and CoreDNS the path of that program.
	Programs, CoreDNS string
	// PauseImage is a tar file of the image of that name.
	PauseImage string
}

// File is the path of a file in the node's directory.
func (c Config) File(elements ...string) string {
	return filepath.Join(append([]string{c.Dir}, elements...)...)
}

// Files that tell those outside about the node.
const (
	// Kubeconfig is the administrator's; it is written when the node is ready and so says that it is.
	Kubeconfig = "kubeconfig"
	// Containerd is the socket in the node's own file system.
	Containerd = "/run/containerd/containerd.sock"
)

// node is what runs.
type node struct {
	config   Config
	plane    *controlplane.ControlPlane
	children []*controlplane.Child
}

// Run starts everything, writes Kubeconfig when pods can be made, and returns when ctx ends or one of the programs does.
// It must be called inside the namespaces that Init made.
func Run(ctx context.Context, config Config) error {
	n := &node{config: config}
	defer n.stop()
	starting, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := n.start(starting); err != nil {
		return err
	}
	return n.wait(ctx)
}

func (n *node) start(ctx context.Context) error {
	if err := setUpNetwork(ctx); err != nil {
		return err
	}
	// It starts while the control plane does.
	if err := n.startContainerd(); err != nil {
		return err
	}
	plane, err := controlplane.Start(ctx, controlplane.Config{
		Programs: n.config.Programs, Dir: n.config.Dir, Address: Address(), Port: APIPort, Services: controlplane.Services(),
	})
	if err != nil {
		return err
	}
	n.plane = plane
	n.children = append(n.children, plane.Children()...)
	if err := n.importPause(ctx); err != nil {
		return err
	}
	for _, start := range []func() error{n.startKubelet, n.startControllers, n.startProxy, n.startDNS} {
		if err := start(); err != nil {
			return err
		}
	}
	return n.announce(ctx)
}

// announce tells those outside, when the node is ready.
func (n *node) announce(ctx context.Context) error {
	admin, err := n.plane.Admin()
	if err != nil {
		return err
	}
	if err := n.awaitReady(ctx, admin); err != nil {
		return err
	}
	content, err := kubeconfig(admin)
	if err != nil {
		return err
	}
	fresh := n.config.File("." + Kubeconfig)
	if err := os.WriteFile(fresh, content, 0o600); err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	return os.Rename(fresh, n.config.File(Kubeconfig))
}

// run starts one of Kubernetes' programs.
func (n *node) run(program string, flags ...string) error {
	return n.runIn(n.config.Programs, program, flags...)
}

func (n *node) runIn(dir, program string, flags ...string) error {
	child, err := controlplane.StartChild(dir, n.config.File("log"), program, flags)
	if err != nil {
		return err
	}
	n.children = append(n.children, child)
	return nil
}

// wait returns when one of the programs ends, which none does by itself, or ctx does.
func (n *node) wait(ctx context.Context) error {
	ended := make(chan *controlplane.Child, len(n.children))
	for _, child := range n.children {
		go func() {
			<-child.Done()
			ended <- child
		}()
	}
	select {
	case child := <-ended:
		return child.Ended()
	case <-ctx.Done():
		return nil
	}
}

// failed answers how a program ended, if one did.
func (n *node) failed() error {
	for _, child := range n.children {
		select {
		case <-child.Done():
			return child.Ended()
		default:
		}
	}
	return nil
}

func (n *node) stop() {
	for i := len(n.children) - 1; i >= 0; i-- {
		n.children[i].Stop(stopGrace)
	}
}
