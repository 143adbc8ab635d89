// Package cluster is a mesh in Kubernetes as the command line reaches it: with a person's kubeconfig, and with no more
// rights than that person has. Objects and Events are the API server's; what only the mesh knows (models, hosts, policies,
// decisions) is asked of the controller through a port-forward, and requests go to a pod of the mesh through another.
//
// Nothing is cached and nothing listens on this machine. Connections are made when they are first needed, so that what
// needs only the API server needs no port-forward. Errors that a person can do something about are of type *Error.
package cluster

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Config says which cluster, as kubectl's flags of the same names do. Everything may be empty.
type Config struct {
	Kubeconfig, Context string
	// ControllerNamespace is looked into for the controller; empty looks everywhere.
	ControllerNamespace string
	// UserAgent of requests, "wasmesh/<version>".
	UserAgent string
}

// Cluster is one.
type Cluster struct {
	config    Config
	rest      *rest.Config
	objects   dynamic.Interface
	namespace string
}

// Open reads the kubeconfig; it does not connect.
func Open(config Config) (*Cluster, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules() // $KUBECONFIG, ~/.kube/config, or the ServiceAccount's in a pod
	rules.ExplicitPath = config.Kubeconfig
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: config.Context})
	restConfig, err := loader.ClientConfig()
	if err != nil {
		return nil, noConfig(err)
	}
	namespace, _, err := loader.Namespace()
	if err != nil {
		return nil, noConfig(err)
	}
	restConfig.UserAgent = config.UserAgent
	// A command makes some requests at once and then ends: throttling would only be felt.
	restConfig.QPS, restConfig.Burst = 50, 100
	objects, err := dynamic.NewForConfig(restConfig)
	if err != nil {
		return nil, noConfig(err)
	}
	return &Cluster{config: config, rest: restConfig, objects: objects, namespace: namespace}, nil
}

func noConfig(err error) error {
	advice := "`kubectl config current-context` should name the cluster; choose another with --kubeconfig or --context"
	if clientcmd.IsEmptyConfig(err) {
		return &Error{NoConfig, "there is no kubeconfig: " + advice, err}
	}
	return &Error{NoConfig, fmt.Sprintf("the kubeconfig cannot be used: %v; %s", err, advice), err}
}

// Namespace of the context, "default" when it names none.
func (c *Cluster) Namespace() string { return c.namespace }

// Host is the API server's address, for messages.
func (c *Cluster) Host() string { return c.rest.Host }

// Resources of the API that are read.
var (
	namespaces = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	pods       = schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	services   = schema.GroupVersionResource{Version: "v1", Resource: "services"}
	configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	events     = schema.GroupVersionResource{Version: "v1", Resource: "events"}
)

// in answers the objects of a resource, of all namespaces when that is empty.
func (c *Cluster) in(resource schema.GroupVersionResource, namespace string) dynamic.ResourceInterface {
	if namespace == "" {
		return c.objects.Resource(resource)
	}
	return c.objects.Resource(resource).Namespace(namespace)
}

// list reads typed objects.
func list[T any](ctx context.Context, c *Cluster, resource schema.GroupVersionResource, namespace string, options metav1.ListOptions) ([]T, error) {
	found, err := c.in(resource, namespace).List(ctx, options)
	if err != nil {
		return nil, c.explain(err, "list", resource, namespace)
	}
	items := make([]T, 0, len(found.Items))
	for i := range found.Items {
		var item T
		if err := typed(&found.Items[i], &item); err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	return items, nil
}

func typed(o *unstructured.Unstructured, to any) error {
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, to); err != nil {
		return fmt.Errorf("read %s %s: %w", o.GetKind(), o.GetName(), err)
	}
	return nil
}

// explain says what to do about what the API server, or the way to it, answers.
func (c *Cluster) explain(err error, verb string, resource schema.GroupVersionResource, namespace string) error {
	what := resource.Resource
	if resource.Group != "" {
		what += "." + resource.Group
	}
	where, flag := " in all namespaces", " --all-namespaces"
	if namespace != "" {
		where, flag = " in namespace "+namespace, " -n "+namespace
	}
	var status apierrors.APIStatus
	isStatus := errors.As(err, &status)
	switch {
	case apierrors.IsForbidden(err):
		return &Error{Forbidden, fmt.Sprintf("you may not %s %s%s (`kubectl auth can-i %[1]s %[2]s%[4]s` says so): ask who runs the cluster for it",
			verb, what, where, flag), err}
	case apierrors.IsUnauthorized(err):
		return &Error{Forbidden, fmt.Sprintf("the API server %s does not know you: log in again, or choose another --context", c.Host()), err}
	case apierrors.IsNotFound(err) && resource.Group != "" && isStatus && aboutKind(status.Status()):
		return &Error{NotInstalled, fmt.Sprintf("the cluster does not know %s: install the chart, whose CRDs have them", what), err}
	case isStatus:
		return fmt.Errorf("%s %s%s: %w", verb, what, where, err)
	case errors.Is(err, context.Canceled):
		return err
	}
	return &Error{Unreachable, fmt.Sprintf("the API server %s does not answer: %v; `kubectl version` should, or choose another --kubeconfig or --context",
		c.Host(), err), err}
}

// aboutKind says that a Status is about a kind that is not there, not about an object.
func aboutKind(status metav1.Status) bool { return status.Details == nil || status.Details.Name == "" }
