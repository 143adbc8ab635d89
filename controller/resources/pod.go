package resources

import (
	"cmp"
	"path"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/wasmesh/wasmesh/controller/resolve"
)

// How long a pod takes to go: its host hands copies over, serves on while clients find other hosts, and finishes what is in
// flight. The hosts are told the first two.
const (
	handoverTimeout = 2 * time.Minute
	drainGrace      = 40 * time.Second
	finishTime      = 30 * time.Second
)

// hostUser is the user and group of the host's image. The group owns the files that host and runtime share.
const hostUser = 65532

// base is the part of a pod's spec that no runtime changes.
func (p *pod) base() corev1.PodSpec {
	return corev1.PodSpec{
		// A pod without one may have no token.
		ServiceAccountName:            cmp.Or(p.mesh.Config.ServiceAccountName, "default"),
		TerminationGracePeriodSeconds: ptr(int64((handoverTimeout + drainGrace + finishTime) / time.Second)),
		SecurityContext: &corev1.PodSecurityContext{
			FSGroup:             ptr[int64](hostUser),
			FSGroupChangePolicy: ptr(corev1.FSGroupChangeOnRootMismatch),
			SeccompProfile:      &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
	}
}

// runtimeContainer is a container of the runtime with what the mesh adds: the models, the claims and the sockets, and that
// it outlives the host's drain.
func (p *pod) runtimeContainer(given *corev1.Container) corev1.Container {
	c := *given.DeepCopy()
	mounts := p.runtimeMounts()
	for _, m := range c.VolumeMounts {
		if m.Name == volumeModels {
			m.ReadOnly = m.ReadOnly || !p.models.Writable
			if path.Clean(m.MountPath) == resolve.ModelsPath {
				mounts[0] = m
				continue
			}
		}
		mounts = append(mounts, m)
	}
	c.VolumeMounts = mounts
	c.Env, c.Ports = lastOfEach(c.Env), onceEach(c.Ports)
	if c.SecurityContext == nil {
		c.SecurityContext = &corev1.SecurityContext{
			AllowPrivilegeEscalation: ptr(false),
			Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		}
	}
	c.Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{
		HTTPGet: &corev1.HTTPGetAction{Path: "/prestop", Port: intstr.FromInt32(portPrestop), Scheme: corev1.URISchemeHTTP},
	}}
	return c
}

// lastOfEach leaves out variables that a later one of their name hides, as the kubelet does: server-side apply takes each
// name once.
func lastOfEach(env []corev1.EnvVar) (left []corev1.EnvVar) {
	for i, v := range env {
		if !slices.ContainsFunc(env[i+1:], func(later corev1.EnvVar) bool { return later.Name == v.Name }) {
			left = append(left, v)
		}
	}
	return left
}

// onceEach leaves out ports that were listed before, for the same reason. Those that say something else of a port were
// refused by resolve.ValidateRuntime.
func onceEach(ports []corev1.ContainerPort) (left []corev1.ContainerPort) {
	for i, p := range ports {
		if !slices.ContainsFunc(ports[:i], func(earlier corev1.ContainerPort) bool { return resolve.EqualPort(earlier, p) }) {
			left = append(left, p)
		}
	}
	return left
}

// architectures are those of the host's image.
func architectures() corev1.NodeSelectorRequirement {
	return corev1.NodeSelectorRequirement{
		Key: corev1.LabelArchStable, Operator: corev1.NodeSelectorOpIn, Values: []string{"amd64", "arm64"},
	}
}

// affinity adds the architectures to what the runtime asks for, in place. Terms are alternatives, so each gets them.
func affinity(a *corev1.Affinity) *corev1.Affinity {
	if a == nil {
		a = &corev1.Affinity{}
	}
	if a.NodeAffinity == nil {
		a.NodeAffinity = &corev1.NodeAffinity{}
	}
	required := a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution
	if required == nil {
		required = &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{}}}
		a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution = required
	} else {
		required.NodeSelectorTerms = nonEmpty(required.NodeSelectorTerms)
	}
	for i := range required.NodeSelectorTerms {
		term := &required.NodeSelectorTerms[i]
		term.MatchExpressions = append(term.MatchExpressions, architectures())
	}
	return a
}

// nonEmpty leaves out terms without a requirement, which match no node and would match some with one.
func nonEmpty(terms []corev1.NodeSelectorTerm) (left []corev1.NodeSelectorTerm) {
	for _, term := range terms {
		if len(term.MatchExpressions)+len(term.MatchFields) > 0 {
			left = append(left, term)
		}
	}
	return left
}
