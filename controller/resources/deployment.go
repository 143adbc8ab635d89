package resources

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/wasmesh/wasmesh/controller/resolve"
	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
)

// Deployment makes the runtime's pods: the runtime's own containers and the host. Replicas nil leaves their number to an
// autoscaler. The error says what the owner of the runtime or of the settings has to do; the runtime must have passed
// resolve.ValidateRuntime.
func Deployment(m Mesh, r Runtime, replicas *int32) (*appsv1.Deployment, error) {
	p, err := newPod(m, r)
	if err != nil {
		return nil, fmt.Errorf("make the Deployment of runtime %s: %w", r.Name, err)
	}
	spec := p.base()
	for i := range r.Spec.Containers {
		spec.Containers = append(spec.Containers, p.runtimeContainer(&r.Spec.Containers[i]))
	}
	// The host comes last, as ModelMesh's did: it starts when the images of the others are there.
	spec.Containers = append(spec.Containers, p.hostContainer())
	spec.Volumes = append(spec.Volumes, p.volumes()...)
	given := r.Spec.ServingRuntimePodSpec.DeepCopy()
	spec.NodeSelector = given.NodeSelector
	spec.Tolerations = given.Tolerations
	spec.Affinity = affinity(given.Affinity)
	spec.ImagePullSecrets = pullSecrets(m.Config.ImagePullSecrets, given.ImagePullSecrets)
	d := p.deployment(spec)
	d.Spec.Replicas = replicas
	d.OwnerReferences = m.object("", nil, r.Owner).OwnerReferences
	d.Spec.Template.Labels = union(d.Spec.Template.Labels, m.Config.RuntimePodLabels, r.Spec.Labels, m.selector(p.name))
	d.Spec.Template.Annotations = union(m.scrape(), m.Config.RuntimePodAnnotations, r.Spec.Annotations)
	return d, nil
}

// Gateway makes the host without a runtime that waits behind the Service for requests to runtimes that have no pods; nil
// unless scaleToZero.onIdle is set.
func Gateway(m Mesh) (*appsv1.Deployment, error) {
	if !m.Config.ScaleToZero.OnIdle {
		return nil, nil
	}
	if err := m.TLSProblem(); err != nil {
		return nil, fmt.Errorf("make the Deployment of the gateway: %w", err)
	}
	p := &pod{mesh: m, name: GatewayName(m)}
	spec := p.base()
	spec.Containers = []corev1.Container{p.hostContainer()}
	spec.Volumes = p.volumes()
	spec.Affinity = affinity(nil)
	spec.ImagePullSecrets = pullSecrets(m.Config.ImagePullSecrets)
	d := p.deployment(spec)
	d.Spec.Replicas = ptr[int32](1)
	// One that is replaced goes after the other is there.
	d.Spec.Strategy.RollingUpdate = rolling("1", "0")
	d.OwnerReferences = m.object("", nil, m.Owner).OwnerReferences
	d.Spec.Template.Labels = union(d.Spec.Template.Labels, m.Config.RuntimePodLabels, m.selector(p.name))
	d.Spec.Template.Annotations = union(m.scrape(), m.Config.RuntimePodAnnotations)
	return d, nil
}

// pod is what the parts of one are made of.
type pod struct {
	mesh Mesh
	// name of the Deployment.
	name string
	// gateway: the rest is zero.
	runtime          *Runtime
	plan             *adminv1.RuntimePlan
	management, data resolve.Endpoint
	models           resolve.ModelDir
	// sockets is the directory of the runtime's sockets, or empty.
	sockets string
}

func newPod(m Mesh, r Runtime) (*pod, error) {
	p := &pod{mesh: m, name: DeploymentName(m, r.Name), runtime: &r, sockets: resolve.SocketDirectory(r.Spec)}
	var errs [4]error
	p.plan, errs[0] = resolve.RuntimePlan(m.Namespace, r.resolved(m.Namespace))
	p.management, p.data, errs[1] = resolve.Endpoints(r.Spec)
	p.models, errs[2] = resolve.ReadModelDir(r.resolved(m.Namespace))
	errs[3] = p.problems()
	return p, errors.Join(errs[:]...)
}

// problems are those that only show beside the settings of the mesh.
func (p *pod) problems() error {
	m, r := p.mesh, p.runtime
	errs := []error{m.TLSProblem()}
	if problems := validation.IsValidLabelValue(p.name); len(problems) > 0 {
		errs = append(errs, fmt.Errorf("its name makes %q, which is no value of a label: use a name of at most %d characters",
			p.name, validation.LabelValueMaxLength-len(p.name)+len(r.Name)))
	}
	if r.Name == gatewayRuntime && m.Config.ScaleToZero.OnIdle {
		errs = append(errs, errors.New("its name is that of the gateway, which scaleToZero.onIdle needs: use another name"))
	}
	if a := r.Spec.BuiltInAdapter; a != nil && !slices.Contains(m.Config.BuiltInServerTypes, a.ServerType) {
		errs = append(errs, fmt.Errorf("builtInAdapter.serverType %s is not among the builtInServerTypes of model-serving-config, which are %s",
			a.ServerType, strings.Join(m.Config.BuiltInServerTypes, ", ")))
	}
	for _, used := range p.ports() {
		for _, port := range m.Config.Ports() {
			if used == port.Port {
				errs = append(errs, fmt.Errorf("port %d is also that of %s, at which the host listens: use another", used, port.For))
			}
		}
	}
	return errors.Join(errs...)
}

// ports at which the runtime listens, as far as it says.
func (p *pod) ports() []int32 {
	ports := []int32{int32(p.management.Port), int32(p.data.Port)}
	for _, c := range p.runtime.Spec.Containers {
		for _, port := range c.Ports {
			ports = append(ports, port.ContainerPort)
		}
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}

// deployment wraps a pod's spec.
func (p *pod) deployment(spec corev1.PodSpec) *appsv1.Deployment {
	m := p.mesh
	return &appsv1.Deployment{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: m.object(p.name, union(m.labels(), m.selector(p.name)), metav1.OwnerReference{}),
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: m.selector(p.name)},
			Strategy: appsv1.DeploymentStrategy{
				Type: appsv1.RollingUpdateDeploymentStrategyType,
				// ModelMesh's: most of the new pods come before the old ones go, which hand their models over to them.
				RollingUpdate: rolling("75%", "15%"),
			},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: m.labels()}, Spec: spec},
		},
	}
}

func rolling(surge, unavailable string) *appsv1.RollingUpdateDeployment {
	return &appsv1.RollingUpdateDeployment{MaxSurge: ptr(intstr.Parse(surge)), MaxUnavailable: ptr(intstr.Parse(unavailable))}
}

// scrape tells a Prometheus that looks at annotations where the metrics are.
func (m Mesh) scrape() map[string]string {
	if !m.Config.Metrics.Enabled {
		return nil
	}
	return map[string]string{
		"prometheus.io/path":   "/metrics",
		"prometheus.io/port":   fmt.Sprint(m.Config.Metrics.Port),
		"prometheus.io/scheme": "http",
		"prometheus.io/scrape": "true",
	}
}

// pullSecrets merges lists; each name once.
func pullSecrets(lists ...[]corev1.LocalObjectReference) (merged []corev1.LocalObjectReference) {
	for _, list := range lists {
		for _, secret := range list {
			if !slices.Contains(merged, secret) {
				merged = append(merged, secret)
			}
		}
	}
	return merged
}

func ptr[T any](v T) *T { return &v }
