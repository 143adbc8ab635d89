package cluster_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wasmesh/wasmesh/controller/admin"
	"github.com/wasmesh/wasmesh/controller/decide"
	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/cluster"
	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/cluster/clustertest"
	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// start serves an API with the objects.
func start(t *testing.T, objects ...string) *clustertest.Server {
	t.Helper()
	s := clustertest.New()
	t.Cleanup(s.Close)
	if err := s.Put(objects...); err != nil {
		t.Fatal(err)
	}
	return s
}

// open answers the cluster as somebody in the namespace sees it.
func open(t *testing.T, s *clustertest.Server, namespace, controllerNamespace string) *cluster.Cluster {
	t.Helper()
	path, err := s.Kubeconfig(t.TempDir(), namespace)
	if err != nil {
		t.Fatal(err)
	}
	c, err := cluster.Open(cluster.Config{Kubeconfig: path, ControllerNamespace: controllerNamespace})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func openAdmin(t *testing.T, c *cluster.Cluster) *cluster.Admin {
	t.Helper()
	a, err := c.Admin()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

// hosts is as much of a mesh as is asked for; anything else panics.
type hosts struct{ admin.Mesh }

func (hosts) Hosts() []decide.Host {
	return []decide.Host{{Hello: &syncv1.Hello{HostId: "mlserver-0"}, Connected: true}}
}

// controller serves the real admin service and answers its address.
func controller(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- admin.New(admin.Config{Mesh: hosts{}}).Serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return listener.Addr().String()
}

// The controller is asked through a port of its pod that is ready, wherever it is.
func TestControllerIsAsked(t *testing.T) {
	s := start(t,
		clustertest.Pod("wasmesh", "starting", clustertest.ControllerLabels, "", false),
		clustertest.Pod("wasmesh", "wasmesh-controller-0", clustertest.ControllerLabels, "", true),
		clustertest.Pod("wasmesh", "another", "app: another", "", true))
	s.Forward("wasmesh-controller-0", 11882, controller(t))
	c := open(t, s, "models", "")
	answer, err := openAdmin(t, c).ListHosts(t.Context(), &adminv1.ListHostsRequest{})
	if err != nil || len(answer.GetHosts()) != 1 || answer.GetHosts()[0].GetHello().GetHostId() != "mlserver-0" {
		t.Errorf("answer %v, error %v", answer, err)
	}
	if namespace, err := c.PolicyNamespace(t.Context()); err != nil || namespace != "wasmesh" {
		t.Errorf("policies in %q, error %v", namespace, err)
	}
}

// Of several replicas only the leader listens, and pods do not say which it is.
func TestControllerThatLeads(t *testing.T) {
	s := start(t,
		clustertest.Pod("wasmesh", "wasmesh-controller-0", clustertest.ControllerLabels, "", true),
		clustertest.Pod("wasmesh", "wasmesh-controller-1", clustertest.ControllerLabels, "", true))
	s.Forward("wasmesh-controller-1", 11882, controller(t))
	answer, err := openAdmin(t, open(t, s, "models", "")).ListHosts(t.Context(), &adminv1.ListHostsRequest{}, grpc.WaitForReady(true))
	if err != nil || len(answer.GetHosts()) != 1 {
		t.Errorf("answer %v, error %v", answer, err)
	}
}

// Who may list pods of one namespace only finds the controller there, or names its namespace.
func TestControllerOfOneNamespace(t *testing.T) {
	s := start(t, clustertest.Pod("mine", "c-0", clustertest.ControllerLabels, "", true),
		clustertest.Pod("other", "c-1", clustertest.ControllerLabels, "", true))
	for _, c := range []struct{ namespace, named, want string }{{"mine", "", "mine"}, {"mine", "other", "other"}} {
		if got, err := open(t, s, c.namespace, c.named).PolicyNamespace(t.Context()); err != nil || got != c.want {
			t.Errorf("%+v: %q, error %v", c, got, err)
		}
	}
	_, err := open(t, s, "third", "").PolicyNamespace(t.Context())
	wantProblem(t, err, cluster.NoController, "there are controllers in the namespaces mine, other: choose one with --controller-namespace")
	s.Forbid("list pods --all")
	if got, err := open(t, s, "mine", "").PolicyNamespace(t.Context()); err != nil || got != "mine" {
		t.Errorf("%q, error %v", got, err)
	}
}

func wantProblem(t *testing.T, err error, problem cluster.Problem, text string) {
	t.Helper()
	var of *cluster.Error
	if !errors.As(err, &of) || of.Problem != problem || !strings.Contains(err.Error(), text) {
		t.Errorf("error %v, want problem %d with %q", err, problem, text)
	}
}

// Each thing that a person can do something about says what.
func TestProblems(t *testing.T) {
	ready := clustertest.Pod("wasmesh", "c-0", clustertest.ControllerLabels, "", true)
	starting := clustertest.Pod("wasmesh", "c-0", clustertest.ControllerLabels, "", false)
	completed := strings.Replace(starting, "status: {", "status: {phase: Succeeded, ", 1)
	leaving := strings.Replace(starting, "name: c-0,", `name: c-1, deletionTimestamp: "2026-01-01T00:00:00Z",`, 1)
	for _, c := range []struct {
		name      string
		objects   []string
		forbidden string
		problem   cluster.Problem
		says      string
	}{
		{"no controller", nil, "", cluster.NoController, "there is no controller in this cluster: install the chart"},
		{"uninstalled", []string{completed, leaving}, "", cluster.NoController, "there is no controller in this cluster: install the chart"},
		{"not ready", []string{leaving, starting}, "", cluster.NoController,
			"the controller (pod wasmesh/c-0) is not ready: `kubectl describe pod c-0 -n wasmesh` says why"},
		{"not in this namespace", []string{ready}, "list pods --all", cluster.NoController, "name its namespace with --controller-namespace"},
		{"no pods", []string{ready}, "list pods", cluster.Forbidden, "you may not list pods in namespace models (`kubectl auth can-i list pods -n models` says so)"},
		{"no port-forward", []string{ready}, "create pods/portforward", cluster.Forbidden,
			"you may not forward ports of pods in namespace wasmesh (`kubectl auth can-i create pods/portforward -n wasmesh` says so)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, c.objects...)
			if c.forbidden != "" {
				s.Forbid(c.forbidden)
			}
			a := openAdmin(t, open(t, s, "models", ""))
			if _, err := a.ListHosts(t.Context(), &adminv1.ListHostsRequest{}); err == nil {
				t.Error("the controller answered")
			}
			wantProblem(t, a.Failure(), c.problem, c.says)
		})
	}
}

func TestNoConfig(t *testing.T) {
	t.Setenv("KUBECONFIG", "")
	t.Setenv("HOME", t.TempDir())
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	_, err := cluster.Open(cluster.Config{})
	wantProblem(t, err, cluster.NoConfig, "--kubeconfig or --context")
	_, err = cluster.Open(cluster.Config{Kubeconfig: "/nowhere"})
	wantProblem(t, err, cluster.NoConfig, "/nowhere")
	path, err := start(t).Kubeconfig(t.TempDir(), "default")
	if err != nil {
		t.Fatal(err)
	}
	_, err = cluster.Open(cluster.Config{Kubeconfig: path, Context: "other"})
	wantProblem(t, err, cluster.NoConfig, "other")
}

const isvc = `{apiVersion: serving.kserve.io/v1beta1, kind: InferenceService, metadata: {namespace: models, name: digits, managedFields: [{manager: kubectl}]}, spec: {}}`

// Objects come from the API server: the controller is not needed, and not asked.
func TestObjects(t *testing.T) {
	s := start(t, isvc, strings.Replace(isvc, "models, name: digits", "other, name: digits", 1), strings.Replace(isvc, "digits", "a", 1))
	a := openAdmin(t, open(t, s, "models", ""))
	for _, c := range []struct {
		request *adminv1.ListObjectsRequest
		want    []string
	}{
		{&adminv1.ListObjectsRequest{Kind: "InferenceService"}, []string{"models/a", "models/digits", "other/digits"}},
		{&adminv1.ListObjectsRequest{Kind: "InferenceService", Namespace: "models"}, []string{"models/a", "models/digits"}},
		{&adminv1.ListObjectsRequest{Kind: "InferenceService", Name: "digits"}, []string{"models/digits", "other/digits"}},
		{&adminv1.ListObjectsRequest{Kind: "ServingRuntime"}, nil},
	} {
		answer, err := a.ListObjects(t.Context(), c.request)
		if err != nil || !slices.Equal(names(t, answer.GetObjects()), c.want) {
			t.Errorf("%v: %v, error %v", c.request, answer.GetObjects(), err)
		}
		if strings.Contains(strings.Join(answer.GetObjects(), ""), "managedFields") {
			t.Error("it shows managed fields")
		}
	}
	s.Remove("predictors")
	_, err := a.ListObjects(t.Context(), &adminv1.ListObjectsRequest{Kind: "Predictor"})
	wantProblem(t, err, cluster.NotInstalled, "the cluster does not know predictors.serving.kserve.io: install the chart")
	s.Forbid("list inferenceservices")
	_, err = a.ListObjects(t.Context(), &adminv1.ListObjectsRequest{Kind: "InferenceService"})
	wantProblem(t, err, cluster.Forbidden, "you may not list inferenceservices.serving.kserve.io in all namespaces")
	s.Close()
	_, err = a.ListObjects(t.Context(), &adminv1.ListObjectsRequest{Kind: "ServingRuntime"})
	wantProblem(t, err, cluster.Unreachable, "does not answer")
}

func names(t *testing.T, objects []string) (all []string) {
	t.Helper()
	for _, text := range objects {
		var o metav1.PartialObjectMetadata
		if err := json.Unmarshal([]byte(text), &o); err != nil {
			t.Fatal(err)
		}
		all = append(all, o.Namespace+"/"+o.Name)
	}
	return all
}

// A watch sends the whole list after each change.
func TestWatch(t *testing.T) {
	s := start(t, isvc)
	watch, err := openAdmin(t, open(t, s, "models", "")).WatchObjects(t.Context(), &adminv1.WatchObjectsRequest{Kind: "InferenceService", Namespace: "models"})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		change func() error
		want   []string
	}{
		{func() error { return nil }, []string{"models/digits"}},
		{func() error { return s.Put(strings.Replace(isvc, "digits", "a", 1)) }, []string{"models/a", "models/digits"}},
		{func() error { s.Delete("inferenceservices", "models", "digits"); return nil }, []string{"models/a"}},
	} {
		if err := step.change(); err != nil {
			t.Fatal(err)
		}
		answer, err := watch.Recv()
		if err != nil || !slices.Equal(names(t, answer.GetObjects()), step.want) {
			t.Fatalf("%v, error %v, want %v", answer.GetObjects(), err, step.want)
		}
	}
}

