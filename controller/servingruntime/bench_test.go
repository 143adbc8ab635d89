package servingruntime

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/wasmesh/wasmesh/controller/config"
	"github.com/wasmesh/wasmesh/controller/decide"
	"github.com/wasmesh/wasmesh/controller/reconcile"
	"github.com/wasmesh/wasmesh/sdk/apis/serving"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
	"github.com/wasmesh/wasmesh/test/envtest"
)

// bench is a mesh in a namespace of a real API server, with the real decision, and a clock of the test's own. Nothing runs
// by itself: round carries out what is declared, as the reconcilers would on a change or when they asked for it.
type bench struct {
	t         *testing.T
	namespace string
	client    client.Client
	// writes counts what was asked of the API server beside reading.
	writes int

	config  config.Config
	isMesh  bool
	objects decide.Objects
	hosts   []decide.Host
	active  map[decide.Key]*syncv1.Model
	now     time.Time
	events  []decide.Event
	sleep   *Sleep

	follower *follower
	runtimes *runtimeReconciler
	meshes   *meshReconciler
	// due is when the reconcilers asked to be called again; zero for never.
	due time.Time
}

func newScheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme, v1beta1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	return scheme
}

func newBench(t *testing.T) *bench {
	t.Helper()
	server := envtest.Start(t)
	plain, err := client.NewWithWatch(server, client.Options{Scheme: newScheme(t)})
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{
		t: t, namespace: envtest.Namespace(t, server, map[string]string{"modelmesh-enabled": "true"}), isMesh: true,
		config: config.Default(), now: time.Now(), active: map[decide.Key]*syncv1.Model{},
	}
	b.client = b.counted(plain)
	b.restart()
	return b
}

func (b *bench) counted(c client.WithWatch) client.Client {
	return interceptor.NewClient(c, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			b.writes++
			return c.Create(ctx, o, opts...)
		},
		Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			b.writes++
			return c.Delete(ctx, o, opts...)
		},
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			b.writes++
			return c.Patch(ctx, o, p, opts...)
		},
		Apply: func(ctx context.Context, c client.WithWatch, o runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
			b.writes++
			return c.Apply(ctx, o, opts...)
		},
	})
}

// restart forgets what a controller keeps in memory.
func (b *bench) restart() {
	b.sleep = NewSleep()
	deps := Deps{
		Decisions: nil, Mesh: b, Events: b, Sleep: b.sleep, Logger: slog.New(slog.DiscardHandler),
		ControllerNamespace: "wasmesh", ControllerAddress: "dns:///wasmesh-controller.wasmesh.svc:11884", HostImage: "host:test",
	}
	b.follower = newFollower(deps)
	g := gatherer{deps: deps, writer: writer{cached: b.client, live: b.client, controller: deps.ControllerNamespace}, secrets: b.client}
	b.runtimes = newRuntimeReconciler(g, b.follower)
	b.runtimes.now = func() time.Time { return b.now }
	b.meshes = &meshReconciler{gatherer: g, follower: b.follower, mapper: b.client.RESTMapper()}
}

func (b *bench) Hosts() []decide.Host  { return b.hosts }
func (b *bench) Rows() []*syncv1.Row   { return nil }
func (b *bench) Record(e decide.Event) { b.events = append(b.events, e) }

// declare decides, and puts the answer where the reconcilers look. It answers the runtimes that there are, and were.
func (b *bench) declare() []types.NamespacedName {
	b.t.Helper()
	out := decide.Decide(decide.Input{Now: b.now, Objects: b.objects, Hosts: b.hosts, Active: b.active, Settled: true})
	b.active = out.Active
	view := &reconcile.View{Objects: b.objects, Plan: out.Runtimes, Waited: out.Waited}
	var meshes []string
	if b.isMesh {
		meshes = []string{b.namespace}
	}
	before, now := b.follower.newest(), newDeclared(view, out.Rows, meshes, b.config)
	b.follower.current.Store(now)
	keys := now.of(b.namespace)
	if before != nil {
		keys = append(keys, before.of(b.namespace)...)
	}
	return keys
}

// round decides, and has everything looked at once. It answers how much was written.
func (b *bench) round() (writes int) {
	b.t.Helper()
	written := b.writes
	keys := b.declare()
	b.due = time.Time{}
	b.requeued(b.meshes.Reconcile(b.t.Context(), ctrl.Request{NamespacedName: types.NamespacedName{Name: b.namespace}}))
	for _, key := range keys {
		b.requeued(b.runtimes.Reconcile(b.t.Context(), ctrl.Request{NamespacedName: key}))
	}
	return b.writes - written
}

func (b *bench) requeued(result ctrl.Result, err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
	if at := b.now.Add(result.RequeueAfter); result.RequeueAfter > 0 && (b.due.IsZero() || at.Before(b.due)) {
		b.due = at
	}
}

// pass lets time go by, with a round whenever one was asked for and one at the end.
func (b *bench) pass(d time.Duration) {
	b.t.Helper()
	end := b.now.Add(d)
	for !b.due.IsZero() && b.due.Before(end) {
		b.now = b.due
		b.round()
	}
	b.now = end
	b.round()
}

