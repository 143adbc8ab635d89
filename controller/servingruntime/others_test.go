package servingruntime

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/wasmesh/wasmesh/controller/config"
	"github.com/wasmesh/wasmesh/controller/decide"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// newFakeBench is newBench with a fake API server, for what a real one is not needed for.
func newFakeBench(t *testing.T, funcs interceptor.Funcs, objects ...client.Object) *bench {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "ns", UID: "uid-ns"}}
	b := &bench{
		t: t, namespace: ns.Name, isMesh: true, config: config.Default(), now: time.Now(), active: map[decide.Key]*syncv1.Model{},
	}
	plain := fake.NewClientBuilder().WithScheme(newScheme(t)).WithObjects(append(objects, ns)...).WithInterceptorFuncs(funcs).Build()
	b.client = b.counted(plain)
	b.restart()
	return b
}

func (b *bench) reconcile(runtime string) (ctrl.Result, error) {
	b.t.Helper()
	b.declare()
	return b.runtimes.Reconcile(b.t.Context(), ctrl.Request{NamespacedName: types.NamespacedName{Namespace: b.namespace, Name: runtime}})
}

// deploymentOf somebody, which runs pods of its own.
func deploymentOf(name string, labels map[string]string) *appsv1.Deployment {
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, Labels: labels},
		Spec:       appsv1.DeploymentSpec{Replicas: new(int32(3)), Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "mine"}}},
	}
}

// A Deployment that has the name of a runtime's by chance was once deleted.
func TestADeploymentOfOthersIsLeftAlone(t *testing.T) {
	b := newFakeBench(t, interceptor.Funcs{}, deploymentOf("modelmesh-serving-a", nil), deploymentOf("modelmesh-serving-gateway", nil))
	b.runtime("a", "sklearn")
	b.model("m", "sklearn")
	b.sleep.set(types.NamespacedName{Namespace: b.namespace, Name: "a"}, true)
	for range 2 {
		result, err := b.reconcile("a")
		if err != nil || result.RequeueAfter != occupiedInterval {
			t.Fatalf("%+v, %v; want that it is looked at again", result, err)
		}
	}
	if len(b.events) != 1 || b.events[0].Reason != EventNotDeployed || !strings.Contains(b.events[0].Message, "ns/modelmesh-serving-a") {
		t.Errorf("Events %+v; want one that names the Deployment", b.events)
	}
	if len(b.sleep.Asleep()) != 0 {
		t.Error("a runtime that cannot have pods is said to sleep")
	}
	b.config.ScaleToZero.OnIdle = true
	b.declare()
	_, err := b.meshes.Reconcile(t.Context(), ctrl.Request{NamespacedName: types.NamespacedName{Name: b.namespace}})
	if err == nil || !strings.Contains(err.Error(), "ns/modelmesh-serving-gateway") {
		t.Errorf("error %v; want one that names the Deployment", err)
	}
	b.wantPods("a", 3)
	b.wantPods("gateway", 3)
}

// What was declared while a namespace was looked through is not of the inventory, and stays.
func TestPruningLeavesWhatIsNewer(t *testing.T) {
	ours := func(name string) *appsv1.Deployment {
		d := deploymentOf(name, map[string]string{LabelManagedBy: ManagedBy})
		d.Annotations = map[string]string{AnnotationApplied: "1", AnnotationController: "wasmesh"}
		return d
	}
	var declared func()
	b := newFakeBench(t, interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			declared()
			return c.List(ctx, list, opts...)
		},
	}, ours("modelmesh-serving-new"), ours("modelmesh-serving-old"))
	b.declare()
	seen := b.follower.newest()
	declared = func() {
		if b.follower.newest() == seen {
			b.runtime("new", "sklearn")
			b.declare()
		}
	}
	inventoryOf := func(names ...string) inventory {
		wanted := inventory{}
		for _, name := range names {
			wanted.addRuntime("modelmesh-serving-"+name, keepAny)
		}
		return wanted
	}
	if err := b.meshes.prune(t.Context(), b.namespace, inventoryOf(), seen); err != nil {
		t.Fatal(err)
	}
	b.wantPods("new", 3)
	if err := b.meshes.prune(t.Context(), b.namespace, inventoryOf("new"), b.follower.newest()); err != nil {
		t.Fatal(err)
	}
	b.wantPods("new", 3)
	b.wantPods("old", -1)
}

