package envtest_test

import (
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/wasmesh/wasmesh/test/envtest"
)

var inferenceServices = schema.GroupVersionResource{Group: "serving.kserve.io", Version: "v1beta1", Resource: "inferenceservices"}

func TestChartsKindsAreServed(t *testing.T) {
	config := envtest.Start(t)
	namespace := envtest.Namespace(t, config, nil)
	objects := dynamic.NewForConfigOrDie(config).Resource(inferenceServices).Namespace(namespace)
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService",
		"metadata": map[string]any{"name": "model"},
		"spec": map[string]any{"predictor": map[string]any{"model": map[string]any{
			"modelFormat": map[string]any{"name": "sklearn"}, "storageUri": "s3://bucket/model",
		}}},
	}}
	if _, err := objects.Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	list, err := objects.List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != 1 {
		t.Fatalf("list: %d objects, %v; want the one that was made", len(list.Items), err)
	}
}

func TestNamespacesAreSeparateAndLabelled(t *testing.T) {
	config := envtest.Start(t)
	cluster := kubernetes.NewForConfigOrDie(config)
	first := envtest.Namespace(t, config, map[string]string{"modelmesh-enabled": "true"})
	second := envtest.Namespace(t, config, nil)
	if first == second {
		t.Fatalf("both are %s", first)
	}
	object, err := cluster.CoreV1().Namespaces().Get(t.Context(), first, metav1.GetOptions{})
	if err != nil || object.Labels["modelmesh-enabled"] != "true" {
		t.Fatalf("labels %v, %v", object.Labels, err)
	}
}

// A pod identifies itself by a token that the server signed and only the server can judge.
func TestTokensOfPodsAreIssuedAndReviewed(t *testing.T) {
	config := envtest.Start(t)
	cluster := kubernetes.NewForConfigOrDie(config)
	namespace := envtest.Namespace(t, config, nil)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{"wasmesh"}}}
	issued, err := cluster.CoreV1().ServiceAccounts(namespace).CreateToken(t.Context(), "default", request, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for token, want := range map[string]bool{issued.Status.Token: true, issued.Status.Token + "x": false} {
		review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{"wasmesh"}}}
		got, err := cluster.AuthenticationV1().TokenReviews().Create(t.Context(), review, metav1.CreateOptions{})
		if err != nil || got.Status.Authenticated != want {
			t.Errorf("authenticated is %v (%v), want %v", got.Status.Authenticated, err, want)
		}
	}
}

// RBAC is on: a service account may do only what a role allows, as in a real cluster.
func TestAccountsHaveNoRightsByThemselves(t *testing.T) {
	config := envtest.Start(t)
	namespace := envtest.Namespace(t, config, nil)
	config.Impersonate.UserName = "system:serviceaccount:" + namespace + ":default"
	_, err := kubernetes.NewForConfigOrDie(config).CoreV1().Secrets(namespace).List(t.Context(), metav1.ListOptions{})
	if !errors.IsForbidden(err) {
		t.Errorf("listing secrets answers %v, want Forbidden", err)
	}
}

func TestKubeconfigReachesTheServer(t *testing.T) {
	config := envtest.Start(t)
	namespace := envtest.Namespace(t, config, nil)
	read, err := clientcmd.BuildConfigFromFlags("", envtest.Kubeconfig(t, config))
	if err != nil {
		t.Fatal(err)
	}
	made := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "made"}}
	if _, err := kubernetes.NewForConfigOrDie(read).CoreV1().ConfigMaps(namespace).Create(t.Context(), made, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}