// runtime declares a ServingRuntime for models of a format.
func (b *bench) runtime(name, format string, change ...func(*v1alpha1.ServingRuntime)) *v1alpha1.ServingRuntime {
	b.t.Helper()
	yes := true
	r := &v1alpha1.ServingRuntime{
		ObjectMeta: metav1.ObjectMeta{Namespace: b.namespace, Name: name},
		Spec: v1alpha1.ServingRuntimeSpec{
			SupportedModelFormats: []v1alpha1.SupportedModelFormat{{Name: format, AutoSelect: &yes}},
			MultiModel:            &yes,
			ServingRuntimePodSpec: v1alpha1.ServingRuntimePodSpec{Containers: []corev1.Container{{
				Name: "mlserver", Image: "mlserver:test",
				Resources: corev1.ResourceRequirements{
					Requests: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi"), corev1.ResourceCPU: resource.MustParse("0.5")},
					Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")},
				},
			}}},
			GrpcDataEndpoint: new("port:8001"),
			BuiltInAdapter:   &v1alpha1.BuiltInAdapter{ServerType: "mlserver", RuntimeManagementPort: 8001},
		},
	}
	for _, c := range change {
		c(r)
	}
	if err := b.client.Create(b.t.Context(), r); err != nil {
		b.t.Fatal(err)
	}
	b.objects.ServingRuntimes = append(b.objects.ServingRuntimes, r)
	return r
}

// edit replaces a ServingRuntime by one that is changed, as the source does.
func (b *bench) edit(name string, change func(*v1alpha1.ServingRuntime)) {
	for i, r := range b.objects.ServingRuntimes {
		if r.Name == name {
			edited := r.DeepCopy()
			change(edited)
			b.objects.ServingRuntimes[i] = edited
		}
	}
}

// model declares an InferenceService.
func (b *bench) model(name, format string, change ...func(*v1beta1.InferenceService)) {
	m := &v1beta1.InferenceService{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: b.namespace, Name: name,
			Annotations: map[string]string{serving.AnnotationDeploymentMode: serving.DeploymentModeModelMesh},
		},
	}
	m.Spec.Predictor.Model = &v1beta1.ModelSpec{ModelFormat: v1beta1.ModelFormat{Name: format}}
	m.Spec.Predictor.Model.StorageURI = new("s3://bucket/" + name)
	for _, c := range change {
		c(m)
	}
	b.objects.InferenceServices = append(b.objects.InferenceServices, m)
}

func (b *bench) withdraw(name string) {
	b.objects.InferenceServices = slices.DeleteFunc(slices.Clone(b.objects.InferenceServices),
		func(m *v1beta1.InferenceService) bool { return m.Name == name })
}

// get answers whether there is an object of that name.
func (b *bench) get(name string, into client.Object) bool {
	b.t.Helper()
	err := b.client.Get(b.t.Context(), types.NamespacedName{Namespace: b.namespace, Name: name}, into)
	if err != nil && !apierrors.IsNotFound(err) {
		b.t.Fatal(err)
	}
	return err == nil && into.GetDeletionTimestamp() == nil
}

// pods answers how many the Deployment of a runtime is to have, -1 when there is none.
func (b *bench) pods(runtime string) int {
	b.t.Helper()
	d := &appsv1.Deployment{}
	if !b.get("modelmesh-serving-"+runtime, d) {
		return -1
	}
	return int(*d.Spec.Replicas)
}

func (b *bench) wantPods(runtime string, want int) {
	b.t.Helper()
	if got := b.pods(runtime); got != want {
		b.t.Fatalf("runtime %s has %d pods; want %d", runtime, got, want)
	}
}

// autoscaler answers that of a runtime, nil for none.
func (b *bench) autoscaler(runtime string) *autoscalingv2.HorizontalPodAutoscaler {
	b.t.Helper()
	a := &autoscalingv2.HorizontalPodAutoscaler{}
	if !b.get("modelmesh-serving-"+runtime, a) {
		return nil
	}
	return a
}

// scaleAs sets the number of pods as an autoscaler does.
func (b *bench) scaleAs(manager, runtime string, pods string) {
	b.t.Helper()
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: b.namespace, Name: "modelmesh-serving-" + runtime}}
	patch := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"replicas":`+pods+`}}`))
	if err := b.client.SubResource("scale").Patch(b.t.Context(), d, patch, client.FieldOwner(manager)); err != nil {
		b.t.Fatal(err)
	}
}

// host of a runtime that is ready and idle.
func (b *bench) host(runtime string, copies ...*syncv1.Copy) {
	h := decide.Host{
		Hello:     &syncv1.Hello{Namespace: b.namespace, HostId: runtime + "-0", Runtime: runtime},
		Connected: true, Complete: true, RuntimeState: syncv1.RuntimeState_RUNTIME_STATE_READY, Copies: map[string]*syncv1.Copy{},
	}
	for _, c := range copies {
		h.Copies[c.ModelId] = c
	}
	b.hosts = append(b.hosts, h)
}

// atRest says that nothing is written when nothing has changed.
func (b *bench) atRest() {
	b.t.Helper()
	if n := b.round(); n != 0 {
		b.t.Fatalf("%d writes though nothing has changed", n)
	}
}
