package cluster

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/wasmesh/wasmesh/controller/shippedruntimes"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
)

// Models that were there before the installation are not told that there is no runtime for them while it makes its own.
func TestModelsBeforeTheirRuntime(t *testing.T) {
	r := newRig(t)
	shipped := r.runtime()
	shipped.Namespace, shipped.TypeMeta = "", metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: v1alpha1.KindServingRuntime}
	text, err := yaml.Marshal(shipped)
	r.must(err)
	r.create(r.isvc("a", "one"), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: r.own, Name: shippedruntimes.ConfigMap}, Data: map[string]string{"runtime.yaml": string(text)},
	})
	r.run()
	waiting := r.untilISVC("a", "judged", func(o *v1beta1.InferenceService) bool { return o.Status.ModelStatus.LastFailureInfo != nil })
	if f := waiting.Status.ModelStatus.LastFailureInfo; f.Reason != v1beta1.RuntimeUnhealthy {
		t.Errorf("first judged as %+v", f)
	}
	r.host("pod-0")
	r.untilISVC("a", "loaded", ready)
}
