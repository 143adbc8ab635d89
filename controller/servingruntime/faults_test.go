package servingruntime

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/wasmesh/wasmesh/controller/config"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
)

// A runtime that becomes faulty keeps its pods as they are, and others theirs.
func TestAFaultyRuntimeStaysAsItWas(t *testing.T) {
	b := newBench(t)
	b.runtime("a", "sklearn")
	b.runtime("b", "onnx")
	b.model("m", "sklearn")
	b.model("n", "onnx")
	b.round()
	b.edit("a", func(r *v1alpha1.ServingRuntime) { r.Spec.Containers[0].Name = "mm-reserved" })
	b.edit("b", func(r *v1alpha1.ServingRuntime) { r.Spec.Labels = map[string]string{"team": "b"} })
	if n := b.round(); n != 1 {
		t.Errorf("%d writes; want one, for the other runtime", n)
	}
	b.pass(time.Hour)
	b.wantPods("a", 2)
	b.wantPods("b", 2)
}

// What only the API server can judge is told to the owner once, and not tried again until something changes.
func TestADeploymentThatIsRefused(t *testing.T) {
	b := newBench(t)
	b.runtime("a", "sklearn", func(r *v1alpha1.ServingRuntime) {
		r.Spec.Tolerations = []corev1.Toleration{{Key: "a", Operator: "Perhaps"}}
	})
	b.model("m", "sklearn")
	for range 2 {
		key := types.NamespacedName{Namespace: b.namespace, Name: "a"}
		b.declare()
		_, err := b.runtimes.Reconcile(t.Context(), ctrl.Request{NamespacedName: key})
		if err == nil || !strings.Contains(err.Error(), "terminal error") {
			t.Fatalf("error %v; want one that is not tried again", err)
		}
	}
	if len(b.events) != 1 || b.events[0].Reason != EventNotDeployed || b.events[0].Type != corev1.EventTypeWarning ||
		!strings.Contains(b.events[0].Message, "Perhaps") || b.events[0].Object.Kind != v1alpha1.KindServingRuntime {
		t.Errorf("Events %+v; want one that says why", b.events)
	}
	b.events = nil
	b.edit("a", func(r *v1alpha1.ServingRuntime) { r.Spec.Tolerations = nil })
	b.round()
	b.wantPods("a", 2)
	if len(b.events) != 1 || b.events[0].Reason != EventScaledUp {
		t.Errorf("Events %+v; want that it has pods", b.events)
	}
}

// Pods that wait for a Secret which the owner has yet to make are not made; once it is there, they are, without a watch.
func TestTLSWithoutItsSecret(t *testing.T) {
	b := newBench(t)
	b.config.TLS = config.TLS{SecretName: "certificate"}
	b.runtime("a", "sklearn")
	b.model("m", "sklearn")
	b.round()
	if b.pods("a") != -1 || b.due.IsZero() {
		t.Fatalf("%d pods, to be looked at again: %v", b.pods("a"), !b.due.IsZero())
	}
	if len(b.events) != 1 || b.events[0].Reason != EventNotDeployed || !strings.Contains(b.events[0].Message, "certificate") {
		t.Errorf("Events %+v; want one that names the Secret", b.events)
	}
	b.create(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: b.namespace, Name: "certificate"}, Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{"tls.crt": []byte("x"), "tls.key": []byte("x")},
	})
	b.pass(unusableSecretInterval + time.Second)
	b.wantPods("a", 2)
	if !b.due.IsZero() {
		t.Error("still waiting")
	}
}

// A cache that is behind never takes pods away.
func TestAnOldLookAtADeploymentWithPods(t *testing.T) {
	b := newBench(t)
	b.runtime("a", "sklearn")
	b.round()
	d := b.follower.newest().runtimes[types.NamespacedName{Namespace: b.namespace, Name: "a"}]
	m, _, err := b.runtimes.mesh(t.Context(), b.namespace, b.config)
	if err != nil {
		t.Fatal(err)
	}
	should, err := objectsOf(m, d)
	if err != nil {
		t.Fatal(err)
	}
	old := should.deployment.DeepCopy()
	if !b.get(old.Name, old) {
		t.Fatal("no Deployment")
	}
	b.model("m", "sklearn")
	b.round()
	should.deployment.Spec.Template.Labels["team"] = "a"
	if err := b.runtimes.writer.applyDeployment(t.Context(), should.deployment, old); err == nil {
		t.Error("a Deployment was written as it was before")
	}
	b.wantPods("a", 2)
}