// Events of either form, oldest first.
func TestEvents(t *testing.T) {
	const about = `involvedObject: {kind: InferenceService, namespace: models, name: digits}`
	s := start(t,
		`{apiVersion: v1, kind: Event, metadata: {namespace: models, name: e1}, `+about+`, type: Warning, reason: ModelLoadFailed, message: no bucket, count: 3, lastTimestamp: "2026-01-01T00:02:00Z"}`,
		`{apiVersion: v1, kind: Event, metadata: {namespace: models, name: e2}, `+about+`, type: Normal, reason: ModelLoaded, eventTime: "2026-01-01T00:01:00.000000Z", series: {count: 2, lastObservedTime: "2026-01-01T00:01:30.000000Z"}}`,
		`{apiVersion: v1, kind: Event, metadata: {namespace: models, name: e3}, involvedObject: {kind: Pod, namespace: models, name: digits}}`)
	answer, err := openAdmin(t, open(t, s, "models", "")).ListEvents(t.Context(), &adminv1.ListEventsRequest{Kind: "InferenceService", Namespace: "models", Name: "digits"})
	if err != nil || len(answer.GetEvents()) != 2 {
		t.Fatalf("%v, error %v", answer, err)
	}
	first, second := answer.GetEvents()[0], answer.GetEvents()[1]
	at := func(text string) int64 {
		parsed, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return parsed.UnixMilli()
	}
	if first.GetReason() != "ModelLoaded" || first.GetCount() != 2 || first.GetTimeMs() != at("2026-01-01T00:01:30Z") ||
		second.GetReason() != "ModelLoadFailed" || second.GetCount() != 3 || second.GetTimeMs() != at("2026-01-01T00:02:00Z") {
		t.Errorf("%v", answer)
	}
}

