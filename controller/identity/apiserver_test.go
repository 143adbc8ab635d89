package identity

import (
	"log/slog"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wasmesh/wasmesh/sdk/meshcert"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
	"github.com/wasmesh/wasmesh/test/envtest"
)

// realPod makes a pod that nothing runs.
func realPod(t *testing.T, api kubernetes.Interface, namespace, name string) *corev1.Pod {
	t.Helper()
	pod, err := api.CoreV1().Pods(namespace).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.PodSpec{ServiceAccountName: "default", Containers: []corev1.Container{{Name: "mm", Image: "mm"}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

// realToken is what the kubelet would project; pod may be nil.
func realToken(t *testing.T, api kubernetes.Interface, namespace, audience string, pod *corev1.Pod) string {
	t.Helper()
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{audience}}}
	if pod != nil {
		request.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: pod.Name, UID: pod.UID}
	}
	answer, err := api.CoreV1().ServiceAccounts(namespace).CreateToken(t.Context(), "default", request, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return answer.Status.Token
}

// On a real API server: the objects are made as it takes them, and it vouches for pods and nobody else.
func TestOnAnAPIServer(t *testing.T) {
	config := envtest.Start(t)
	own, models := envtest.Namespace(t, config, nil), envtest.Namespace(t, config, map[string]string{"modelmesh-enabled": "true"})
	other := envtest.Namespace(t, config, nil)
	cluster, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	api, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(Config{Namespace: own, Client: cluster, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	a.SetNamespaces([]string{models})
	worked(t, a)
	kept, err := api.CoreV1().Secrets(models).Get(t.Context(), MeshKeySecret, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	worked(t, a)
	again, err := api.CoreV1().Secrets(models).Get(t.Context(), MeshKeySecret, metav1.GetOptions{})
	if err != nil || again.ResourceVersion != kept.ResourceVersion {
		t.Errorf("written again without a reason: %v", err)
	}
	if _, err := api.CoreV1().Secrets(other).Get(t.Context(), MeshKeySecret, metav1.GetOptions{}); err == nil {
		t.Error("a namespace without a mesh has a key")
	}

	pod, gone := realPod(t, api, models, "pod-1"), realPod(t, api, models, "pod-2")
	ofGone := realToken(t, api, models, meshcert.Audience, gone)
	now := int64(0)
	if err := api.CoreV1().Pods(models).Delete(t.Context(), gone.Name, metav1.DeleteOptions{GracePeriodSeconds: &now}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		token string
		want  codes.Code
	}{
		"a pod":                           {realToken(t, api, models, meshcert.Audience, pod), codes.OK},
		"for the API server":              {realToken(t, api, models, "https://kubernetes.default.svc", pod), codes.Unauthenticated},
		"of no pod":                       {realToken(t, api, models, meshcert.Audience, nil), codes.PermissionDenied},
		"of a pod that is gone":           {ofGone, codes.Unauthenticated},
		"of a pod where there is no mesh": {realToken(t, api, other, meshcert.Audience, realPod(t, api, other, "pod-1")), codes.PermissionDenied},
		"changed":                         {strings.ToUpper(realToken(t, api, models, meshcert.Audience, pod)), codes.Unauthenticated},
	} {
		response, err := a.Issue(t.Context(), &syncv1.IssueRequest{CertificateRequest: request(t, newKey(t)), Token: c.token})
		if status.Code(err) != c.want || c.want == codes.OK && len(response.GetCertificates()) != 1 {
			t.Errorf("a token %s: %v, want %s", name, err, c.want)
		}
	}
}
