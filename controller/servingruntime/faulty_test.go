package servingruntime

import (
	"os"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
)

// breaks makes a runtime one for which there is no adapter.
func breaks(r *v1alpha1.ServingRuntime) { r.Spec.BuiltInAdapter.ServerType = "triton" }

func repairs(r *v1alpha1.ServingRuntime) { r.Spec.BuiltInAdapter.ServerType = "mlserver" }

// modelMeshs creates the Deployment of the runtime a as ModelMesh leaves it behind.
func (b *bench) modelMeshs(pods int32) *appsv1.Deployment {
	b.t.Helper()
	content, err := os.ReadFile("testdata/modelmesh-deployment.yaml")
	if err != nil {
		b.t.Fatal(err)
	}
	d := &appsv1.Deployment{}
	if err := yaml.UnmarshalStrict(content, d); err != nil {
		b.t.Fatal(err)
	}
	d.Namespace, d.Spec.Replicas = b.namespace, &pods
	if err := b.client.Create(b.t.Context(), d, client.FieldOwner("manager")); err != nil {
		b.t.Fatal(err)
	}
	return d
}

// Pods of ModelMesh that no Deployment of ours replaces would answer behind the Service for ever.
func TestModelMeshsDeploymentOfAFaultyRuntime(t *testing.T) {
	b := newBench(t)
	labels := b.modelMeshs(2).Labels
	meta := metav1.ObjectMeta{Namespace: b.namespace, Name: "modelmesh-serving-a", Labels: labels}
	b.create(&autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: meta, Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
		MaxReplicas: 3, ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: meta.Name},
	}})
	b.runtime("a", "sklearn", breaks)
	b.runtime("b", "sklearn")
	b.model("m", "sklearn")
	b.round()
	b.wantPods("a", -1)
	b.wantPods("b", 2)
	if b.autoscaler("a") != nil {
		t.Error("the autoscaler is left")
	}
	b.atRest()
}

// What an edit breaks keeps its pods for the models that it would serve, no longer, and gets none while it is broken.
func TestAFaultyRuntimeThatNoModelNeeds(t *testing.T) {
	for name, change := range map[string]func(*v1alpha1.ServingRuntime){"fixed": func(*v1alpha1.ServingRuntime) {}, "autoscaled": autoscaled} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.config.ScaleToZero.OnIdle = true // What cannot be woken is not put to sleep.
			b.runtime("a", "sklearn", change)
			b.host("a")
			b.model("m", "sklearn")
			b.round()
			pods := b.pods("a")
			b.edit("a", breaks)
			b.round()
			b.pass(10 * time.Minute)
			b.wantPods("a", pods)
			if name == "autoscaled" && b.autoscaler("a") == nil {
				t.Error("the autoscaler is gone")
			}
			b.withdraw("m")
			b.pass(faultyInterval + 2*b.config.ScaleToZero.GracePeriod)
			b.wantPods("a", 0)
			if b.autoscaler("a") != nil {
				t.Error("the autoscaler outlives the pods")
			}
			if !b.get("modelmesh-serving-a", &policyv1.PodDisruptionBudget{}) {
				t.Error("the budget is gone")
			}
			b.atRest()
			b.model("n", "sklearn")
			b.pass(10 * time.Minute)
			b.wantPods("a", 0)
			b.edit("a", repairs)
			b.round()
			b.wantPods("a", pods)
		})
	}
}
