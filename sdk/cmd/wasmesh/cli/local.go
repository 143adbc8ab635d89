package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"

	"google.golang.org/grpc"

	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/author"
	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/launcher"
	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
)

// local is the mesh that `wasmesh up` runs in a data directory.
type local struct {
	conn    *grpc.ClientConn
	dataDir string
	paths   launcher.Paths
}

func dialLocal(dataDir string) (*client, error) {
	paths, err := launcher.PathsOf(dataDir)
	if err != nil {
		return nil, err
	}
	conn, err := paths.DialAdmin()
	if err != nil {
		return nil, err
	}
	return &client{adminv1.NewAdminServiceClient(conn), &local{conn, dataDir, paths}}, nil
}

func (l *local) close() { _ = l.conn.Close() }

func (*local) defaultNamespace() string { return defaultNamespace }

func (l *local) returns() bool { return l.paths.Running() }

func (l *local) absent() error {
	if l.paths.Running() {
		return fmt.Errorf("the controller of the mesh in %s is being restarted: try again; %s says why",
			l.dataDir, filepath.Join(l.dataDir, "logs", "wasmesh-controller.log"))
	}
	return fmt.Errorf("no mesh runs in %s: start one with `wasmesh up -f PATH`, name its directory with --data-dir, or a cluster with --kube", l.dataDir)
}

// server is the host that can answer best: any takes the request, and one that holds the model does so at once.
func (l *local) server(ctx context.Context, c *client, asked serverQuery) (server, error) {
	var hosts []*host
	err := c.patiently(ctx, func() error {
		able, others, err := c.hostsFor(ctx, asked.namespace, asked.name)
		// A host that cannot hold the model says best what is the matter with it.
		if hosts = append(able, others...); err == nil && len(hosts) == 0 {
			return errNoHost
		}
		return err
	})
	if errors.Is(err, errNoHost) {
		return server{}, fmt.Errorf("no host of namespace %s is connected: see `wasmesh get hosts`, and the logs in %s",
			asked.namespace, filepath.Join(l.dataDir, "logs"))
	}
	if err != nil {
		return server{}, c.explain(err)
	}
	if asked.grpc {
		return server{address: hosts[0].GetHello().GetGrpcAddress()}, nil
	}
	return server{address: hosts[0].GetHello().GetRestAddress()}, nil
}

func (*local) removal(_ *corev1.ConfigMap, where string) string { return "rm " + where }

// obstacles are all in the status here, or in the warnings about files.
func (*local) obstacles(context.Context, reference, string) []string { return nil }

// policyNamespace is the same in every mesh on a machine.
func (*local) policyNamespace(context.Context) (string, error) { return defaultNamespace, nil }

// putPolicy writes NAME.yaml into the first directory that the mesh reads.
func (l *local) putPolicy(_ context.Context, policy *corev1.ConfigMap, content []byte) (where string, changed bool, err error) {
	source, err := l.paths.Source()
	if err != nil {
		return "", false, err
	}
	path := filepath.Join(source, policy.Name+".yaml")
	// The directory is the user's: a file of another content is not ours to replace.
	present, err := readLimited(path, maxObjectBytes)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return "", false, err
	case !author.IsManifest(present, policy.Namespace, policy.Name):
		return "", false, fmt.Errorf("%s holds something else: give the policy another --name, or name a file with -o", path)
	}
	return path, string(present) != string(content), author.WriteWhole(path, content)
}