const service = `{apiVersion: v1, kind: Service, metadata: {namespace: models, name: modelmesh-serving},
spec: {selector: {modelmesh-service: modelmesh-serving}, ports: [{name: grpc, port: 8033, targetPort: grpc}, {name: http, port: 8008, targetPort: 9008}]}}`

func TestServicePod(t *testing.T) {
	s := start(t, service, strings.Replace(service, "namespace: models", "namespace: empty", 1),
		clustertest.Pod("models", "a", "modelmesh-service: modelmesh-serving", "{name: grpc, containerPort: 18033}", false),
		clustertest.Pod("models", "b", "modelmesh-service: modelmesh-serving", "{name: grpc, containerPort: 18033}", true))
	c := open(t, s, "models", "")
	for port, want := range map[string]int32{cluster.PortGRPC: 18033, cluster.PortREST: 9008} {
		pod, err := c.ServicePod(t.Context(), "models", "modelmesh-serving", port)
		if err != nil || pod.Name != "b" || pod.Port != want {
			t.Errorf("%s: %v, error %v", port, pod, err)
		}
	}
	for _, k := range []struct{ namespace, service, port, says string }{
		{"other", "modelmesh-serving", "grpc", "`kubectl label namespace other modelmesh-enabled=true` makes one"},
		{"empty", "modelmesh-serving", "grpc", "no pod behind Service modelmesh-serving of namespace empty is ready"},
		{"models", "modelmesh-serving", "https", "has no port https"},
	} {
		_, err := c.ServicePod(t.Context(), k.namespace, k.service, k.port)
		wantProblem(t, err, cluster.NoMesh, k.says)
	}
}

