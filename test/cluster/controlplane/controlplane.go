// Package controlplane runs a real etcd and kube-apiserver as children of this process, with certificates of their own.
// Invariant: a ControlPlane that Start returned answers requests until Stop, and neither program outlives this process.
// Called by envtest, which needs no more of Kubernetes, and by the node, which adds the rest.
package controlplane

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/process"
	"github.com/wasmesh/wasmesh/test/cluster/certificates"
	"k8s.io/client-go/rest"
)

// stopGrace is more than either program takes to end.
const stopGrace = 10 * time.Second

// Config says what to run and where.
type Config struct {
	// Programs is the directory of the programs: bin/tools/kubernetes, which `make tool-kubernetes` makes.
	Programs string
	// Dir keeps keys, data and logs; the caller makes and removes it.
	Dir string
	// Address is where the API server listens and what it advertises; etcd is on loopback always.
	Address netip.Addr
	// Port is the API server's; 0 is a free one.
	Port int
	// Services is the range of ClusterIPs.
	Services netip.Prefix
	// Flags are added to the API server's.
	Flags []string
}

// ControlPlane is a running etcd and API server.
type ControlPlane struct {
	config    Config
	authority *certificates.Authority
	children  []*Child // in the order of their start
	port      int
}

// Start starts both and returns when the API server says that it is ready. ctx bounds the start only.
func Start(ctx context.Context, config Config) (*ControlPlane, error) {
	authority, err := certificates.NewAuthority("wasmesh-test-cluster")
	if err != nil {
		return nil, err
	}
	c := &ControlPlane{config: config, authority: authority, port: config.Port}
	if err := c.start(ctx); err != nil {
		c.Stop()
		return nil, err
	}
	return c, nil
}

func (c *ControlPlane) start(ctx context.Context) error {
	if err := c.writeKeys(); err != nil {
		return err
	}
	ports, err := freePorts(3)
	if err != nil {
		return err
	}
	if c.port == 0 {
		c.port = ports[2]
	}
	etcd := "http://127.0.0.1:" + strconv.Itoa(ports[0])
	if err := c.run("etcd", etcdFlags(c.path("etcd"), etcd, "http://127.0.0.1:"+strconv.Itoa(ports[1]))); err != nil {
		return err
	}
	// The API server waits for etcd by itself.
	if err := c.run("kube-apiserver", append(c.apiServerFlags(etcd), c.config.Flags...)); err != nil {
		return err
	}
	return c.awaitReady(ctx)
}

// run starts one of the programs.
func (c *ControlPlane) run(program string, flags []string) error {
	child, err := StartChild(c.config.Programs, c.path("log"), program, flags)
	if err != nil {
		return err
	}
	c.children = append(c.children, child)
	return nil
}

// Authority issues certificates that the API server believes.
func (c *ControlPlane) Authority() *certificates.Authority { return c.authority }

// URL is the API server's.
func (c *ControlPlane) URL() string {
	return "https://" + net.JoinHostPort(c.config.Address.String(), strconv.Itoa(c.port))
}

// Children are etcd and the API server.
func (c *ControlPlane) Children() []*Child { return c.children }

// Client is the configuration of a client that is the given user, a member of the given groups.
func (c *ControlPlane) Client(user string, groups ...string) (*rest.Config, error) {
	pair, err := c.authority.Issue(certificates.Subject{CommonName: user, Organizations: groups})
	if err != nil {
		return nil, err
	}
	return &rest.Config{
		Host: c.URL(),
		TLSClientConfig: rest.TLSClientConfig{
			CAData: c.authority.PEM(), CertData: pair.Certificate, KeyData: pair.Key,
		},
	}, nil
}

// Admin is the configuration of a client that may do everything.
func (c *ControlPlane) Admin() (*rest.Config, error) { return c.Client("admin", "system:masters") }

// Stop ends both, the API server first, and returns when they are gone.
func (c *ControlPlane) Stop() {
	for i := len(c.children) - 1; i >= 0; i-- {
		c.children[i].Stop(stopGrace)
	}
	c.children = nil
}

// Child is a running program that writes its log to a file.
type Child struct {
	*process.Process
	Name string
	// Log is the path of the file that it writes its output to.
	Log string
}

// StartChild starts a program of the given directory, whose output goes to <logs>/<program>.log.
func StartChild(programs, logs, program string, flags []string) (*Child, error) {
	if err := os.MkdirAll(logs, 0o755); err != nil {
		return nil, fmt.Errorf("make directory of logs: %w", err)
	}
	name := filepath.Join(logs, program+".log")
	log, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("make log of %s: %w", program, err)
	}
	defer log.Close() // the child has its own
	command := exec.Command(filepath.Join(programs, program), flags...)
	command.Stdout, command.Stderr = log, log
	child, err := process.Start(command)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w (install it with `make cluster-deps`)", err)
	}
	if err != nil {
		return nil, err
	}
	return &Child{Process: child, Name: program, Log: name}, nil
}

// Ended says that a child is gone and how, with the last lines of its log.
func (c *Child) Ended() error {
	return fmt.Errorf("%s ended (%v); the end of its log: %s", c.Name, c.Err(), tail(c.Log))
}

// tail is the end of a file, for an error message.
func tail(name string) string {
	const most = 2 << 10
	content, err := os.ReadFile(name)
	if err != nil {
		return err.Error()
	}
	return string(content[max(0, len(content)-most):])
}

// freePorts finds ports of 127.0.0.1 that nothing listens on.
func freePorts(count int) ([]int, error) {
	var ports []int
	for range count {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer listener.Close() // together at the end, or the same one would be found again
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

func (c *ControlPlane) path(elements ...string) string {
	return filepath.Join(append([]string{c.config.Dir}, elements...)...)
}
