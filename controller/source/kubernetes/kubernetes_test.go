package kubernetes

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	restclient "k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"github.com/wasmesh/wasmesh/controller/config"
	"github.com/wasmesh/wasmesh/controller/decide"
	"github.com/wasmesh/wasmesh/controller/policyconfig"
	"github.com/wasmesh/wasmesh/controller/source"
	"github.com/wasmesh/wasmesh/sdk/apis/serving"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
	"github.com/wasmesh/wasmesh/test/envtest"
)

// rig is a Source over the informers of a real API server.
type rig struct {
	t      *testing.T
	client client.Client
	source *Source
	// own is the controller's namespace.
	own string

	mu     sync.Mutex
	events []decide.Event
}

func (r *rig) Record(e decide.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

func (r *rig) reasons() (all []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		all = append(all, e.Type+" "+e.Reason)
	}
	return all
}

// newRig starts a Source that has read everything.
func newRig(t *testing.T, adjust func(*Options)) *rig {
	r := &rig{t: t}
	rest := envtest.Start(t)
	r.own = envtest.Namespace(t, rest, nil)
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1beta1.AddToScheme, v1alpha1.AddToScheme, AddLegacyToScheme} {
		r.must(add(scheme))
	}
	http, err := restclient.HTTPClientFor(rest)
	r.must(err)
	mapper, err := apiutil.NewDynamicRESTMapper(rest, http)
	r.must(err)
	r.client, err = client.New(rest, client.Options{Scheme: scheme, Mapper: mapper})
	r.must(err)
	kinds, err := Detect(mapper, Wishes{LegacyPredictors: true})
	r.must(err)
	if want := (Kinds{InferenceServices: true, Predictors: true, ServingRuntimes: true, ClusterServingRuntimes: true}); kinds != want {
		t.Fatalf("kinds %+v, want %+v: the older group has no CRD here", kinds, want)
	}
	options := Options{
		Namespace: r.own, Kinds: kinds, ConfigMap: "model-serving-config", Config: config.Default(),
		Recorder: r, Logger: slog.New(slog.DiscardHandler),
	}
	if adjust != nil {
		adjust(&options)
	}
	cacheOptions := CacheOptions(r.own, options.NamespaceScope, config.Default().StorageSecretName, options.ConfigMap)
	cacheOptions.Scheme, cacheOptions.Mapper = scheme, mapper
	informers, err := cache.New(rest, cacheOptions)
	r.must(err)
	r.source, err = New(t.Context(), informers, options)
	r.must(err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- informers.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("cache: %v", err)
		}
	})
	r.must(r.source.WaitForSync(t.Context()))
	return r
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) create(objects ...client.Object) {
	r.t.Helper()
	for _, o := range objects {
		r.must(r.client.Create(r.t.Context(), o))
	}
}

// until waits for a Snapshot.
func (r *rig) until(what string, ok func(*source.Snapshot) bool) *source.Snapshot {
	r.t.Helper()
	for {
		snapshot := r.source.Snapshot()
		if ok(snapshot) {
			return snapshot
		}
		select {
		case <-r.source.Changed():
		case <-r.t.Context().Done():
			r.t.Fatalf("%s: never", what)
		}
	}
}

func (r *rig) isvc(namespace, name string) *v1beta1.InferenceService {
	path := "a/b"
	return &v1beta1.InferenceService{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Annotations: map[string]string{
			serving.AnnotationDeploymentMode: serving.DeploymentModeModelMesh,
		}},
		Spec: v1beta1.InferenceServiceSpec{Predictor: v1beta1.PredictorSpec{Model: &v1beta1.ModelSpec{
			ModelFormat:            v1beta1.ModelFormat{Name: "sklearn"},
			PredictorExtensionSpec: v1beta1.PredictorExtensionSpec{Storage: &v1beta1.StorageSpec{Path: &path}},
		}}},
	}
}

func names[T client.Object](all []T) (names []string) {
	for _, o := range all {
		names = append(names, o.GetName())
	}
	return names
}

