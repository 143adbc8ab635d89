package servingruntime

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
)

func TestServices(t *testing.T) {
	b := newBench(t)
	b.round()
	s := &corev1.Service{}
	if !b.get("modelmesh-serving", s) || s.Spec.ClusterIP != corev1.ClusterIPNone {
		t.Fatalf("no headless Service of the clients: %+v", s.Spec)
	}
	if owner := s.OwnerReferences; len(owner) != 1 || owner[0].Kind != "Namespace" || owner[0].Name != b.namespace {
		t.Errorf("owned by %+v; want the namespace", owner)
	}
	if !b.get("modelmesh-serving-peers", &corev1.Service{}) {
		t.Error("no Service of the peers")
	}
	b.atRest()

	// Not headless any more: that needs another Service.
	b.config.HeadlessService = false
	b.round()
	if !b.get("modelmesh-serving", s) || s.Spec.ClusterIP == corev1.ClusterIPNone {
		t.Errorf("cluster IP %q", s.Spec.ClusterIP)
	}
	b.atRest()

	// Under another name, the one before goes, and nothing that others made.
	b.config.InferenceServiceName = "serving"
	others := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: b.namespace, Name: "mine", Labels: map[string]string{"modelmesh-service": "modelmesh-serving"}},
		Spec:       corev1.ServiceSpec{Selector: map[string]string{"modelmesh-service": "serving"}, Ports: []corev1.ServicePort{{Port: 1}}},
	}
	b.create(others)
	b.runtime("a", "sklearn")
	b.round()
	for name, want := range map[string]bool{"serving": true, "serving-peers": true, "modelmesh-serving": false, "modelmesh-serving-peers": false, "mine": true} {
		if b.get(name, &corev1.Service{}) != want {
			t.Errorf("Service %s: there is one: %v; want %v", name, !want, want)
		}
	}
	if b.pods("a") != -1 || !b.get("serving-a", &appsv1.Deployment{}) {
		t.Error("the Deployment has kept its name")
	}
	b.atRest()
}

func (b *bench) create(o client.Object) {
	b.t.Helper()
	if err := b.client.Create(b.t.Context(), o); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) edited(name string, o client.Object, patch string) {
	b.t.Helper()
	o.SetNamespace(b.namespace)
	o.SetName(name)
	if err := b.client.Patch(b.t.Context(), o, client.RawPatch(types.MergePatchType, []byte(patch)), client.FieldOwner("kubectl-edit")); err != nil {
		b.t.Fatal(err)
	}
}

