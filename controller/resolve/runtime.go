package resolve

import (
	"cmp"
	"slices"

	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
)

// Runtime is a ServingRuntime or a ClusterServingRuntime: the two differ only in whom they serve.
type Runtime struct {
	// Namespace that it serves; empty: every namespace that has no runtime of the same name.
	Namespace string
	Name      string
	// Annotations of the object.
	Annotations map[string]string
	// Spec is never nil and never changed.
	Spec *v1alpha1.ServingRuntimeSpec
}

// Namespaced makes a Runtime of a ServingRuntime, which it shares.
func Namespaced(r *v1alpha1.ServingRuntime) Runtime {
	return Runtime{Namespace: r.Namespace, Name: r.Name, Annotations: r.Annotations, Spec: &r.Spec}
}

// Clusterwide makes a Runtime of a ClusterServingRuntime, which it shares.
func Clusterwide(r *v1alpha1.ClusterServingRuntime) Runtime {
	return Runtime{Name: r.Name, Annotations: r.Annotations, Spec: &r.Spec}
}

// Usable says that models may be placed on the runtime: it is not disabled, and meant for a mesh.
func (r Runtime) Usable() bool { return !r.Spec.IsDisabled() && r.Spec.IsMultiModel() }

// Visible answers the runtimes that a namespace has, sorted by name: its own, and the cluster's that none of its own
// hides. A disabled runtime hides too: that is how one namespace opts out of a runtime of the cluster.
func Visible(namespace string, runtimes []Runtime) []Runtime {
	byName := make(map[string]Runtime)
	for _, r := range runtimes {
		if r.Namespace == "" {
			byName[r.Name] = r
		}
	}
	for _, r := range runtimes {
		if r.Namespace == namespace && namespace != "" {
			byName[r.Name] = r
		}
	}
	visible := make([]Runtime, 0, len(byName))
	for _, r := range byName {
		visible = append(visible, r)
	}
	slices.SortFunc(visible, func(a, b Runtime) int { return cmp.Compare(a.Name, b.Name) })
	return visible
}