// A namespace has a mesh when it says so, the controller's own unless it says otherwise; what is elsewhere is not seen.
func TestMeshes(t *testing.T) {
	r := newRig(t, nil)
	rest := envtest.Start(t)
	enabled := envtest.Namespace(t, rest, map[string]string{LabelEnabled: "true"})
	other := envtest.Namespace(t, rest, nil)
	r.create(r.isvc(r.own, "own"), r.isvc(enabled, "enabled"), r.isvc(other, "other"))
	secret := func(namespace string) *corev1.Secret {
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "storage-config"}, StringData: map[string]string{"k": "{}"}}
	}
	r.create(secret(enabled), secret(other))
	snapshot := r.until("both meshes", func(s *source.Snapshot) bool {
		return slices.Contains(names(s.Objects.InferenceServices), "enabled") &&
			slices.Contains(names(s.Objects.InferenceServices), "own") && len(s.StorageConfig[enabled]) == 1
	})
	if slices.Contains(names(snapshot.Objects.InferenceServices), "other") || snapshot.StorageConfig[other] != nil {
		t.Error("a namespace without a mesh is seen")
	}
	if got := r.source.Meshes(); !slices.Contains(got, r.own) || !slices.Contains(got, enabled) || slices.Contains(got, other) {
		t.Errorf("meshes %v", got)
	}

	label := func(namespace, value string) {
		o := &corev1.Namespace{}
		r.must(r.client.Get(t.Context(), client.ObjectKey{Name: namespace}, o))
		o.Labels[LabelEnabled] = value
		r.must(r.client.Update(t.Context(), o))
	}
	label(other, "true")
	label(r.own, "false")
	r.until("other is a mesh, own is not", func(s *source.Snapshot) bool {
		all := names(s.Objects.InferenceServices)
		return slices.Contains(all, "other") && !slices.Contains(all, "own")
	})
	// Nothing finishes the deletion here, as when a finalizer holds it.
	r.must(r.client.Delete(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: enabled}}))
	r.until("a namespace that ends is no mesh", func(s *source.Snapshot) bool {
		return !slices.Contains(names(s.Objects.InferenceServices), "enabled")
	})
}

// What others and we ourselves write beside an object is nothing new to decide on; what its owner writes is.
func TestOnlyOwnersChangesCount(t *testing.T) {
	r := newRig(t, nil)
	isvc := r.isvc(r.own, "a")
	r.create(isvc)
	has := func(s *source.Snapshot) (*v1beta1.InferenceService, bool) {
		return Find(s.Objects.InferenceServices, r.own, "a")
	}
	first := r.until("created", func(s *source.Snapshot) bool { _, is := has(s); return is })
	before, _ := has(first)

	isvc.Status.URL = "grpc://x"
	r.must(r.client.Status().Update(t.Context(), isvc))
	isvc.Annotations[serving.AnnotationActiveModel] = "{}"
	isvc.Annotations[annotationLastApplied] = strings.Repeat("x", 1000)
	isvc.Finalizers = []string{"example.com/other"}
	r.must(r.client.Update(t.Context(), isvc))
	// Another object comes after all that.
	r.create(r.isvc(r.own, "b"))
	second := r.until("another", func(s *source.Snapshot) bool {
		_, is := Find(s.Objects.InferenceServices, r.own, "b")
		return is
	})
	if after, _ := has(second); after != before {
		t.Error("another pointer though nothing changed that decisions are made of")
	}

	isvc.Annotations[serving.AnnotationPin] = "true"
	r.must(r.client.Update(t.Context(), isvc))
	third := r.until("annotated", func(s *source.Snapshot) bool {
		o, _ := has(s)
		return o.Annotations[serving.AnnotationPin] == "true"
	})
	if after, _ := has(third); after.Annotations[annotationLastApplied] != "" || after.Annotations[serving.AnnotationActiveModel] != "" {
		t.Errorf("annotations %v", after.Annotations)
	}
	// With a finalizer it stays with the API server, and is gone for us.
	r.must(r.client.Delete(t.Context(), isvc))
	r.until("deleted", func(s *source.Snapshot) bool { _, is := has(s); return !is })
}

