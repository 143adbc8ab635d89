package resources

import (
	"encoding/json"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wasmesh/wasmesh/test/envtest"
)

// tree is an object as it is sent.
func tree(t *testing.T, o any) *unstructured.Unstructured {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	u := &unstructured.Unstructured{}
	if err := json.Unmarshal(text, &u.Object); err != nil {
		t.Fatal(err)
	}
	return u
}

// A real API server takes every object, and to apply one again writes nothing.
func TestServerTakesObjects(t *testing.T) {
	server := envtest.Start(t)
	cluster, err := client.New(server, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, g := range goldens(t) {
		t.Run(name, func(t *testing.T) {
			g.mesh.Namespace = envtest.Namespace(t, server, nil)
			for _, o := range objects(t, g.mesh, g.runtime, g.replicas) {
				u := tree(t, o)
				if u.GetKind() == "ServiceMonitor" { // The server has no such kind.
					continue
				}
				var versions []string
				for range 2 {
					applied := u.DeepCopy()
					err := cluster.Apply(t.Context(), client.ApplyConfigurationFromUnstructured(applied), client.FieldOwner("test"), client.ForceOwnership)
					if err != nil {
						t.Fatalf("apply %s %s: %v", u.GetKind(), u.GetName(), err)
					}
					versions = append(versions, applied.GetResourceVersion())
				}
				if versions[0] == "" || versions[0] != versions[1] {
					t.Errorf("apply %s %s again: version %s after %s", u.GetKind(), u.GetName(), versions[1], versions[0])
				}
			}
		})
	}
}

// A namespace with restricted pods takes those of the mesh: the gateway as it is, and a runtime's as soon as its containers
// say that they need not be root, which nobody else can know.
func TestRestrictedPods(t *testing.T) {
	server := envtest.Start(t)
	cluster, err := client.New(server, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m := mesh(t, "scaleToZero: {onIdle: true}\ntls: {secretName: certs}")
	m.Namespace = envtest.Namespace(t, server, map[string]string{"pod-security.kubernetes.io/enforce": "restricted"})
	m.TLSSecret, m.Claims = &TLSSecret{}, []string{"a-claim"}
	r := servingRuntime(t, "../../runtimes/mlserver/servingruntime.yaml")
	r.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{
		RunAsNonRoot: ptr(true), AllowPrivilegeEscalation: ptr(false),
		Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}
	gateway, err := Gateway(m)
	if err != nil {
		t.Fatal(err)
	}
	deployment, err := Deployment(m, r, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []*appsv1.Deployment{gateway, deployment} {
		pod := &corev1.Pod{ObjectMeta: d.Spec.Template.ObjectMeta, Spec: d.Spec.Template.Spec}
		pod.Namespace, pod.Name = m.Namespace, d.Name
		if err := cluster.Create(t.Context(), pod); err != nil {
			t.Error(err)
		}
	}
}
