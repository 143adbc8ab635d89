package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/portforward"
)

// controllerLabels are what the chart puts on the controller's pods.
const controllerLabels = "app.kubernetes.io/name=wasmesh,app.kubernetes.io/component=controller"

// adminPort is where the controller listens for tools, on its loopback: who may forward a port may ask.
const adminPort = 11882

// controller finds a pod of the controller that is ready. Of several only the leader listens, and no pod says that it is
// the one: each attempt, counted from 0, is given the next.
func (c *Cluster) controller(ctx context.Context, attempt int) (portforward.Pod, error) {
	namespace := c.config.ControllerNamespace
	options := metav1.ListOptions{LabelSelector: controllerLabels}
	found, err := list[corev1.Pod](ctx, c, pods, namespace, options)
	narrowed := false
	if problem, ok := errors.AsType[*Error](err); ok && problem.Problem == Forbidden && namespace == "" {
		namespace, narrowed = c.namespace, true
		found, err = list[corev1.Pod](ctx, c, pods, namespace, options)
	}
	if err != nil {
		return portforward.Pod{}, err
	}
	found = slices.DeleteFunc(found, over)
	able := slices.DeleteFunc(slices.Clone(found), func(p corev1.Pod) bool { return !ready(&p) })
	if len(able) == 0 {
		return portforward.Pod{}, noController(found, namespace, narrowed)
	}
	able, err = c.ofOneNamespace(able)
	if err != nil {
		return portforward.Pod{}, err
	}
	chosen := able[attempt%len(able)]
	return portforward.Pod{Namespace: chosen.Namespace, Name: chosen.Name, Port: adminPort}, nil
}

func noController(found []corev1.Pod, namespace string, narrowed bool) error {
	if len(found) > 0 {
		return &Error{NoController, fmt.Sprintf("the controller (pod %s/%s) is not ready: `kubectl describe pod %[2]s -n %[1]s` says why",
			found[0].Namespace, found[0].Name), nil}
	}
	switch {
	case narrowed:
		return &Error{NoController, fmt.Sprintf("there is no controller in namespace %s, and you may not look for one in others: name its namespace with --controller-namespace",
			namespace), nil}
	case namespace != "":
		return &Error{NoController, fmt.Sprintf("there is no controller in namespace %s: no pod there has the labels %s; name another with --controller-namespace",
			namespace, controllerLabels), nil}
	}
	return &Error{NoController, "there is no controller in this cluster: install the chart, or choose another --context", nil}
}

// ofOneNamespace chooses the controllers of the present namespace, or of the only one that has any; there is one at least.
func (c *Cluster) ofOneNamespace(able []corev1.Pod) ([]corev1.Pod, error) {
	here := slices.DeleteFunc(slices.Clone(able), func(p corev1.Pod) bool { return p.Namespace != c.namespace })
	if len(here) > 0 {
		return here, nil
	}
	var namespaces []string
	for _, p := range able {
		if !slices.Contains(namespaces, p.Namespace) {
			namespaces = append(namespaces, p.Namespace)
		}
	}
	if len(namespaces) == 1 {
		return able, nil
	}
	return nil, &Error{NoController, fmt.Sprintf("there are controllers in the namespaces %s: choose one with --controller-namespace",
		strings.Join(namespaces, ", ")), nil}
}

// over says that a pod has ended or is about to: it is left of a controller that was, and none that is not ready yet.
func over(p corev1.Pod) bool {
	return p.DeletionTimestamp != nil || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

// ready says that a pod takes requests and stays.
func ready(p *corev1.Pod) bool {
	return p.DeletionTimestamp == nil && slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// dial opens a connection into a pod.
func (c *Cluster) dial(ctx context.Context, pod portforward.Pod) (net.Conn, error) {
	conn, err := portforward.Dial(ctx, c.rest, pod)
	if apierrors.IsForbidden(err) {
		return nil, &Error{Forbidden, fmt.Sprintf("you may not forward ports of pods in namespace %s (`kubectl auth can-i create pods/portforward -n %[1]s` says so): "+
			"ask who runs the cluster for the verbs get and create on pods/portforward there", pod.Namespace), err}
	}
	return conn, err
}

// Ports of a mesh's Service, by name.
const (
	PortGRPC = "grpc"
	PortREST = "http"
)

// ServicePod finds a pod behind a Service that is ready, and the port of it that the Service's named port is.
func (c *Cluster) ServicePod(ctx context.Context, namespace, name, port string) (portforward.Pod, error) {
	object, err := c.in(services, namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return portforward.Pod{}, &Error{NoMesh, fmt.Sprintf("namespace %s has no Service %s, so no mesh: `kubectl label namespace %[1]s modelmesh-enabled=true` makes one; another name is said with --service",
			namespace, name), err}
	}
	if err != nil {
		return portforward.Pod{}, c.explain(err, "get", services, namespace)
	}
	var service corev1.Service
	if err := typed(object, &service); err != nil {
		return portforward.Pod{}, err
	}
	at := slices.IndexFunc(service.Spec.Ports, func(p corev1.ServicePort) bool { return p.Name == port })
	if at < 0 || len(service.Spec.Selector) == 0 {
		return portforward.Pod{}, &Error{NoMesh, fmt.Sprintf("Service %s of namespace %s has no port %s: it is not a mesh's, or that port is switched off in model-serving-config",
			name, namespace, port), nil}
	}
	found, err := list[corev1.Pod](ctx, c, pods, namespace, metav1.ListOptions{LabelSelector: labels.SelectorFromSet(service.Spec.Selector).String()})
	if err != nil {
		return portforward.Pod{}, err
	}
	for i := range found {
		if number := portOf(&found[i], service.Spec.Ports[at].TargetPort); number != 0 && ready(&found[i]) {
			return portforward.Pod{Namespace: namespace, Name: found[i].Name, Port: number}, nil
		}
	}
	return portforward.Pod{}, &Error{NoMesh, fmt.Sprintf("no pod behind Service %s of namespace %s is ready: `kubectl get pods -n %[2]s -l modelmesh-service=%[1]s` shows those that start; a runtime has none while no model needs it",
		name, namespace), nil}
}

// portOf is the number of a Service's target port on a pod; 0 when it has none.
func portOf(p *corev1.Pod, target intstr.IntOrString) int32 {
	if target.Type == intstr.Int {
		return target.IntVal
	}
	for _, container := range p.Spec.Containers {
		for _, port := range container.Ports {
			if port.Name == target.StrVal {
				return port.ContainerPort
			}
		}
	}
	return 0
}

// Dial opens a connection to what ServicePod found.
func (c *Cluster) Dial(ctx context.Context, pod portforward.Pod) (net.Conn, error) {
	return c.dial(ctx, pod)
}
