package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/cluster"
)

// target says which mesh a command speaks to: that of a data directory on this machine, or that of a cluster.
type target struct {
	dataDir string
	cluster cluster.Config
	// kube asks for a cluster, whichever the kubeconfig names. plugin: so does the program's name.
	kube, plugin bool
	flags        *pflag.FlagSet
}

// pluginName is what kubectl looks for when it is told `kubectl wasmesh`.
const pluginName = "kubectl-wasmesh"

func isPlugin(program string) bool {
	return strings.TrimSuffix(filepath.Base(program), ".exe") == pluginName
}

// Flags that choose a cluster, by the names that kubectl has for them.
const (
	flagDataDir    = "data-dir"
	flagKube       = "kube"
	flagKubeconfig = "kubeconfig"
	flagContext    = "context"
	flagController = "controller-namespace"
)

func (t *target) addFlags(root *cobra.Command) {
	t.flags = root.PersistentFlags()
	t.flags.StringVar(&t.dataDir, flagDataDir, defaultDataDir, "directory of the mesh's state, logs and sockets on this machine")
	t.flags.BoolVar(&t.kube, flagKube, t.plugin, "speak to the mesh of the cluster that the kubeconfig names")
	t.flags.StringVar(&t.cluster.Kubeconfig, flagKubeconfig, "", "kubeconfig of the cluster, as kubectl has it; implies --kube")
	t.flags.StringVar(&t.cluster.Context, flagContext, "", "context of the kubeconfig, as kubectl has it; implies --kube")
	t.flags.StringVar(&t.cluster.ControllerNamespace, flagController, "", "namespace of the controller in the cluster, if it cannot be found; implies --kube")
	t.cluster.UserAgent = "wasmesh/" + version()
}

// inCluster: flags decide, then the program's name.
func (t *target) inCluster() bool {
	for _, name := range []string{flagKubeconfig, flagContext, flagController} {
		if t.flags.Changed(name) {
			return true
		}
	}
	if t.flags.Changed(flagDataDir) && !t.flags.Changed(flagKube) {
		return false
	}
	return t.kube
}

// check refuses flags that contradict each other.
func (t *target) check() error {
	if t.inCluster() && t.flags.Changed(flagDataDir) {
		return fmt.Errorf("--%s names a mesh on this machine, and --%s, --%s, --%s and --%s one in a cluster: leave one or the others out",
			flagDataDir, flagKube, flagKubeconfig, flagContext, flagController)
	}
	return nil
}

// dial never waits; the first call says when nobody is there.
func (t *target) dial() (*client, error) {
	if t.inCluster() {
		return dialCluster(t.cluster)
	}
	return dialLocal(t.dataDir)
}

// fileNamespace is that of a ConfigMap which is written to a file: the one that a cluster's controller reads, if there is one
// to be found.
func (t *target) fileNamespace(ctx context.Context) string {
	if t.inCluster() {
		if client, err := t.dial(); err == nil {
			defer client.close()
			if namespace, err := client.policyNamespace(ctx); err == nil {
				return namespace
			}
		}
	}
	return defaultNamespace
}

// words are how a person calls this program against the same sort of mesh, in messages: "wasmesh" in them is replaced.
func (t *target) words(text string) string {
	switch {
	case t.plugin:
		return strings.ReplaceAll(text, "`wasmesh ", "`kubectl wasmesh ")
	case t.inCluster():
		return strings.ReplaceAll(text, "`wasmesh ", "`wasmesh --kube ")
	}
	return text
}

// wordedError says what another says, in the words of target.words.
type wordedError struct {
	error
	text string
}

func (e wordedError) Error() string { return e.text }
func (e wordedError) Unwrap() error { return e.error }

// addNamespace adds -n to a command that asks for objects.
func addNamespace(flags *pflag.FlagSet, namespace *string) {
	flags.StringVarP(namespace, "namespace", "n", "", "namespace; without it "+defaultNamespace+", in a cluster that of the context")
}
