package cluster

import (
	"context"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wasmesh/wasmesh/sdk/apis/serving"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
	"github.com/wasmesh/wasmesh/test/envtest"
	"github.com/wasmesh/wasmesh/test/stubhost"
)

const runtimeName = "mlserver-1.x"

// rig is a controller on a real API server, with everything in its own namespace.
type rig struct {
	t      *testing.T
	rest   *rest.Config
	client client.WithWatch
	own    string
	// address for hosts.
	address string
	log     *testLog
}

// testLog is the test's until that ends: controller-runtime has goroutines that say something after all has stopped.
type testLog struct {
	mu  sync.Mutex
	out io.Writer
}

func (l *testLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Write(p)
}

func newTestLog(t *testing.T) *testLog {
	l := &testLog{out: t.Output()}
	t.Cleanup(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.out = io.Discard
	})
	return l
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, rest: envtest.Start(t), address: freeAddress(t), log: newTestLog(t)}
	r.own = envtest.Namespace(t, r.rest, nil)
	scheme, err := newScheme()
	r.must(err)
	r.client, err = client.NewWithWatch(r.rest, client.Options{Scheme: scheme})
	r.must(err)
	return r
}

func freeAddress(t *testing.T) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// run starts a controller; stop may be called more than once.
func (r *rig) run() (stop func()) {
	ctx, cancel := context.WithCancel(r.t.Context())
	done := make(chan error, 1)
	stopped := false
	go func() {
		done <- Run(ctx, Config{
			REST: r.rest, Namespace: r.own, NamespaceScope: true, LeaderElect: true, PodName: "controller", Deployment: "wasmesh-controller",
			HostImage: "host", SyncAddress: r.address, AdminAddress: "127.0.0.1:0", MetricsAddress: "0", HealthAddress: "0",
			ConfigMap: "model-serving-config", Metrics: prometheus.NewRegistry(), Logger: slog.New(slog.NewTextHandler(r.log, nil)),
		})
	}()
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			r.t.Errorf("run: %v", err)
		}
	}
	r.t.Cleanup(stop)
	return stop
}

// host connects one that loads at once.
func (r *rig) host(name string) *stubhost.Host {
	r.t.Helper()
	pod, err := stubhost.Pod(r.t.Context(), r.rest, r.own, name)
	r.must(err)
	made, err := stubhost.Enrol(r.t.Context(), r.rest, r.address, r.own, pod)
	r.must(err)
	h, err := stubhost.Start(stubhost.Config{
		Namespace: r.own, Name: name, Runtime: runtimeName, Controller: r.address, Credentials: made,
	})
	r.must(err)
	r.t.Cleanup(h.Stop)
	return h
}

func (r *rig) create(objects ...client.Object) {
	r.t.Helper()
	for _, o := range objects {
		r.must(r.client.Create(r.t.Context(), o))
	}
}

// edit changes an object as its owner would, again when somebody else has written meanwhile.
func (r *rig) edit(o client.Object, change func()) {
	r.t.Helper()
	r.must(retry.RetryOnConflict(retry.DefaultRetry, func() error {
		if err := r.client.Get(r.t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
			return err
		}
		change()
		return r.client.Update(r.t.Context(), o)
	}))
}

func (r *rig) runtime() *v1alpha1.ServingRuntime {
	multi, auto := true, true
	version, endpoint := "1", "port:8001"
	return &v1alpha1.ServingRuntime{
		ObjectMeta: metav1.ObjectMeta{Namespace: r.own, Name: runtimeName},
		Spec: v1alpha1.ServingRuntimeSpec{
			MultiModel:            &multi,
			SupportedModelFormats: []v1alpha1.SupportedModelFormat{{Name: "sklearn", Version: &version, AutoSelect: &auto}},
			GrpcDataEndpoint:      &endpoint,
			ServingRuntimePodSpec: v1alpha1.ServingRuntimePodSpec{Containers: []corev1.Container{{
				Name: "mlserver", Image: "mlserver",
				Resources: corev1.ResourceRequirements{
					Requests: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")},
					Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")},
				},
			}}},
			BuiltInAdapter: &v1alpha1.BuiltInAdapter{ServerType: "mlserver"},
		},
	}
}

func (r *rig) isvc(name, path string) *v1beta1.InferenceService {
	return &v1beta1.InferenceService{
		ObjectMeta: metav1.ObjectMeta{Namespace: r.own, Name: name, Annotations: map[string]string{
			serving.AnnotationDeploymentMode: serving.DeploymentModeModelMesh,
		}},
		Spec: v1beta1.InferenceServiceSpec{Predictor: v1beta1.PredictorSpec{Model: &v1beta1.ModelSpec{
			ModelFormat:            v1beta1.ModelFormat{Name: "sklearn"},
			PredictorExtensionSpec: v1beta1.PredictorExtensionSpec{Storage: &v1beta1.StorageSpec{Path: &path}},
		}}},
	}
}

// untilISVC waits for an InferenceService to be as wanted.
func (r *rig) untilISVC(name, what string, wanted func(*v1beta1.InferenceService) bool) *v1beta1.InferenceService {
	r.t.Helper()
	o := &v1beta1.InferenceService{}
	o.Name = name
	until(r, &v1beta1.InferenceServiceList{}, o, what, func() bool { return wanted(o) })
	return o
}

func (r *rig) untilPredictor(name, what string, wanted func(*v1alpha1.Predictor) bool) *v1alpha1.Predictor {
	r.t.Helper()
	o := &v1alpha1.Predictor{}
	o.Name = name
	until(r, &v1alpha1.PredictorList{}, o, what, func() bool { return wanted(o) })
	return o
}

// until watches one object by name, and fills it in, until it is as wanted.
func until(r *rig, list client.ObjectList, o client.Object, what string, wanted func() bool) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	w, err := r.client.Watch(ctx, list, client.InNamespace(r.own), client.MatchingFields{"metadata.name": o.GetName()})
	r.must(err)
	defer w.Stop()
	name := client.ObjectKey{Namespace: r.own, Name: o.GetName()}
	for {
		if err := r.client.Get(ctx, name, o); err == nil && wanted() {
			return
		}
		if _, open := <-w.ResultChan(); !open {
			r.t.Fatalf("%s: never, it is %+v", what, o)
		}
	}
}

func ready(o *v1beta1.InferenceService) bool {
	for _, c := range o.Status.Conditions {
		if c.Type == v1beta1.ConditionReady {
			return c.Status == corev1.ConditionTrue && o.Status.ModelStatus.ModelRevisionStates.ActiveModelState == v1beta1.Loaded &&
				o.Status.ModelStatus.TransitionStatus == v1beta1.UpToDate
		}
	}
	return false
}
