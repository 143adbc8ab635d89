// Package envtest gives tests a real etcd and kube-apiserver with the chart's CRDs, and nothing else of Kubernetes: no
// kubelet, no scheduler, and no controllers, so that Deployments make no pods, namespaces never finish ending, and owned
// objects outlive their owners. Invariants: one server per test binary, started by the first test that asks and gone
// with the binary, however that ends, its files included; what is missing fails the test with the command that installs
// it, and nothing is passed over. Called by tests.
package envtest

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/wasmesh/wasmesh/test/cluster/controlplane"
	"github.com/wasmesh/wasmesh/test/installed"
)

const (
	// startTimeout is far more than a start takes (4 s), for a machine that does other work.
	startTimeout = 2 * time.Minute
	// attempts at ports that something else took first.
	attempts = 3
)

// server is the test binary's only one. The package's own variable, because Go has no other scope that is a binary's.
var server struct {
	once   sync.Once
	config *rest.Config
	err    error
	// held are open until the kernel closes them at the binary's end.
	held []io.Closer
}

// Start answers the configuration of a client that may do everything, without a bound on its rate of requests. The
// server is shared by all tests of the binary: what a test makes belongs into a Namespace of its own, and cluster-scoped
// objects need names of their own. The caller owns the answer and may change it.
func Start(t testing.TB) *rest.Config {
	t.Helper()
	programs := installed.Tool(t, "kubernetes")
	crds := filepath.Join(installed.Root(t), "charts", "wasmesh", "files", "crds")
	server.once.Do(func() { server.config, server.err = start(programs, crds) })
	if server.err != nil {
		t.Fatalf("start etcd and kube-apiserver: %v", server.err)
	}
	return rest.CopyConfig(server.config)
}

func start(programs, crds string) (*rest.Config, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	var last error
	for range attempts {
		plane, err := startPlane(ctx, programs)
		if err != nil {
			last = err
			continue
		}
		config, err := plane.Admin()
		if err != nil {
			return nil, err
		}
		config.QPS = -1
		return config, installCRDs(ctx, config, crds)
	}
	return nil, last
}

func startPlane(ctx context.Context, programs string) (*controlplane.ControlPlane, error) {
	dir, err := os.MkdirTemp("", "wasmesh-envtest-")
	if err != nil {
		return nil, fmt.Errorf("make directory: %w", err)
	}
	pipe, err := removeAtEnd(dir)
	if err != nil {
		return nil, err
	}
	server.held = append(server.held, pipe)
	return controlplane.Start(ctx, controlplane.Config{
		Programs: programs, Dir: dir, Address: controlplane.Loopback(), Services: controlplane.Services(),
		Flags: []string{
			// Nothing would make the account that the plugin asks of every pod.
			"--disable-admission-plugins=ServiceAccount",
			// Loopback is no address that an Endpoints object may have.
			"--endpoint-reconciler-type=none",
		},
	})
}