func TestConfiguration(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Defaults = []byte("podsPerRuntime: 3") })
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: r.own, Name: "model-serving-config"},
		Data: map[string]string{config.Key: "inferenceServiceName: mesh"}}
	r.create(cm)
	r.until("configured", func(s *source.Snapshot) bool { return s.Endpoints.GRPC == "grpc://mesh.{namespace}:8033" })
	if got := r.source.Config(); got.InferenceServiceName != "mesh" || got.PodsPerRuntime != 3 {
		t.Errorf("the defaults file, or the ConfigMap, does not count: %+v", got)
	}
	set := func(text string) {
		cm.Data[config.Key] = text
		r.must(r.client.Update(t.Context(), cm))
	}
	set("podsPerRuntime: many")
	r.until("a warning", func(s *source.Snapshot) bool {
		return len(s.Warnings) == 1 && strings.Contains(s.Warnings[0].String(), "podsPerRuntime")
	})
	if r.source.Config().InferenceServiceName != "mesh" {
		t.Error("a bad configuration changed something")
	}
	set("inferenceServiceName: mesh\nstorageSecretName: other\netcdSecretName: x")
	r.until("no fault", func(s *source.Snapshot) bool { return len(s.Warnings) == 2 })
	if got := r.source.Config(); got.StorageSecretName != "storage-config" {
		t.Errorf("the name of the Secret changed without a restart: %q", got.StorageSecretName)
	}
	if got := r.reasons(); !slices.Equal(got, []string{"Warning InvalidConfig", "Warning ConfigWarning", "Warning ConfigWarning", "Normal ConfigAccepted"}) {
		t.Errorf("Events %v", got)
	}
	r.must(r.client.Delete(t.Context(), cm))
	r.until("the defaults", func(*source.Snapshot) bool { return r.source.Config().InferenceServiceName == "modelmesh-serving" })
}

// Policies are the labelled ConfigMaps of the controller's namespace; one that may have been meant to be is warned of, the
// content of others is not even kept.
func TestPolicies(t *testing.T) {
	r := newRig(t, nil)
	policy := func(name, label string) *corev1.ConfigMap {
		cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: r.own, Name: name}, BinaryData: map[string][]byte{"p.wasm": {1}}}
		if label != "" {
			cm.Labels = map[string]string{policyconfig.Label: label}
		}
		return cm
	}
	r.create(policy("good", "true"), policy("odd", "yes"), policy("not", ""))
	snapshot := r.until("policies", func(s *source.Snapshot) bool { return len(s.ConfigMaps) == 2 })
	if got := names(snapshot.ConfigMaps); !slices.Equal(got, []string{"good", "odd"}) {
		t.Errorf("ConfigMaps %v", got)
	}
	if len(snapshot.Warnings) != 1 || !strings.Contains(snapshot.Warnings[0].Message, `"yes"`) {
		t.Errorf("warnings %v", snapshot.Warnings)
	}
}

// Of two Predictors with one name that of the newer group counts; the other is warned of.
func TestLegacyPredictors(t *testing.T) {
	s := &Source{}
	predictor := func(name, version string) *v1alpha1.Predictor {
		return &v1alpha1.Predictor{TypeMeta: metav1.TypeMeta{APIVersion: version}, ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: name}}
	}
	newer, older := v1alpha1.GroupVersion.String(), LegacyGroupVersion.String()
	snapshot := &source.Snapshot{Objects: decide.Objects{Predictors: []*v1alpha1.Predictor{predictor("b", newer), predictor("d", newer)}}}
	s.addLegacy(snapshot, []*v1alpha1.Predictor{predictor("a", older), predictor("b", older), predictor("c", older)})
	var got []string
	for _, p := range snapshot.Objects.Predictors {
		got = append(got, p.Name+" "+p.APIVersion)
	}
	want := []string{"a " + older, "b " + newer, "c " + older, "d " + newer}
	if fmt.Sprint(got) != fmt.Sprint(want) || len(snapshot.Warnings) != 1 {
		t.Errorf("got %v, want %v; warnings %v", got, want, snapshot.Warnings)
	}
}
