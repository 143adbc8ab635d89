package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// ErrDown is the error of everything that needs a cluster when there is none.
var ErrDown = errors.New("the cluster is not up; bring it up with `make cluster-up`")

// Rest is the configuration of a client that may do everything and works from outside the node's network.
func (c *Cluster) Rest() (*rest.Config, error) {
	if _, err := os.Stat(c.Kubeconfig()); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDown, err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig())
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	config.Dial = c.Dial
	return config, nil
}

// Command is a program in the node's network and this machine's file system, with KUBECONFIG set and kubectl on its
// path.
func (c *Cluster) Command(ctx context.Context, program string, arguments ...string) (*exec.Cmd, error) {
	namespace, err := c.network()
	if err != nil {
		return nil, err
	}
	command := exec.CommandContext(ctx, "nsenter", append([]string{"--net=" + namespace, "--", program}, arguments...)...)
	command.Env = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig(), "PATH="+c.config.Programs+":"+os.Getenv("PATH"))
	return command, nil
}

// Dial connects from the node: to the API server, to a pod, or to a Service by its address. Names are not resolved.
func (c *Cluster) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	namespace, err := c.network()
	if err != nil {
		return nil, err
	}
	type answer struct {
		connection net.Conn
		err        error
	}
	dialled := make(chan answer, 1)
	go func() {
		// Never unlocked: the thread is in another network namespace, and ends with this goroutine.
		runtime.LockOSThread()
		connection, err := dialIn(ctx, namespace, network, address)
		dialled <- answer{connection, err}
	}()
	got := <-dialled
	return got.connection, got.err
}

// dialIn connects on this thread: a socket is of the namespace that its thread is in when it is made.
func dialIn(ctx context.Context, namespace, network, address string) (net.Conn, error) {
	if host, _, err := net.SplitHostPort(address); err != nil || net.ParseIP(host) == nil {
		return nil, fmt.Errorf("dial %q: not an address and a port", address)
	}
	file, err := os.Open(namespace)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDown, err)
	}
	defer file.Close()
	if err := unix.Setns(int(file.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("enter the node's network: %w", err)
	}
	return (&net.Dialer{}).DialContext(ctx, network, address)
}

// network is the path of the node's network namespace.
func (c *Cluster) network() (string, error) {
	pid, alive, err := c.owner()
	if err != nil {
		return "", err
	}
	if !alive {
		return "", ErrDown
	}
	return fmt.Sprintf("/proc/%d/ns/net", pid), nil
}
