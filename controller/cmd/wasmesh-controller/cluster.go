package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	controllerlog "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/wasmesh/wasmesh/controller/cluster"
	"github.com/wasmesh/wasmesh/controller/identity"
	"github.com/wasmesh/wasmesh/controller/source/kubernetes"
)

// namespaceFile is where a pod finds its namespace.
const namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// clusterOptions are what of the command line is not as it is in cluster.Config.
type clusterOptions struct {
	options
	kubeconfig, defaults string
}

// newClusterCommand takes its defaults from the environment, as ModelMesh's controller does, and has start run what was
// asked for until the command's context ends.
func newClusterCommand(stderr io.Writer, getenv func(string) string, start func(cluster.Config) error) *cobra.Command {
	var config cluster.Config
	var opts clusterOptions
	command := &cobra.Command{
		Use:   "cluster",
		Short: "Decide what the mesh holds, from the objects of a Kubernetes cluster and the reports of the hosts",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := opts.complete(&config, stderr, getenv); err != nil {
				return err
			}
			return start(config)
		},
	}
	scoped, scopedErr := strconv.ParseBool(orFalse(getenv("NAMESPACE_SCOPE")))
	if scopedErr != nil {
		command.PreRunE = func(*cobra.Command, []string) error { return fmt.Errorf("environment NAMESPACE_SCOPE: %w", scopedErr) }
	}
	flags := command.Flags()
	flags.StringVar(&config.Namespace, "namespace", getenv("NAMESPACE"), "the controller's own (default $NAMESPACE, else that of the pod)")
	flags.BoolVar(&config.NamespaceScope, "namespace-scope", scoped, "that namespace is the only mesh (default $NAMESPACE_SCOPE)")
	flags.BoolVar(&config.LeaderElect, "leader-elect", true, "let several replicas run, of which one decides")
	flags.StringVar(&config.HostImage, "host-image", "", "the image of the hosts' containers")
	flags.StringVar(&config.SyncAddress, "sync-address", ":11884", "where hosts connect")
	flags.StringVar(&config.AdminAddress, "admin-address", "127.0.0.1:11882", "where operators' tools connect, who are trusted: loopback only")
	flags.StringVar(&config.MetricsAddress, "metrics-address", ":8080", `for Prometheus; "0" for none`)
	flags.StringVar(&config.HealthAddress, "health-address", ":8081", `for /healthz and /readyz; "0" for none`)
	flags.StringVar(&config.ConfigMap, "config-map", "model-serving-config", "the ConfigMap with the configuration")
	flags.StringVar(&opts.defaults, "config-defaults", "/etc/model-serving/config/default/config-defaults.yaml",
		"the file that the configuration stands over; it may be absent")
	flags.BoolVar(&config.Wishes.LegacyPredictors, "legacy-predictors", false,
		"serve Predictors of wmlserving.ai.ibm.com/v1 as well, if the cluster has them")
	flags.StringVar(&config.CacheDir, "cache-dir", "", "where machine code of policies is kept; nobody else may write there")
	opts.logs.Bind(flags)
	flags.StringVar(&opts.kubeconfig, "kubeconfig", "", "how to reach the API server (default: as a pod does)")
	return command
}

func orFalse(text string) string {
	if text == "" {
		return "false"
	}
	return text
}

// complete fills in what flags do not say.
func (o clusterOptions) complete(config *cluster.Config, stderr io.Writer, getenv func(string) string) (err error) {
	if config.Logger, err = o.logs.Logger(stderr); err != nil {
		return err
	}
	if config.HostImage == "" {
		return errors.New("flag --host-image is required: the image of the hosts' containers")
	}
	if config.Namespace == "" {
		namespace, err := os.ReadFile(namespaceFile)
		if err != nil {
			return fmt.Errorf("flag --namespace: it is not given, and this is no pod: %w", err)
		}
		config.Namespace = strings.TrimSpace(string(namespace))
	}
	if config.Defaults, err = os.ReadFile(filepath.Clean(o.defaults)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("flag --config-defaults: %w", err)
	}
	config.PodName = getenv("POD_NAME")
	config.Deployment = getenv("CONTROLLER_DEPLOYMENT")
	if config.Deployment == "" {
		config.Deployment = identity.DefaultService // Both have the program's name.
	}
	config.Wishes.NamespaceScope = config.NamespaceScope
	config.Wishes.InferenceServices = kubernetes.Wish(getenv("ENABLE_ISVC_WATCH"))
	config.Wishes.ClusterServingRuntimes = kubernetes.Wish(getenv("ENABLE_CSR_WATCH"))
	if config.REST, err = apiServer(o.kubeconfig); err != nil {
		return fmt.Errorf("find the API server: %w", err)
	}
	return nil
}

func apiServer(kubeconfig string) (*rest.Config, error) {
	if kubeconfig == "" {
		return rest.InClusterConfig()
	}
	return clientcmd.BuildConfigFromFlags("", kubeconfig)
}

// logEverything has the libraries, whose loggers are the process's, log where we do.
func logEverything(logger *slog.Logger) {
	sink := logr.FromSlogHandler(logger.Handler())
	klog.SetLogger(sink)
	controllerlog.SetLogger(sink)
}