// Without the Secret of TLS a runtime that slept is not woken by any request, which statuses must not promise; and the
// gateway is looked at again as soon as the runtimes.
func TestNothingSleepsWithoutTLS(t *testing.T) {
	b := newFakeBench(t, interceptor.Funcs{})
	b.config.ScaleToZero.OnIdle = true
	b.config.TLS = config.TLS{SecretName: "certificate"}
	b.runtime("a", "sklearn")
	b.sleep.set(types.NamespacedName{Namespace: b.namespace, Name: "a"}, true)
	result, err := b.reconcile("a")
	if err != nil || result.RequeueAfter != unusableSecretInterval || len(b.sleep.Asleep()) != 0 {
		t.Errorf("%+v, %v, asleep %v; want nothing asleep", result, err, b.sleep.Asleep())
	}
	result, err = b.meshes.Reconcile(t.Context(), ctrl.Request{NamespacedName: types.NamespacedName{Name: b.namespace}})
	if err != nil || result.RequeueAfter != unusableSecretInterval {
		t.Errorf("the mesh: %+v, %v; want that it is looked at again", result, err)
	}
}

// What a quota, an admission policy or server-side apply refuses is told to the owner once, and tried again.
func TestADeploymentThatIsRefusedForNow(t *testing.T) {
	deployments := schema.GroupResource{Group: "apps", Resource: "deployments"}
	for name, answer := range map[string]error{
		"forbidden":     apierrors.NewForbidden(deployments, "d", errors.New("why it is so")),
		"failed":        apierrors.NewInternalError(errors.New("why it is so")),
		"unprocessable": apierrors.NewGenericServerResponse(415, "patch", deployments, "d", "why it is so", 0, true),
	} {
		b := newFakeBench(t, applyAnswers(answer))
		b.runtime("a", "sklearn")
		for range 2 {
			if _, err := b.reconcile("a"); !errors.Is(err, answer) || strings.Contains(err.Error(), "terminal") {
				t.Fatalf("%s: error %v; want one that is tried again", name, err)
			}
		}
		if len(b.events) != 1 || b.events[0].Reason != EventNotDeployed || !strings.Contains(b.events[0].Message, "why it is so") ||
			b.events[0].Object.Kind != v1alpha1.KindServingRuntime {
			t.Errorf("%s: Events %+v; want one that says why", name, b.events)
		}
	}
}

// What passes by itself is nothing for the owner of a runtime.
func TestATroubleThatPasses(t *testing.T) {
	deployments := schema.GroupResource{Group: "apps", Resource: "deployments"}
	for name, answer := range map[string]error{
		"busy":        apierrors.NewTooManyRequestsError("later"),
		"slow":        apierrors.NewTimeoutError("later", 1),
		"slow server": apierrors.NewServerTimeout(deployments, "patch", 1),
		"away":        apierrors.NewServiceUnavailable("later"),
		"not there":   apierrors.NewNotFound(deployments, "d"),
		"conflict":    apierrors.NewConflict(deployments, "d", errors.New("later")),
		"no answer":   errors.New("connection refused"),
	} {
		b := newFakeBench(t, applyAnswers(answer))
		b.runtime("a", "sklearn")
		if result, err := b.reconcile("a"); err == nil && result.RequeueAfter == 0 {
			t.Errorf("%s: it is not tried again", name)
		}
		if len(b.events) != 0 {
			t.Errorf("%s: Events %+v; want none", name, b.events)
		}
	}
}

func applyAnswers(answer error) interceptor.Funcs {
	return interceptor.Funcs{
		Apply: func(context.Context, client.WithWatch, runtime.ApplyConfiguration, ...client.ApplyOption) error {
			return answer
		},
	}
}
