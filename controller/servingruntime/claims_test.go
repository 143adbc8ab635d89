package servingruntime

import (
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
)

func (b *bench) claim(name string) {
	b.t.Helper()
	b.create(&corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: b.namespace, Name: name},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
		},
	})
}

// wantClaims of the pods of a runtime.
func (b *bench) wantClaims(runtime string, want ...string) {
	b.t.Helper()
	d := &appsv1.Deployment{}
	if !b.get("modelmesh-serving-"+runtime, d) {
		b.t.Fatal("no Deployment")
	}
	var got []string
	for _, v := range d.Spec.Template.Spec.Volumes {
		if v.PersistentVolumeClaim != nil {
			got = append(got, v.PersistentVolumeClaim.ClaimName)
		}
	}
	if !slices.Equal(got, want) {
		b.t.Fatalf("pods of %s mount claims %v; want %v", runtime, got, want)
	}
}

// FVT I: pods mount the claims that the storage Secret names, if they are there: with one that is not, none would start.
func TestClaimsOfTheStorageSecret(t *testing.T) {
	b := newBench(t)
	b.runtime("a", "sklearn")
	b.model("m", "sklearn")
	b.round()
	b.wantClaims("a")
	b.create(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: b.namespace, Name: "storage-config"},
		Data: map[string][]byte{
			"first": []byte(`{"type":"pvc","name":"one"}`), "second": []byte(`{"type":"pvc","name":"two"}`),
			// ModelMesh could not read any entry beside one that holds more than strings.
			"http": []byte(`{"type":"http","url":"http://host","headers":{"a":["b"]}}`), "broken": []byte(`{`),
		},
	})
	b.claim("two")
	b.round()
	b.wantClaims("a", "two")
	b.claim("one")
	b.round()
	b.wantClaims("a", "one", "two")
	b.atRest()
	// One that is being deleted would keep pods from starting, and waits until the last lets go.
	one := &corev1.PersistentVolumeClaim{}
	b.get("one", one)
	one.Finalizers = []string{"kubernetes.io/pvc-protection"}
	if err := b.client.Update(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	if err := b.client.Delete(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	b.round()
	b.wantClaims("a", "two")
}

func onClaim(name string) func(*v1beta1.InferenceService) {
	return func(m *v1beta1.InferenceService) { *m.Spec.Predictor.Model.StorageURI = "pvc://" + name + "/model" }
}

// FVT I: other claims only with allowAnyPVC, and then without any entry of the Secret.
func TestClaimsOfModels(t *testing.T) {
	b := newBench(t)
	b.runtime("a", "sklearn")
	b.runtime("b", "onnx")
	b.claim("one")
	b.claim("two")
	b.model("first", "sklearn", onClaim("one"))
	b.model("missing", "sklearn", onClaim("none"))
	b.round()
	b.wantClaims("a")
	b.config.AllowAnyPVC = true
	b.round()
	b.wantClaims("a", "one")
	b.wantClaims("b")
	b.atRest()
	// In ModelMesh, one InferenceService that could not be read made all claims vanish.
	b.model("broken", "sklearn", func(m *v1beta1.InferenceService) { *m.Spec.Predictor.Model.StorageURI = "nowhere://x" })
	b.atRest()
	b.model("second", "sklearn", onClaim("two"))
	b.round()
	b.wantClaims("a", "one", "two")
	b.withdraw("second")
	b.round()
	b.wantClaims("a", "one")
	b.restart()
	b.atRest()
}