// A namespace has a mesh when its label says so; that of the controller has one unless its label says otherwise.
func TestNoMesh(t *testing.T) {
	namespace := func(name, labels string) string {
		return "{apiVersion: v1, kind: Namespace, metadata: {name: " + name + ", labels: {" + labels + "}}}"
	}
	s := start(t, namespace("models", "modelmesh-enabled: 'true'"), namespace("bare", ""), namespace("shut", "modelmesh-enabled: 'false'"), namespace("wasmesh", ""),
		clustertest.Pod("wasmesh", "c-0", clustertest.ControllerLabels, "", true))
	for name, mesh := range map[string]bool{"models": true, "bare": false, "shut": false, "wasmesh": true, "unknown": true} {
		err := open(t, s, "models", "").NoMesh(t.Context(), name)
		if mesh && err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !mesh {
			wantProblem(t, err, cluster.NoMesh, "`kubectl label namespace "+name+" modelmesh-enabled=true --overwrite` makes one")
		}
	}
	if err := open(t, s, "models", "shut").NoMesh(t.Context(), "shut"); err == nil {
		t.Error("the controller's own namespace, switched off: no error")
	}
	s.Forbid("get namespaces")
	if err := open(t, s, "models", "").NoMesh(t.Context(), "bare"); err != nil {
		t.Errorf("who may not see namespaces is told %v", err)
	}
}

func policy(data string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: "wasmesh", Name: "mine", Labels: map[string]string{"wasmesh.dev/policy": "true"}},
		Data:       map[string]string{"sha256": data}, BinaryData: map[string][]byte{"policy.wasm.gz": []byte(data)},
	}
}

// A ConfigMap is made, replaced whole, left alone when it is the same, and never taken from somebody else.
func TestPutConfigMap(t *testing.T) {
	s := start(t)
	c := open(t, s, "wasmesh", "")
	for i, want := range []bool{true, false} {
		if changed, err := c.PutConfigMap(t.Context(), policy("a"), "wasmesh.dev/policy"); err != nil || changed != want {
			t.Errorf("attempt %d: changed %v, error %v", i, changed, err)
		}
	}
	if err := s.Put(`{apiVersion: v1, kind: ConfigMap, metadata: {namespace: wasmesh, name: mine, labels: {wasmesh.dev/policy: "true", team: a}, annotations: {note: kept}},
data: {mode: shadow}, binaryData: {other.wasm: AA==}}`); err != nil {
		t.Fatal(err)
	}
	if changed, err := c.PutConfigMap(t.Context(), policy("b"), "wasmesh.dev/policy"); err != nil || !changed {
		t.Errorf("changed %v, error %v", changed, err)
	}
	content, err := s.Object("configmaps", "wasmesh", "mine").MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	for text, there := range map[string]bool{`"note":"kept"`: true, `"team":"a"`: true, `"sha256":"b"`: true, "shadow": false, "other.wasm": false} {
		if strings.Contains(string(content), text) != there {
			t.Errorf("%s is there: %v, in %s", text, !there, content)
		}
	}
	if writes := s.Writes(); !slices.Equal(writes, []string{"POST configmaps/wasmesh/mine", "PUT configmaps/wasmesh/mine"}) {
		t.Errorf("writes %v", writes)
	}
	if err := s.Put(`{apiVersion: v1, kind: ConfigMap, metadata: {namespace: wasmesh, name: mine}, data: {a: b}}`); err != nil {
		t.Fatal(err)
	}
	_, err = c.PutConfigMap(t.Context(), policy("c"), "wasmesh.dev/policy")
	wantProblem(t, err, cluster.Taken, "ConfigMap wasmesh/mine holds something else")
	s.Forbid("get configmaps")
	_, err = c.PutConfigMap(t.Context(), policy("c"), "wasmesh.dev/policy")
	wantProblem(t, err, cluster.Forbidden, "you may not update configmaps in namespace wasmesh")
}
