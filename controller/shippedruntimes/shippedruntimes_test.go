package shippedruntimes

import (
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/wasmesh/wasmesh/controller/decide"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
)

const ns = "modelmesh-serving"

type said []string

func (s *said) Record(e decide.Event) {
	*s = append(*s, e.Object.Kind+" "+e.Object.Name+" "+e.Type+" "+e.Reason+": "+e.Message)
}

func text(kind, name, image string) string {
	return "apiVersion: serving.kserve.io/v1alpha1\nkind: " + kind + "\nmetadata: {name: " + name +
		"}\nspec: {multiModel: true, containers: [{name: server, image: \"" + image + "\"}]}\n"
}

// world is an API server with what it held before.
func world(t *testing.T, deps Deps, data map[string]string, objects ...client.Object) (*reconciler, client.Client, *said) {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, appsv1.AddToScheme, rbacv1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	if data != nil {
		objects = append(objects, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: ConfigMap}, Data: data})
	}
	cluster := fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).Build()
	var said said
	deps.Namespace, deps.Owner, deps.Events, deps.Logger = ns, DefaultOwner, &said, slog.New(slog.DiscardHandler)
	return &reconciler{deps: deps, client: cluster, direct: cluster}, cluster, &said
}

func run(t *testing.T, r *reconciler) {
	t.Helper()
	_, err := r.Reconcile(t.Context(), reconcile.Request{NamespacedName: client.ObjectKey{Namespace: ns, Name: ConfigMap}})
	if err != nil {
		t.Fatal(err)
	}
}

// images answers the image of each ClusterServingRuntime.
func images(t *testing.T, cluster client.Client) map[string]string {
	t.Helper()
	var list v1alpha1.ClusterServingRuntimeList
	if err := cluster.List(t.Context(), &list); err != nil {
		t.Fatal(err)
	}
	images := map[string]string{}
	for _, o := range list.Items {
		images[o.Name] = o.Spec.Containers[0].Image
	}
	return images
}

func cluster(name, image string, labels map[string]string) *v1alpha1.ClusterServingRuntime {
	return &v1alpha1.ClusterServingRuntime{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Spec:       v1alpha1.ServingRuntimeSpec{ServingRuntimePodSpec: v1alpha1.ServingRuntimePodSpec{Containers: []corev1.Container{{Name: "server", Image: image}}}},
	}
}

func TestReconcile(t *testing.T) {
	ours := map[string]string{Label: ns}
	for _, test := range []struct {
		name   string
		before []client.Object
		// data of the ConfigMap; nil: there is none.
		data map[string]string
		want map[string]string
		// said is what each Event has to contain.
		said []string
	}{
		{name: "made", data: map[string]string{"a.yaml": text("ClusterServingRuntime", "a", "1")}, want: map[string]string{"a": "1"}},
		{
			name: "put back", before: []client.Object{cluster("a", "edited", ours)},
			data: map[string]string{"a.yaml": text("ClusterServingRuntime", "a", "1")}, want: map[string]string{"a": "1"},
		},
		{
			name: "no more", before: []client.Object{cluster("a", "1", ours), cluster("b", "1", ours)},
			data: map[string]string{"a.yaml": text("ClusterServingRuntime", "a", "1")}, want: map[string]string{"a": "1"},
		},
		{
			name: "somebody else's", before: []client.Object{cluster("a", "theirs", nil), cluster("b", "theirs", map[string]string{Label: "other"})},
			data: map[string]string{"a.yaml": text("ClusterServingRuntime", "a", "1")},
			want: map[string]string{"a": "theirs", "b": "theirs"},
			said: []string{"ConfigMap wasmesh-runtimes Warning RuntimeNotOurs: ClusterServingRuntime a"},
		},
		{
			name: "unreadable", before: []client.Object{cluster("a", "old", ours)},
			data: map[string]string{"a.yaml": "spec: [", "b.yaml": text("ClusterServingRuntime", "b", "1")},
			want: map[string]string{"a": "old", "b": "1"},
			said: []string{"RuntimeUnreadable: a.yaml is left as it is"},
		},
		{name: "the ConfigMap is gone", before: []client.Object{cluster("a", "1", ours)}, want: map[string]string{"a": "1"}},
		{name: "none at all", before: []client.Object{cluster("a", "1", ours)}, data: map[string]string{}, want: map[string]string{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, cluster, said := world(t, Deps{}, test.data, test.before...)
			for range 2 { // the second time finds nothing to do
				*said = nil
				run(t, r)
				if got := images(t, cluster); !maps.Equal(got, test.want) {
					t.Fatalf("runtimes %v, want %v", got, test.want)
				}
			}
			if !slices.EqualFunc(*said, test.said, strings.Contains) {
				t.Errorf("said %q", *said)
			}
		})
	}
}

// Uninstalling takes the runtimes along, by the garbage collector; those of a namespace go with its Deployment.
func TestOwner(t *testing.T) {
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: DefaultOwner, UID: "role"}}
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: DefaultOwner, UID: "deployment"}}
	for _, test := range []struct {
		name      string
		namespace bool
		before    []client.Object
		want      []metav1.OwnerReference
	}{
		{"cluster", false, []client.Object{role, deployment}, []metav1.OwnerReference{{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "ClusterRole", Name: DefaultOwner, UID: "role"}}},
		{"namespace", true, []client.Object{role, deployment}, []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "Deployment", Name: DefaultOwner, UID: "deployment"}}},
		{"nobody", false, nil, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			kind, object := "ClusterServingRuntime", client.Object(&v1alpha1.ClusterServingRuntime{})
			key := client.ObjectKey{Name: "a"}
			if test.namespace {
				kind, object, key.Namespace = "ServingRuntime", &v1alpha1.ServingRuntime{}, ns
			}
			r, cluster, _ := world(t, Deps{NamespaceScope: test.namespace}, map[string]string{"a.yaml": text(kind, "a", "1")}, test.before...)
			run(t, r)
			if err := cluster.Get(t.Context(), key, object); err != nil {
				t.Fatal(err)
			}
			if got := object.GetOwnerReferences(); !slices.Equal(got, test.want) {
				t.Errorf("owners %v, want %v", got, test.want)
			}
		})
	}
}

func TestReadRefuses(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"no YAML", "a: b: c", "mapping values"},
		{"another kind", text("ServingRuntime", "a", "1"), "only a ClusterServingRuntime"},
		{"no name", strings.ReplaceAll(text("ClusterServingRuntime", "a", "1"), "{name: a}", "{}"), "metadata.name"},
		{"no containers", "apiVersion: serving.kserve.io/v1alpha1\nkind: ClusterServingRuntime\nmetadata: {name: a}\n", "spec.containers"},
		{"a field of the wrong type", strings.ReplaceAll(text("ClusterServingRuntime", "a", "1"), "multiModel: true", "multiModel: 3"), "multiModel"},
	} {
		t.Run(test.name, func(t *testing.T) {
			entries := read(map[string]string{"k": test.text}, kind{name: "ClusterServingRuntime"})
			if len(entries) != 1 || entries[0].err == nil || !strings.Contains(entries[0].err.Error(), test.want) {
				t.Errorf("%+v", entries)
			}
		})
	}
	same := text("ClusterServingRuntime", "a", "1")
	if entries := read(map[string]string{"k": same, "l": same}, kind{name: "ClusterServingRuntime"}); entries[0].err != nil || entries[1].err == nil {
		t.Errorf("one name twice: %+v", entries)
	}
}
