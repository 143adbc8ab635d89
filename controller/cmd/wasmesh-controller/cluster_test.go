package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wasmesh/wasmesh/controller/cluster"
	"github.com/wasmesh/wasmesh/controller/source/kubernetes"
)

const kubeconfig = `
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
`

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// What ModelMesh's Deployment says in the environment counts, and flags say otherwise.
func TestClusterOptions(t *testing.T) {
	environment := map[string]string{
		"NAMESPACE": "mesh", "NAMESPACE_SCOPE": "true", "POD_NAME": "controller-0", "ENABLE_ISVC_WATCH": "false", "ENABLE_CSR_WATCH": "true",
	}
	for name, test := range map[string]struct {
		args []string
		want func(cluster.Config) bool
	}{
		"environment": {nil, func(c cluster.Config) bool {
			return c.Namespace == "mesh" && c.NamespaceScope && c.PodName == "controller-0" && c.Deployment == "wasmesh-controller" &&
				c.Wishes == kubernetes.Wishes{
					InferenceServices: kubernetes.WatchNever, ClusterServingRuntimes: kubernetes.WatchAlways, NamespaceScope: true,
				} && string(c.Defaults) == "a: b" && c.AdminAddress == "127.0.0.1:11882" && c.LeaderElect
		}},
		"flags": {[]string{"--namespace=other", "--namespace-scope=false", "--leader-elect=false", "--legacy-predictors"},
			func(c cluster.Config) bool {
				return c.Namespace == "other" && !c.NamespaceScope && !c.LeaderElect && c.Wishes.LegacyPredictors
			}},
	} {
		t.Run(name, func(t *testing.T) {
			var got cluster.Config
			command := newClusterCommand(io.Discard, func(name string) string { return environment[name] },
				func(c cluster.Config) error { got = c; return nil })
			command.SetArgs(append(test.args, "--host-image=i", "--kubeconfig", write(t, "kubeconfig", kubeconfig),
				"--config-defaults", write(t, "defaults", "a: b")))
			if err := command.ExecuteContext(t.Context()); err != nil {
				t.Fatal(err)
			}
			if !test.want(got) {
				t.Errorf("config %+v", got)
			}
		})
	}
}

func TestClusterRefuses(t *testing.T) {
	t.Setenv("NAMESPACE", "")
	file := write(t, "kubeconfig", kubeconfig)
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"no image":     {[]string{"--namespace=n", "--kubeconfig", file}, "--host-image"},
		"no namespace": {[]string{"--host-image=i", "--kubeconfig", file}, "--namespace"},
		"no cluster":   {[]string{"--host-image=i", "--namespace=n"}, "find the API server"},
		"log level":    {[]string{"--host-image=i", "--namespace=n", "--log-level=loud"}, "--log-level"},
		"defaults":     {[]string{"--host-image=i", "--namespace=n", "--config-defaults", t.TempDir()}, "--config-defaults"},
	} {
		t.Run(name, func(t *testing.T) {
			err := run(t.Context(), append([]string{"cluster"}, test.args...), strings.NewReader(""), io.Discard)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}
