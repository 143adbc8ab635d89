package servingruntime

import (
	"reflect"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/wasmesh/wasmesh/controller/config"
	"github.com/wasmesh/wasmesh/controller/decide"
	"github.com/wasmesh/wasmesh/controller/reconcile"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

func spec(disabled bool) v1alpha1.ServingRuntimeSpec {
	yes := true
	return v1alpha1.ServingRuntimeSpec{MultiModel: &yes, Disabled: &disabled}
}

func namespaced(namespace, name string, disabled bool) *v1alpha1.ServingRuntime {
	return &v1alpha1.ServingRuntime{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: "1"}, Spec: spec(disabled)}
}

func clusterwide(name string) *v1alpha1.ClusterServingRuntime {
	return &v1alpha1.ClusterServingRuntime{ObjectMeta: metav1.ObjectMeta{Name: name, UID: "2"}, Spec: spec(false)}
}

func row(namespace, id string, runtimes ...string) *syncv1.Row {
	return &syncv1.Row{Value: &syncv1.Row_Model{Model: &syncv1.Model{Namespace: namespace, Id: id, Runtimes: runtimes}}}
}

// Every mesh has the runtimes of the cluster, unless its own hide them; also one that has no models.
func TestRuntimesOfMeshes(t *testing.T) {
	view := &reconcile.View{Objects: decide.Objects{
		ServingRuntimes:        []*v1alpha1.ServingRuntime{namespaced("a", "own", false), namespaced("a", "hidden", true), namespaced("a", "same", false)},
		ClusterServingRuntimes: []*v1alpha1.ClusterServingRuntime{clusterwide("hidden"), clusterwide("same"), clusterwide("shared")},
	}}
	d := newDeclared(view, nil, []string{"a", "b"}, config.Default())
	want := map[string][]string{"a": {"own", "same", "shared"}, "b": {"hidden", "same", "shared"}}
	if !reflect.DeepEqual(d.meshes, want) {
		t.Errorf("%v; want %v", d.meshes, want)
	}
	for mesh, kind := range map[string]string{"a": v1alpha1.KindServingRuntime, "b": v1alpha1.KindClusterServingRuntime} {
		if owner := d.runtimes[types.NamespacedName{Namespace: mesh, Name: "same"}].Owner; owner.Kind != kind || owner.UID == "" {
			t.Errorf("mesh %s: owner %+v; want a %s", mesh, owner, kind)
		}
	}
}

func TestWhatChanges(t *testing.T) {
	runtimes := []*v1alpha1.ServingRuntime{namespaced("ns", "x", false), namespaced("ns", "y", false)}
	edited := []*v1alpha1.ServingRuntime{runtimes[0], namespaced("ns", "y", false)}
	mended := []*v1alpha1.ServingRuntime{runtimes[0], namespaced("ns", "y", false)}
	mended[1].Spec.Containers = []corev1.Container{{
		Name: "c", Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")}},
	}}
	mended[1].Spec.GrpcMultiModelManagementEndpoint = new("port:8085")
	type look struct {
		runtimes []*v1alpha1.ServingRuntime
		needed   bool
		waited   []decide.Key
		rows     []*syncv1.Row
		meshes   []string
		config   func(*config.Config)
	}
	usual := func(change func(*look)) look {
		l := look{runtimes: runtimes, meshes: []string{"ns"}, rows: []*syncv1.Row{row("ns", "m", "x", "y")}}
		change(&l)
		return l
	}
	declare := func(l look) *declared {
		c := config.Default()
		if l.config != nil {
			l.config(&c)
		}
		return newDeclared(&reconcile.View{
			Objects: decide.Objects{ServingRuntimes: l.runtimes}, Waited: l.waited,
			Plan: []*adminv1.RuntimePlan{{Namespace: "ns", Name: "x", Needed: l.needed}},
		}, l.rows, l.meshes, c)
	}
	anyClaim := func(c *config.Config) { c.AllowAnyPVC = true }
	for name, test := range map[string]struct {
		before, after    look
		runtimes, meshes []string
	}{
		"nothing":             {usual(func(*look) {}), usual(func(*look) {}), nil, nil},
		"needed":              {usual(func(*look) {}), usual(func(l *look) { l.needed = true }), []string{"x"}, nil},
		"waited for":          {usual(func(*look) {}), usual(func(l *look) { l.waited = []decide.Key{{Namespace: "ns", Name: "y"}} }), []string{"y"}, nil},
		"edited":              {usual(func(*look) {}), usual(func(l *look) { l.runtimes = edited }), []string{"y"}, nil},
		"faulty no more":      {usual(func(*look) {}), usual(func(l *look) { l.runtimes = mended }), []string{"y"}, []string{"ns"}},
		"gone":                {usual(func(*look) {}), usual(func(l *look) { l.runtimes = runtimes[:1] }), []string{"y"}, []string{"ns"}},
		"another model":       {usual(func(*look) {}), usual(func(l *look) { l.rows = append(l.rows, row("ns", "n", "x", "y")) }), []string{"x"}, nil},
		"no mesh any more":    {usual(func(*look) {}), usual(func(l *look) { l.meshes = nil }), []string{"x", "y"}, []string{"ns"}},
		"a mesh":              {usual(func(l *look) { l.meshes = nil }), usual(func(*look) {}), []string{"x", "y"}, []string{"ns"}},
		"settings":            {usual(func(*look) {}), usual(func(l *look) { l.config = anyClaim }), []string{"x", "y"}, []string{"ns"}},
		"models of any claim": {usual(func(l *look) { l.config = anyClaim }), usual(func(l *look) { l.config, l.rows = anyClaim, append(l.rows, row("ns", "n", "x", "y")) }), []string{"x", "y"}, nil},
		"another's model":     {usual(func(*look) {}), usual(func(l *look) { l.rows = append(l.rows, row("other", "n", "x")) }), nil, nil},
	} {
		keys, meshes := declare(test.after).changedSince(declare(test.before))
		var names []string
		for _, key := range keys {
			names = append(names, key.Name)
		}
		slices.Sort(names)
		if !slices.Equal(names, test.runtimes) || !slices.Equal(meshes, test.meshes) {
			t.Errorf("%s: runtimes %v, meshes %v; want %v, %v", name, names, meshes, test.runtimes, test.meshes)
		}
	}
	if keys, meshes := declare(usual(func(*look) {})).changedSince(nil); len(keys) != 2 || len(meshes) != 1 {
		t.Errorf("at first: %v, %v; want everything", keys, meshes)
	}
}
