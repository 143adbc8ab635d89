package objects

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wasmesh/wasmesh/sdk/apis/serving"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
)

const runtimeName = "mlserver-1.x"

func servingRuntime() *v1alpha1.ServingRuntime {
	yes, endpoint := true, "port:8001"
	memory := corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")}
	return &v1alpha1.ServingRuntime{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: runtimeName},
		Spec: v1alpha1.ServingRuntimeSpec{
			MultiModel: &yes, GrpcDataEndpoint: &endpoint,
			SupportedModelFormats: []v1alpha1.SupportedModelFormat{{Name: "sklearn", AutoSelect: &yes}},
			ServingRuntimePodSpec: v1alpha1.ServingRuntimePodSpec{Containers: []corev1.Container{{
				Name: "mlserver", Image: "none", Resources: corev1.ResourceRequirements{Requests: memory, Limits: memory},
			}}},
			BuiltInAdapter: &v1alpha1.BuiltInAdapter{ServerType: "mlserver"},
		},
	}
}

// inferenceService is as in ModelMesh's tutorial.
func inferenceService(number int) *v1beta1.InferenceService {
	path, key := fmt.Sprintf("sklearn/%d/model.joblib", number), "localMinIO"
	return &v1beta1.InferenceService{
		TypeMeta: metav1.TypeMeta{APIVersion: v1beta1.GroupVersion.String(), Kind: v1beta1.Kind},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: fmt.Sprintf("model-%06d", number),
			Annotations: map[string]string{serving.AnnotationDeploymentMode: serving.DeploymentModeModelMesh},
		},
		Spec: v1beta1.InferenceServiceSpec{Predictor: v1beta1.PredictorSpec{Model: &v1beta1.ModelSpec{
			ModelFormat:            v1beta1.ModelFormat{Name: "sklearn"},
			PredictorExtensionSpec: v1beta1.PredictorExtensionSpec{Storage: &v1beta1.StorageSpec{Path: &path, StorageKey: &key}},
		}}},
	}
}

// reconciled says that nothing more is to be written on an object that no host has loaded.
func reconciled(o *v1beta1.InferenceService) bool {
	states := o.Status.ModelStatus.ModelRevisionStates
	return states != nil && states.ActiveModelState == v1beta1.Standby && o.Status.URL != "" &&
		o.Annotations[serving.AnnotationActiveModel] != ""
}
