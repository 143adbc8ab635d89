package servingruntime

import (
	"cmp"
	"maps"
	"reflect"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/wasmesh/wasmesh/controller/config"
	"github.com/wasmesh/wasmesh/controller/decide"
	"github.com/wasmesh/wasmesh/controller/reconcile"
	"github.com/wasmesh/wasmesh/controller/resolve"
	"github.com/wasmesh/wasmesh/controller/resources"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// declared (pure) is one look at everything that the Loop and the source say: what of it concerns each mesh. It is never
// changed.
type declared struct {
	config config.Config
	// meshes are the namespaces that have one, with the names of their runtimes, sorted. The faulty ones are among them, the
	// disabled ones and those of KServe are not.
	meshes map[string][]string
	// runtimes by mesh and name.
	runtimes map[types.NamespacedName]meshRuntime
	// objects and resolved are what it was made of.
	objects  decide.Objects
	resolved []resolve.Runtime
}

// meshRuntime is one ServingRuntime or ClusterServingRuntime as one mesh has it.
type meshRuntime struct {
	resources.Runtime
	// object is what it was made of: as long as it is the same, so is the runtime.
	object any
	// key of that object.
	key decide.Key
	// faulty: it cannot run. The Loop tells why, in an Event.
	faulty bool
	want
}

// want is what models and requests want of a runtime.
type want struct {
	// needed by a model, waited for by a request.
	needed, waited bool
	// models that would be placed on it first, by id, sorted.
	models []string
	// held are all models that it may hold, by id; nil unless models may name any claim.
	held []*syncv1.Model
}

func (w want) equal(other want) bool {
	return w.needed == other.needed && w.waited == other.waited && slices.Equal(w.models, other.models) &&
		// Of equal ids are equal specs.
		slices.EqualFunc(w.held, other.held, func(a, b *syncv1.Model) bool { return a.GetId() == b.GetId() })
}

// newDeclared reads a View and the rows that went with it.
func newDeclared(view *reconcile.View, rows []*syncv1.Row, meshes []string, c config.Config) *declared {
	all := runtimesOf(view.Objects)
	resolved := make([]resolve.Runtime, len(all))
	for i, r := range all {
		resolved[i] = r.resolved()
		all[i].faulty = isFaulty(resolved[i])
	}
	d := &declared{
		config: c, meshes: map[string][]string{}, runtimes: map[types.NamespacedName]meshRuntime{},
		objects: view.Objects, resolved: resolved,
	}
	for _, mesh := range meshes {
		d.meshes[mesh] = nil
		for _, r := range resolve.Visible(mesh, resolved) {
			if !r.Usable() {
				continue
			}
			d.meshes[mesh] = append(d.meshes[mesh], r.Name)
			at := slices.IndexFunc(all, func(o meshRuntime) bool { return o.Spec == r.Spec })
			d.runtimes[types.NamespacedName{Namespace: mesh, Name: r.Name}] = all[at]
		}
	}
	d.addWants(view, rows)
	return d
}

func runtimesOf(objects decide.Objects) []meshRuntime {
	var all []meshRuntime
	for _, o := range objects.ServingRuntimes {
		if o != nil {
			all = append(all, runtimeOf(o, v1alpha1.KindServingRuntime, o.ObjectMeta, &o.Spec))
		}
	}
	for _, o := range objects.ClusterServingRuntimes {
		if o != nil {
			all = append(all, runtimeOf(o, v1alpha1.KindClusterServingRuntime, o.ObjectMeta, &o.Spec))
		}
	}
	return all
}

func runtimeOf(object any, kind string, meta metav1.ObjectMeta, spec *v1alpha1.ServingRuntimeSpec) meshRuntime {
	controls := true
	return meshRuntime{
		object: object,
		key:    decide.Key{Namespace: meta.Namespace, Kind: kind, Name: meta.Name},
		Runtime: resources.Runtime{
			Name: meta.Name, Spec: spec, Annotations: meta.Annotations,
			// Without blockOwnerDeletion, for which the API server may ask a right to the owner's finalizers.
			Owner: metav1.OwnerReference{
				APIVersion: v1alpha1.GroupVersion.String(), Kind: kind, Name: meta.Name, UID: meta.UID, Controller: &controls,
			},
		},
	}
}

func (r meshRuntime) resolved() resolve.Runtime {
	return resolve.Runtime{Namespace: r.key.Namespace, Name: r.Name, Annotations: r.Annotations, Spec: r.Spec}
}

// addWants tells each runtime what is wanted of it.
func (d *declared) addWants(view *reconcile.View, rows []*syncv1.Row) {
	change := func(namespace, name string, f func(*want)) {
		key := types.NamespacedName{Namespace: namespace, Name: name}
		if r, found := d.runtimes[key]; found {
			f(&r.want)
			d.runtimes[key] = r
		}
	}
	for _, plan := range view.Plan {
		change(plan.GetNamespace(), plan.GetName(), func(w *want) { w.needed = plan.GetNeeded() })
	}
	for _, key := range view.Waited {
		change(key.Namespace, key.Name, func(w *want) { w.waited = true })
	}
	for _, row := range rows {
		m := row.GetModel()
		for i, name := range m.GetRuntimes() {
			change(m.GetNamespace(), name, func(w *want) {
				if i == 0 {
					w.models = append(w.models, m.GetId())
				}
				if d.config.AllowAnyPVC {
					w.held = append(w.held, m)
				}
			})
		}
	}
	for key, r := range d.runtimes {
		slices.Sort(r.models)
		slices.SortFunc(r.held, func(a, b *syncv1.Model) int { return cmp.Compare(a.GetId(), b.GetId()) })
		d.runtimes[key] = r
	}
}

// changedSince answers what is declared otherwise than before, which is nil for nothing: runtimes by mesh and name, and
// meshes. Those that are gone are among them.
func (d *declared) changedSince(before *declared) (runtimes []types.NamespacedName, meshes []string) {
	if before == nil {
		before = &declared{}
	}
	everything := !reflect.DeepEqual(d.config, before.config)
	for key, r := range d.runtimes {
		old, known := before.runtimes[key]
		if everything || !known || old.object != r.object || !old.want.equal(r.want) {
			runtimes = append(runtimes, key)
		}
	}
	for key := range maps.Keys(before.runtimes) {
		if _, still := d.runtimes[key]; !still {
			runtimes = append(runtimes, key)
		}
	}
	for mesh, names := range d.meshes {
		old, known := before.meshes[mesh]
		if everything || !known || !slices.Equal(old, names) || !slices.Equal(before.faulty(mesh), d.faulty(mesh)) {
			meshes = append(meshes, mesh)
		}
	}
	for mesh := range maps.Keys(before.meshes) {
		if _, still := d.meshes[mesh]; !still {
			meshes = append(meshes, mesh)
		}
	}
	return runtimes, meshes
}

// sameMesh says that both declare the same of a mesh, but for what its runtimes are like.
func (d *declared) sameMesh(other *declared, mesh string) bool {
	names, is := d.meshes[mesh]
	others, was := other.meshes[mesh]
	return is == was && slices.Equal(names, others) && slices.Equal(d.faulty(mesh), other.faulty(mesh)) &&
		reflect.DeepEqual(d.config, other.config)
}

// faulty answers which runtimes of a mesh are.
func (d *declared) faulty(mesh string) (names []string) {
	for _, key := range d.of(mesh) {
		if d.runtimes[key].faulty {
			names = append(names, key.Name)
		}
	}
	return names
}

// of answers the runtimes of one mesh; of an unknown one none.
func (d *declared) of(mesh string) []types.NamespacedName {
	names := d.meshes[mesh]
	keys := make([]types.NamespacedName, len(names))
	for i, name := range names {
		keys[i] = types.NamespacedName{Namespace: mesh, Name: name}
	}
	return keys
}