// What others change of our fields is put right, and what they add stays.
func TestDrift(t *testing.T) {
	b := newBench(t)
	b.runtime("a", "sklearn")
	b.model("m", "sklearn")
	b.round()
	b.edited("modelmesh-serving", &corev1.Service{}, `{"spec":{"selector":{"modelmesh-service":"elsewhere"}},"metadata":{"labels":{"team":"a"}}}`)
	b.edited("modelmesh-serving-a", &appsv1.Deployment{}, `{"spec":{"template":{"spec":{"terminationGracePeriodSeconds":1,"priorityClassName":"high"}}}}`)
	b.edited("modelmesh-serving-a", &policyv1.PodDisruptionBudget{}, `{"spec":{"maxUnavailable":"100%"}}`)
	if n := b.round(); n != 3 {
		t.Errorf("%d writes; want one for each object", n)
	}
	s, d, p := &corev1.Service{}, &appsv1.Deployment{}, &policyv1.PodDisruptionBudget{}
	b.get("modelmesh-serving", s)
	b.get("modelmesh-serving-a", d)
	b.get("modelmesh-serving-a", p)
	if s.Spec.Selector["modelmesh-service"] != "modelmesh-serving" || s.Labels["team"] != "a" {
		t.Errorf("Service: selector %v, labels %v", s.Spec.Selector, s.Labels)
	}
	if pod := d.Spec.Template.Spec; *pod.TerminationGracePeriodSeconds == 1 || pod.PriorityClassName != "high" {
		t.Errorf("Deployment: grace %d, priority %q", *pod.TerminationGracePeriodSeconds, pod.PriorityClassName)
	}
	if p.Spec.MaxUnavailable.String() != "1" {
		t.Errorf("budget: %s", p.Spec.MaxUnavailable)
	}
	b.atRest()
	if err := b.client.Delete(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	b.round()
	b.wantPods("a", 2)
}

// What was wanted and is no more goes, though the API server keeps what it was not told to remove.
func TestFieldsThatAreWantedNoMore(t *testing.T) {
	b := newBench(t)
	b.runtime("a", "sklearn", func(r *v1alpha1.ServingRuntime) { r.Spec.NodeSelector = map[string]string{"disk": "ssd"} })
	b.round()
	d := &appsv1.Deployment{}
	if b.get("modelmesh-serving-a", d); d.Spec.Template.Spec.NodeSelector["disk"] != "ssd" {
		t.Fatal("no node selector")
	}
	b.edit("a", func(r *v1alpha1.ServingRuntime) { r.Spec.NodeSelector = nil })
	b.round()
	if b.get("modelmesh-serving-a", d); d.Spec.Template.Spec.NodeSelector["disk"] != "" {
		t.Error("the node selector stays")
	}
	b.wantPods("a", 0)
}

// A namespace that is no mesh any more loses what was made for it, and nothing else.
func TestNamespaceThatLosesItsLabel(t *testing.T) {
	b := newBench(t)
	b.runtime("a", "sklearn", func(r *v1alpha1.ServingRuntime) {
		r.Annotations = map[string]string{"serving.kserve.io/autoscalerClass": "hpa"}
	})
	b.model("m", "sklearn")
	b.round()
	b.create(&corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: b.namespace, Name: "old",
			Labels: map[string]string{"modelmesh-service": "old", LabelManagedBy: ManagedBy},
		},
		Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 1}}},
	})
	b.isMesh = false
	b.round()
	for _, o := range []client.Object{&appsv1.Deployment{}, &autoscalingv2.HorizontalPodAutoscaler{}, &policyv1.PodDisruptionBudget{}} {
		if b.get("modelmesh-serving-a", o) {
			t.Errorf("%T is left", o)
		}
	}
	if b.get("modelmesh-serving", &corev1.Service{}) || b.get("modelmesh-serving-peers", &corev1.Service{}) {
		t.Error("a Service is left")
	}
	if !b.get("old", &corev1.Service{}) {
		t.Error("what ModelMesh has elsewhere was deleted")
	}
	b.atRest()
	b.isMesh = true
	b.round()
	b.wantPods("a", 1)
	if b.get("old", &corev1.Service{}) {
		t.Error("another Service of ModelMesh's is left in a mesh")
	}
}

// Beside the cluster's controller one may have a namespace to itself: the two once deleted what the other made, for ever.
func TestAnotherControllersNamespace(t *testing.T) {
	b := newBench(t)
	b.runtime("a", "sklearn", autoscaled)
	b.model("m", "sklearn")
	b.round()
	cluster := *b.meshes
	cluster.writer.controller = "elsewhere"
	if err := cluster.prune(t.Context(), b.namespace, nil, b.follower.newest()); err != nil {
		t.Fatal(err)
	}
	for _, o := range []client.Object{&appsv1.Deployment{}, &autoscalingv2.HorizontalPodAutoscaler{}, &policyv1.PodDisruptionBudget{}} {
		if !b.get("modelmesh-serving-a", o) {
			t.Errorf("%T was deleted", o)
		}
	}
	if !b.get("modelmesh-serving", &corev1.Service{}) {
		t.Error("a Service was deleted")
	}
	b.atRest()
}

// Nothing can be made in a namespace that ends; that is no error, which would be tried again for ever. Its pods are not
// waited for: they go at once.
func TestNamespaceThatEnds(t *testing.T) {
	b := newBench(t)
	b.runtime("a", "sklearn")
	b.round()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: b.namespace}}
	if err := b.client.Delete(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	m, _, err := b.runtimes.mesh(t.Context(), b.namespace, b.config)
	if err != nil {
		t.Fatal(err)
	}
	// The cache may not know yet that the namespace ends.
	if err := b.meshes.make(t.Context(), m, inventory{}); err != nil {
		t.Errorf("what is there already: %v", err)
	}
	b.model("m", "sklearn")
	b.round()
	if pods := b.pods("a"); pods != -1 {
		t.Errorf("a Deployment of %d pods is left", pods)
	}
	b.atRest()
	b.isMesh = false
	b.atRest()
	if err := b.meshes.make(t.Context(), m, inventory{}); !ending(err) {
		t.Errorf("error %v; want one that says that the namespace ends", err)
	}
}

