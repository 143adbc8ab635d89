package servingruntime

import (
	"testing"
	"time"

	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
)

// FVT E: a runtime of KServe's has no Deployment, nor one that is disabled, and one that becomes so loses it.
func TestRuntimesThatAreNotForTheMesh(t *testing.T) {
	b := newBench(t)
	no, yes := false, true
	b.runtime("single", "onnx", func(r *v1alpha1.ServingRuntime) { r.Spec.MultiModel = nil })
	b.runtime("disabled", "onnx", func(r *v1alpha1.ServingRuntime) { r.Spec.Disabled = &yes })
	b.runtime("mesh", "sklearn")
	b.model("m", "sklearn")
	b.round()
	if b.pods("single") != -1 || b.pods("disabled") != -1 {
		t.Error("a runtime that is not for the mesh has a Deployment")
	}
	b.wantPods("mesh", 2)
	b.edit("mesh", func(r *v1alpha1.ServingRuntime) { r.Spec.MultiModel = &no })
	b.round()
	if b.pods("mesh") != -1 {
		t.Error("the Deployment outlives its use")
	}
	b.edit("mesh", func(r *v1alpha1.ServingRuntime) { r.Spec.MultiModel = &yes })
	b.round()
	b.wantPods("mesh", 2)
	b.atRest()
}

// FVT H: pods are there while a model needs the runtime, and for the grace period after.
func TestScaleToZero(t *testing.T) {
	b := newBench(t)
	b.config.ScaleToZero.GracePeriod = 5 * time.Second
	b.runtime("a", "sklearn")
	b.runtime("b", "onnx")
	b.round()
	b.wantPods("a", 0)
	b.wantPods("b", 0)
	b.atRest()

	b.model("m", "sklearn")
	b.round()
	b.wantPods("a", 2)
	b.wantPods("b", 0)
	b.pass(time.Hour)
	b.wantPods("a", 2)
	b.atRest()

	b.withdraw("m")
	b.pass(time.Second)
	b.wantPods("a", 2)
	b.pass(3 * time.Second)
	b.model("again", "sklearn")
	b.pass(10 * time.Second)
	b.wantPods("a", 2)

	b.withdraw("again")
	b.pass(time.Second)
	b.wantPods("a", 2)
	b.pass(5 * time.Second)
	b.wantPods("a", 0)
	b.atRest()

	b.model("back", "sklearn")
	b.round()
	b.wantPods("a", 2)
}

// What a controller that was restarted does not know of is left alone for as long as it would leave anything.
func TestScaleToZeroAfterARestart(t *testing.T) {
	b := newBench(t)
	b.runtime("used", "sklearn")
	b.runtime("idle", "onnx")
	b.model("m", "sklearn")
	b.round()
	b.withdraw("m")
	b.restart()
	b.round()
	b.wantPods("used", 2)
	b.wantPods("idle", 0)
	b.pass(59 * time.Second)
	b.wantPods("used", 2)
	b.pass(2 * time.Second)
	b.wantPods("used", 0)
}

func TestNumberOfPods(t *testing.T) {
	b := newBench(t)
	three := uint16(3)
	b.runtime("said", "sklearn", func(r *v1alpha1.ServingRuntime) { r.Spec.Replicas = &three })
	b.runtime("default", "onnx")
	b.config.PodsPerRuntime = 1
	b.config.ScaleToZero.Enabled = false
	b.round()
	b.wantPods("said", 3)
	b.wantPods("default", 1)
	b.atRest()
	// Somebody's kubectl scale is put right.
	b.scaleAs("kubectl", "default", "4")
	b.round()
	b.wantPods("default", 1)
	// A change of the pods is not one of their number.
	b.edit("said", func(r *v1alpha1.ServingRuntime) { r.Spec.Labels = map[string]string{"team": "a"} })
	b.round()
	b.wantPods("said", 3)
	b.atRest()
}

// ModelMesh took an InferenceService that it could not read for one that could need any runtime.
func TestABrokenInferenceServiceKeepsNoRuntimeUp(t *testing.T) {
	b := newBench(t)
	b.runtime("a", "sklearn")
	b.model("broken", "sklearn", func(m *v1beta1.InferenceService) { *m.Spec.Predictor.Model.StorageURI = "nowhere://x" })
	b.round()
	b.wantPods("a", 0)
	b.model("unsupported", "pmml")
	b.round()
	b.wantPods("a", 0)
}

func autoscaled(r *v1alpha1.ServingRuntime) {
	r.Annotations = map[string]string{"serving.kserve.io/autoscalerClass": "hpa"}
}

