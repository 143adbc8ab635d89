package kubernetes

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wasmesh/wasmesh/controller/policyconfig"
	"github.com/wasmesh/wasmesh/sdk/apis/serving"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
)

// annotationLastApplied is where kubectl keeps a whole copy of the object that it applied.
const annotationLastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// metaOf is the metadata without what others or we ourselves write beside the owner: it would keep memory of the cache's
// object, and change with every status.
func metaOf(m metav1.ObjectMeta) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name: m.Name, Namespace: m.Namespace, UID: m.UID, Generation: m.Generation, CreationTimestamp: m.CreationTimestamp,
		Labels: m.Labels, Annotations: ownersAnnotations(m.Annotations),
	}
}

// ownersAnnotations leaves out ours. What is left is the same map when there is nothing to leave out.
func ownersAnnotations(all map[string]string) map[string]string {
	ours := []string{annotationLastApplied, serving.AnnotationActiveModel, serving.AnnotationRefusedModel}
	if !slices.ContainsFunc(ours, func(key string) bool { _, has := all[key]; return has }) {
		return all
	}
	kept := maps.Clone(all)
	for _, key := range ours {
		delete(kept, key)
	}
	return kept
}

// sameSpec: an API server raises the generation with every change of a spec, and with that only.
func sameSpec(a, b metav1.ObjectMeta) bool {
	return a.Generation == b.Generation && maps.Equal(a.Annotations, b.Annotations) && maps.Equal(a.Labels, b.Labels)
}

// takeInferenceService of the cache. What is being deleted is gone for us, however long others' finalizers hold it.
func takeInferenceService(object any) (*v1beta1.InferenceService, bool) {
	o, is := object.(*v1beta1.InferenceService)
	if !is || o.DeletionTimestamp != nil {
		return nil, false
	}
	return &v1beta1.InferenceService{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1beta1.GroupVersion.String(), Kind: v1beta1.Kind},
		ObjectMeta: metaOf(o.ObjectMeta), Spec: o.Spec,
	}, true
}

func sameInferenceService(a, b *v1beta1.InferenceService) bool {
	return sameSpec(a.ObjectMeta, b.ObjectMeta)
}

func takePredictor(object any) (*v1alpha1.Predictor, bool) {
	o, is := object.(*v1alpha1.Predictor)
	if !is || o.DeletionTimestamp != nil {
		return nil, false
	}
	return &v1alpha1.Predictor{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: v1alpha1.KindPredictor},
		ObjectMeta: metaOf(o.ObjectMeta), Spec: o.Spec,
	}, true
}

// takeLegacyPredictor has the older group in its apiVersion, by which status is written to the right object.
func takeLegacyPredictor(object any) (*v1alpha1.Predictor, bool) {
	o, is := object.(*LegacyPredictor)
	if !is || o.DeletionTimestamp != nil {
		return nil, false
	}
	return &v1alpha1.Predictor{
		TypeMeta:   metav1.TypeMeta{APIVersion: LegacyGroupVersion.String(), Kind: v1alpha1.KindPredictor},
		ObjectMeta: metaOf(o.ObjectMeta), Spec: o.Spec,
	}, true
}

func samePredictor(a, b *v1alpha1.Predictor) bool { return sameSpec(a.ObjectMeta, b.ObjectMeta) }

func takeServingRuntime(object any) (*v1alpha1.ServingRuntime, bool) {
	o, is := object.(*v1alpha1.ServingRuntime)
	if !is || o.DeletionTimestamp != nil {
		return nil, false
	}
	return &v1alpha1.ServingRuntime{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: v1alpha1.KindServingRuntime},
		ObjectMeta: metaOf(o.ObjectMeta), Spec: o.Spec,
	}, true
}

func takeClusterServingRuntime(object any) (*v1alpha1.ClusterServingRuntime, bool) {
	o, is := object.(*v1alpha1.ClusterServingRuntime)
	if !is || o.DeletionTimestamp != nil {
		return nil, false
	}
	return &v1alpha1.ClusterServingRuntime{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: v1alpha1.KindClusterServingRuntime},
		ObjectMeta: metaOf(o.ObjectMeta), Spec: o.Spec,
	}, true
}

func takeNamespace(object any) (*corev1.Namespace, bool) {
	o, is := object.(*corev1.Namespace)
	return o, is
}

func sameNamespace(a, b *corev1.Namespace) bool {
	return maps.Equal(a.Labels, b.Labels) && terminating(a) == terminating(b)
}

func takeSecret(object any) (*corev1.Secret, bool) {
	o, is := object.(*corev1.Secret)
	return o, is && o.DeletionTimestamp == nil
}

func sameSecret(a, b *corev1.Secret) bool { return maps.EqualFunc(a.Data, b.Data, slices.Equal) }

// takeConfigMap wants policies, and what may have been meant to be one.
func takeConfigMap(object any) (*corev1.ConfigMap, bool) {
	o, is := object.(*corev1.ConfigMap)
	if !is || o.DeletionTimestamp != nil {
		return nil, false
	}
	_, labelled := o.Labels[policyconfig.Label]
	return o, labelled
}

func sameConfigMap(a, b *corev1.ConfigMap) bool {
	return maps.Equal(a.Labels, b.Labels) && maps.Equal(a.Data, b.Data) && maps.EqualFunc(a.BinaryData, b.BinaryData, slices.Equal)
}