// A Deployment that ModelMesh made becomes ours where it is: its containers go, and its pods roll, as many as there are.
func TestTakingOverFromModelMesh(t *testing.T) {
	b := newBench(t)
	old := b.modelMeshs(2)
	gone := old.DeepCopy()
	gone.Name, gone.ResourceVersion, gone.UID = "modelmesh-serving-gone", "", ""
	if err := b.client.Create(t.Context(), gone, client.FieldOwner("manager")); err != nil {
		t.Fatal(err)
	}
	b.runtime("a", "sklearn")
	b.model("m", "sklearn")
	b.config.PodsPerRuntime = 3
	b.round()
	d := &appsv1.Deployment{}
	if !b.get(old.Name, d) || d.UID != old.UID {
		t.Fatal("the Deployment was replaced")
	}
	var containers, env []string
	for _, c := range d.Spec.Template.Spec.Containers {
		containers = append(containers, c.Name)
		for _, e := range c.Env {
			env = append(env, e.Name)
		}
	}
	if strings.Join(containers, " ") != "mlserver mm" || strings.Contains(strings.Join(env, " "), "KV_STORE") {
		t.Errorf("containers %v with environment %v; want those of ours only", containers, env)
	}
	for _, v := range d.Spec.Template.Spec.Volumes {
		if v.Name == "etcd-config" {
			t.Error("the volume of etcd is left")
		}
	}
	b.wantPods("a", 3)
	if b.get(gone.Name, d) {
		t.Error("the Deployment of a runtime that is gone is left")
	}
	b.atRest()
	b.edit("a", func(r *v1alpha1.ServingRuntime) { r.Spec.Labels = map[string]string{"team": "a"} })
	b.round()
	b.wantPods("a", 3)
}

// A Deployment of ModelMesh's that has no pods gets none before its template is ours. To take over its fields is a change
// that the cache tells nobody of.
func TestTakingOverWithoutPods(t *testing.T) {
	b := newBench(t)
	b.modelMeshs(0)
	b.runtime("a", "sklearn")
	b.model("m", "sklearn")
	if result, err := b.reconcile("a"); err != nil || result.RequeueAfter == 0 {
		t.Errorf("%+v, %v; want that it is looked at again soon", result, err)
	}
	b.wantPods("a", 0)
	if _, err := b.reconcile("a"); err != nil {
		t.Fatal(err)
	}
	d := &appsv1.Deployment{}
	b.get("modelmesh-serving-a", d)
	if c := d.Spec.Template.Spec.Containers; len(c) != 2 || *d.Spec.Replicas != 2 {
		t.Errorf("%d pods of the containers %v", *d.Spec.Replicas, c)
	}
}

// Keys that are there twice, which the CRD that comes with an older KServe lets through, server-side apply refuses with a
// bare 500.
func TestKeysThatAreThereTwice(t *testing.T) {
	b := newBench(t)
	b.runtime("a", "sklearn")
	b.edit("a", func(r *v1alpha1.ServingRuntime) {
		c := &r.Spec.Containers[0]
		c.Env = []corev1.EnvVar{{Name: "A", Value: "first"}, {Name: "A", Value: "last"}}
		c.Ports = []corev1.ContainerPort{{ContainerPort: 9000}, {ContainerPort: 9000, Protocol: corev1.ProtocolTCP}}
	})
	b.model("m", "sklearn")
	b.round()
	b.wantPods("a", 2)
	d := &appsv1.Deployment{}
	b.get("modelmesh-serving-a", d)
	if c := d.Spec.Template.Spec.Containers[0]; len(c.Env) != 1 || c.Env[0].Value != "last" || len(c.Ports) != 1 {
		t.Errorf("environment %v, ports %v", c.Env, c.Ports)
	}
	b.atRest()
}