// FVT J: an autoscaler stands beside the pods of a runtime that asks for one, and goes with them.
func TestAutoscaler(t *testing.T) {
	b := newBench(t)
	b.config.ScaleToZero.GracePeriod = 5 * time.Second
	annotate := func(annotations map[string]string) func(*v1alpha1.ServingRuntime) {
		return func(r *v1alpha1.ServingRuntime) { r.Annotations = annotations }
	}
	class := map[string]string{"serving.kserve.io/autoscalerClass": "hpa"}
	b.runtime("a", "sklearn", autoscaled)
	b.round()
	if b.autoscaler("a") != nil {
		t.Fatal("an autoscaler though no model needs the runtime")
	}
	b.wantPods("a", 0)

	b.model("m", "sklearn")
	b.round()
	b.wantPods("a", 1)
	b.wantAutoscaler("a", 1, 1, 80, "cpu")
	b.atRest()

	b.edit("a", annotate(map[string]string{
		"serving.kserve.io/autoscalerClass": "hpa", "serving.kserve.io/metrics": "memory",
		"serving.kserve.io/targetUtilizationPercentage": "90",
		"serving.kserve.io/min-scale":                   "2", "serving.kserve.io/max-scale": "4",
	}))
	b.round()
	b.wantAutoscaler("a", 2, 4, 90, "memory")
	// The autoscaler says how many there are, whatever else changes.
	b.scaleAs("kube-controller-manager", "a", "4")
	b.atRest()
	b.edit("a", func(r *v1alpha1.ServingRuntime) { r.Spec.Labels = map[string]string{"team": "a"} })
	b.round()
	b.wantPods("a", 4)
	b.restart()
	b.round()
	b.wantPods("a", 4)
	b.atRest()

	b.edit("a", annotate(class))
	b.round()
	b.wantAutoscaler("a", 1, 1, 80, "cpu")
	b.wantPods("a", 4) // The autoscaler will lower it.

	// Changed and not needed at once: ModelMesh updated it instead of deleting it.
	b.edit("a", annotate(map[string]string{"serving.kserve.io/autoscalerClass": "hpa", "serving.kserve.io/max-scale": "3"}))
	b.withdraw("m")
	b.round()
	b.pass(6 * time.Second)
	if b.autoscaler("a") != nil {
		t.Error("the autoscaler outlives the pods")
	}
	b.wantPods("a", 0)
	b.atRest()

	b.model("m", "sklearn")
	b.round()
	b.wantAutoscaler("a", 1, 3, 80, "cpu")
	b.edit("a", annotate(nil))
	b.round()
	if b.autoscaler("a") != nil {
		t.Error("the autoscaler outlives its annotation")
	}
	b.wantPods("a", 2)
}

// ModelMesh never made the Deployment of a new runtime with an autoscaler if a model was there before.
func TestAutoscalerOfANewRuntimeThatIsNeeded(t *testing.T) {
	b := newBench(t)
	b.model("m", "sklearn")
	b.runtime("a", "sklearn", func(r *v1alpha1.ServingRuntime) {
		r.Annotations = map[string]string{"serving.kserve.io/autoscalerClass": "hpa", "serving.kserve.io/min-scale": "2", "serving.kserve.io/max-scale": "2"}
	})
	b.round()
	b.wantPods("a", 2)
	b.wantAutoscaler("a", 2, 2, 80, "cpu")
}

// An unknown class made ModelMesh's controller panic.
func TestABadAutoscalerIsRefused(t *testing.T) {
	b := newBench(t)
	b.model("m", "sklearn")
	b.runtime("a", "sklearn")
	b.round()
	b.edit("a", func(r *v1alpha1.ServingRuntime) {
		r.Annotations = map[string]string{"serving.kserve.io/autoscalerClass": "keda"}
	})
	b.round()
	b.wantPods("a", 2)
	if b.autoscaler("a") != nil {
		t.Error("an autoscaler of an unknown class")
	}
	b.atRest()
}

func (b *bench) wantAutoscaler(runtime string, lowest, highest, target int32, metric string) {
	b.t.Helper()
	a := b.autoscaler(runtime)
	if a == nil {
		b.t.Fatal("no autoscaler")
	}
	m := a.Spec.Metrics[0].Resource
	if *a.Spec.MinReplicas != lowest || a.Spec.MaxReplicas != highest || *m.Target.AverageUtilization != target || string(m.Name) != metric {
		b.t.Fatalf("autoscaler from %d to %d at %d %% of %s; want from %d to %d at %d %% of %s", *a.Spec.MinReplicas, a.Spec.MaxReplicas,
			*m.Target.AverageUtilization, m.Name, lowest, highest, target, metric)
	}
}
