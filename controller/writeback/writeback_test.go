package writeback

import (
	"slices"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wasmesh/wasmesh/controller/decide"
	"github.com/wasmesh/wasmesh/controller/reconcile"
	"github.com/wasmesh/wasmesh/sdk/apis/serving"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
	"github.com/wasmesh/wasmesh/test/envtest"
)

// rig is an InferenceService on a real API server.
type rig struct {
	t         *testing.T
	client    client.Client
	namespace string
}

func newRig(t *testing.T) *rig {
	rest := envtest.Start(t)
	scheme := runtime.NewScheme()
	if err := v1beta1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(rest, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return &rig{t, c, envtest.Namespace(t, rest, nil)}
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// create answers an object as decided ones are: with kind, apiVersion and uid.
func (r *rig) create(name string, annotations map[string]string) *v1beta1.InferenceService {
	r.t.Helper()
	o := &v1beta1.InferenceService{ObjectMeta: metav1.ObjectMeta{Namespace: r.namespace, Name: name, Annotations: annotations}}
	r.must(r.client.Create(r.t.Context(), o))
	o.SetGroupVersionKind(v1beta1.GroupVersion.WithKind(v1beta1.Kind))
	return o
}

func (r *rig) annotations(name string) map[string]string {
	r.t.Helper()
	o := &v1beta1.InferenceService{}
	r.must(r.client.Get(r.t.Context(), client.ObjectKey{Namespace: r.namespace, Name: name}, o))
	return o.Annotations
}

var model = &syncv1.Model{Namespace: "n", Id: "a__isvc-0123456789", Alias: "a", Runtimes: []string{"r"}}

func TestMemory(t *testing.T) {
	r := newRig(t)
	wanted := Memory{Active: model, Refused: "b"}
	for name, there := range map[string]map[string]string{
		"none": nil,
		// As kubectl apply of an object that was copied from elsewhere leaves it.
		"foreign": {serving.AnnotationActiveModel: `{"id":"x__isvc-0000000000"}`, serving.AnnotationRefusedModel: "y"},
		"garbage": {serving.AnnotationActiveModel: "{"},
	} {
		t.Run(name, func(t *testing.T) {
			o := r.create(name, there)
			r.must(WriteMemory(t.Context(), r.client, o, there, wanted))
			got := r.annotations(name)
			if !ReadMemory(got).Equal(wanted) {
				t.Errorf("written %v", got)
			}
			r.must(WriteMemory(t.Context(), r.client, o, got, Memory{}))
			if got := r.annotations(name); len(got) != 0 {
				t.Errorf("left %v", got)
			}
			r.must(WriteMemory(t.Context(), r.client, o, nil, Memory{}))
		})
	}
}

// What was decided about an object is not written to another of its name, and never makes one.
func TestAnotherObject(t *testing.T) {
	r := newRig(t)
	o := r.create("a", nil)
	r.must(r.client.Delete(t.Context(), o.DeepCopy()))
	r.must(WriteMemory(t.Context(), r.client, o, nil, Memory{Active: model}))
	status := statusPatch{client: r.client, object: o, version: o.ResourceVersion, into: &v1beta1.InferenceService{}}
	r.must(status.apply(t.Context(), v1beta1.InferenceServiceStatus{URL: "x"}))
	if err := r.client.Get(t.Context(), client.ObjectKeyFromObject(o), &v1beta1.InferenceService{}); !apierrors.IsNotFound(err) {
		t.Fatalf("there is an object: %v", err)
	}
	r.create("a", nil)
	// Whether that is an error does not matter: the reconciler looks again.
	_ = WriteMemory(t.Context(), r.client, o, nil, Memory{Active: model})
	_ = status.apply(t.Context(), v1beta1.InferenceServiceStatus{URL: "x"})
	other := &v1beta1.InferenceService{}
	r.must(r.client.Get(t.Context(), client.ObjectKeyFromObject(o), other))
	if len(other.Annotations) != 0 || other.Status.URL != "" {
		t.Errorf("written to another object: %v, %+v", other.Annotations, other.Status)
	}
}

func TestChanges(t *testing.T) {
	k := Kind[*v1beta1.InferenceService]{
		Kind:   v1beta1.Kind,
		Listed: func(v *reconcile.View) []*v1beta1.InferenceService { return v.Objects.InferenceServices },
	}
	object := func(name string) *v1beta1.InferenceService {
		return &v1beta1.InferenceService{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: name}}
	}
	key := func(name string) decide.Key { return decide.Key{Namespace: "n", Kind: v1beta1.Kind, Name: name} }
	view := func(active map[decide.Key]*syncv1.Model, all ...*v1beta1.InferenceService) *reconcile.View {
		return &reconcile.View{Objects: decide.Objects{InferenceServices: all}, Active: active}
	}
	a, b, c, e := object("a"), object("b"), object("c"), object("e")
	before := view(map[decide.Key]*syncv1.Model{key("a"): model, key("e"): model}, a, b, c, e)
	other := &syncv1.Model{Id: "other"}
	for name, test := range map[string]struct {
		before, after *reconcile.View
		want          []string
	}{
		"no view":     {nil, nil, nil},
		"first":       {nil, before, []string{"a", "b", "c", "e"}},
		"same":        {before, before, nil},
		"status":      {before, view(before.Active, a, object("b"), c, e), []string{"b"}},
		"gone":        {before, view(before.Active, b, e), nil},
		"new":         {before, view(before.Active, a, b, c, object("d"), e), []string{"d"}},
		"memory":      {before, view(map[decide.Key]*syncv1.Model{key("a"): model, key("e"): other}, a, b, c, e), []string{"e"}},
		"memory gone": {before, view(map[decide.Key]*syncv1.Model{key("e"): model}, a, b, c, e), []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, n := range k.changes(test.before, test.after) {
				got = append(got, n.Name)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("changes %v, want %v", got, test.want)
			}
		})
	}
	if _, found := find(before.Objects.InferenceServices, types.NamespacedName{Namespace: "n", Name: "d"}); found {
		t.Error("found what is not there")
	}
	if o, found := find(before.Objects.InferenceServices, types.NamespacedName{Namespace: "n", Name: "e"}); !found || o != e {
		t.Error("did not find e")
	}
}
