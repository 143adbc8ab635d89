package servingruntime

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	restclient "k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	managerconfig "sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/wasmesh/wasmesh/controller/config"
	"github.com/wasmesh/wasmesh/controller/decide"
	"github.com/wasmesh/wasmesh/controller/reconcile"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
	"github.com/wasmesh/wasmesh/test/envtest"
)

// stage is what a running controller is told, and may be told anew.
type stage struct {
	mu      sync.Mutex
	view    *reconcile.View
	rows    []*syncv1.Row
	meshes  []string
	config  config.Config
	changed chan struct{}
}

func (s *stage) View() (*reconcile.View, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.view, s.changed
}

func (s *stage) Rows() []*syncv1.Row {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rows
}

func (s *stage) Meshes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.meshes
}

func (s *stage) Config() config.Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.config
}

func (s *stage) Hosts() []decide.Host { return nil }
func (s *stage) Record(decide.Event)  {}

// tell decides about what a bench declares.
func (s *stage) tell(b *bench) {
	out := decide.Decide(decide.Input{Now: time.Now(), Objects: b.objects, Settled: true})
	rows := out.Rows
	if rows == nil {
		rows = []*syncv1.Row{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.view, s.rows, s.config = &reconcile.View{Objects: b.objects, Plan: out.Runtimes, Waited: out.Waited}, rows, b.config
	s.meshes = nil
	if b.isMesh {
		s.meshes = []string{b.namespace}
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

// run runs the reconcilers until the test ends, over a cache of one namespace.
func (s *stage) run(t *testing.T, server *restclient.Config, namespace string) {
	t.Helper()
	several := true
	byObject := map[client.Object]cache.ByObject{}
	maps.Copy(byObject, CacheByObject())
	mgr, err := ctrl.NewManager(server, ctrl.Options{
		Scheme: newScheme(t), Metrics: metricsserver.Options{BindAddress: "0"},
		Cache: cache.Options{
			ByObject: byObject, DefaultNamespaces: map[string]cache.Config{namespace: {}},
			DefaultTransform: cache.TransformStripManagedFields(),
		},
		Controller: managerconfig.Controller{SkipNameValidation: &several},
	})
	if err != nil {
		t.Fatal(err)
	}
	err = SetUp(mgr, Deps{
		Decisions: s, Mesh: s, Events: s, Sleep: NewSleep(), Config: s.Config, Meshes: s.Meshes, Logger: slog.New(slog.DiscardHandler),
		ControllerNamespace: "wasmesh", ControllerAddress: "dns:///c.wasmesh.svc:11884", HostImage: "host:test",
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// eventually looks until it is so.
func eventually(t *testing.T, what string, isSo func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for !isSo() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

// Everything that is read is watched.
func TestReconcilersFollow(t *testing.T) {
	b := newBench(t)
	s := &stage{changed: make(chan struct{})}
	s.run(t, envtest.Start(t), b.namespace)
	b.config.AllowAnyPVC = true
	b.runtime("a", "sklearn")
	s.tell(b)
	eventually(t, "the runtime has a Deployment without pods", func() bool { return b.pods("a") == 0 })
	eventually(t, "the mesh has its Service", func() bool { return b.get("modelmesh-serving", &corev1.Service{}) })
	b.model("m", "sklearn", onClaim("one"))
	s.tell(b)
	eventually(t, "it has pods", func() bool { return b.pods("a") == 2 })
	b.claim("one")
	eventually(t, "they mount the claim", func() bool { return b.mounts("a", "one") })
	b.create(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: b.namespace, Name: "storage-config"},
		Data:       map[string][]byte{"two": []byte(`{"type":"pvc","name":"two"}`)},
	})
	b.claim("two")
	eventually(t, "they mount the claim of the Secret", func() bool { return b.mounts("a", "two") })
	b.edited("modelmesh-serving-a", &appsv1.Deployment{}, `{"spec":{"replicas":5}}`)
	eventually(t, "their number is put right", func() bool { return b.pods("a") == 2 })
	if err := b.client.Delete(t.Context(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: b.namespace, Name: "modelmesh-serving"}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the Service is back", func() bool { return b.get("modelmesh-serving", &corev1.Service{}) })
	b.config.PodsPerRuntime = 1
	s.tell(b)
	eventually(t, "other settings are followed", func() bool { return b.pods("a") == 1 })
	b.isMesh = false
	s.tell(b)
	eventually(t, "what was made is gone", func() bool {
		return b.pods("a") == -1 && !b.get("modelmesh-serving", &corev1.Service{}) && !b.get("modelmesh-serving-peers", &corev1.Service{})
	})
}

// What a namespace has left from when it was a mesh goes also when nobody saw the change.
func TestReconcilersTidyUpAtStart(t *testing.T) {
	b := newBench(t)
	b.runtime("a", "sklearn")
	b.round()
	b.isMesh = false
	s := &stage{changed: make(chan struct{})}
	s.run(t, envtest.Start(t), b.namespace)
	s.tell(b)
	eventually(t, "what was made is gone", func() bool {
		return b.pods("a") == -1 && !b.get("modelmesh-serving", &corev1.Service{}) && !b.get("modelmesh-serving-peers", &corev1.Service{})
	})
}

func (b *bench) mounts(runtime, claim string) bool {
	b.t.Helper()
	d := &appsv1.Deployment{}
	if !b.get("modelmesh-serving-"+runtime, d) {
		return false
	}
	for _, v := range d.Spec.Template.Spec.Volumes {
		if v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == claim {
			return true
		}
	}
	return false
}

// A ServiceMonitor needs its kind, and goes with the setting. ModelMesh rewrote it when it had not changed.
func TestServiceMonitor(t *testing.T) {
	b := newBench(t)
	b.round() // There are none in this cluster.
	if err := apiextensionsv1.AddToScheme(b.client.Scheme()); err != nil {
		t.Fatal(err)
	}
	kind := monitorKind()
	keepsAll := true
	b.create(&apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: "servicemonitors." + kind.Group},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group: kind.Group, Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Kind: kind.Kind, ListKind: kind.Kind + "List", Plural: "servicemonitors", Singular: "servicemonitor"},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
				Name: kind.Version, Served: true, Storage: true,
				Schema: &apiextensionsv1.CustomResourceValidation{
					OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{Type: "object", XPreserveUnknownFields: &keepsAll},
				},
			}},
		},
	})
	monitor := &unstructured.Unstructured{}
	monitor.SetGroupVersionKind(kind)
	eventually(t, "the kind is served", func() bool {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(kind)
		return b.client.List(t.Context(), list, client.InNamespace(b.namespace)) == nil
	})
	b.round()
	if !b.get("modelmesh-metrics-monitor", monitor) {
		t.Fatal("no ServiceMonitor")
	}
	b.atRest()
	b.config.Metrics.DisablePrometheusOperatorSupport = true
	b.round()
	if b.get("modelmesh-metrics-monitor", monitor) {
		t.Error("the ServiceMonitor outlives its setting")
	}
}
