package cluster_test

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/cluster"
	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/portforward"
	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/portforward/portforwardtest"
	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
	"github.com/wasmesh/wasmesh/test/cluster/certificates"
	"github.com/wasmesh/wasmesh/test/cluster/controlplane"
	"github.com/wasmesh/wasmesh/test/envtest"
	"github.com/wasmesh/wasmesh/test/installed"
)

// kubeconfig writes how somebody of a namespace reaches a real API server.
func kubeconfig(t *testing.T, config *rest.Config, namespace string) string {
	t.Helper()
	file := clientcmdapi.NewConfig()
	file.CurrentContext = "test"
	file.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: "test", Namespace: namespace}
	file.Clusters["test"] = &clientcmdapi.Cluster{Server: config.Host, CertificateAuthority: config.CAFile, CertificateAuthorityData: config.CAData}
	file.AuthInfos["test"] = &clientcmdapi.AuthInfo{
		Token: config.BearerToken, ClientCertificate: config.CertFile, ClientCertificateData: config.CertData,
		ClientKey: config.KeyFile, ClientKeyData: config.KeyData,
		Impersonate: config.Impersonate.UserName,
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*file, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// startWithAuthority starts a control plane of the test's own, and answers who signs the certificates of its kubelets.
func startWithAuthority(t *testing.T) (real, *certificates.Authority) {
	t.Helper()
	plane, err := controlplane.Start(t.Context(), controlplane.Config{
		Programs: installed.Tool(t, "kubernetes"), Dir: t.TempDir(), Address: controlplane.Loopback(), Services: controlplane.Services(),
		Flags: []string{"--disable-admission-plugins=ServiceAccount", "--endpoint-reconciler-type=none"}, // as for envtest
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(plane.Stop)
	config, err := plane.Admin()
	if err != nil {
		t.Fatal(err)
	}
	return realOf(t, config), plane.Authority()
}

// real is a real API server, as somebody sees it.
type real struct {
	client.Client
	config    *rest.Config
	namespace string
}

func startReal(t *testing.T) real {
	t.Helper()
	return realOf(t, envtest.Start(t))
}

func realOf(t *testing.T, config *rest.Config) real {
	t.Helper()
	c, err := client.New(config, client.Options{})
	if err == nil {
		err = v1beta1.AddToScheme(c.Scheme())
	}
	if err != nil {
		t.Fatal(err)
	}
	return real{c, config, envtest.Namespace(t, config, nil)}
}

func (r real) make(t *testing.T, objects ...client.Object) {
	t.Helper()
	for _, o := range objects {
		if err := r.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
}

func (r real) open(t *testing.T) *cluster.Cluster {
	t.Helper()
	c, err := cluster.Open(cluster.Config{Kubeconfig: kubeconfig(t, r.config, r.namespace), ControllerNamespace: r.namespace})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A kubelet that is none, behind a real API server: the way of every port-forward, but for the container runtime.
func TestPortForwardThroughARealAPIServer(t *testing.T) {
	r, authority := startWithAuthority(t)
	address := controller(t)
	asked := make(chan portforward.Pod, 4)
	mux := http.NewServeMux()
	mux.Handle(portforwardtest.KubeletPattern, portforwardtest.Handler(func(p portforward.Pod) (net.Conn, error) {
		asked <- p
		return net.Dial("tcp", address)
	}))
	pair, err := authority.Issue(certificates.Subject{CommonName: "kubelet", Addresses: []net.IP{net.IPv4(127, 0, 0, 1)}})
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := tls.X509KeyPair(pair.Certificate, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	kubelet := httptest.NewUnstartedServer(mux)
	kubelet.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	kubelet.StartTLS()
	t.Cleanup(kubelet.Close)
	r.addNode(t, kubelet)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: r.namespace, Name: "wasmesh-controller-0",
			Labels: map[string]string{"app.kubernetes.io/name": "wasmesh", "app.kubernetes.io/component": "controller"},
		},
		Spec: corev1.PodSpec{NodeName: r.namespace, Containers: []corev1.Container{{Name: "controller", Image: "none"}}},
	}
	r.make(t, pod)
	pod.Status = corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}
	if err := r.Status().Update(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	a := openAdmin(t, r.open(t))
	answer, err := a.ListHosts(t.Context(), &adminv1.ListHostsRequest{})
	if err != nil || len(answer.GetHosts()) != 1 {
		t.Fatalf("answer %v, error %v (%v)", answer, err, a.Failure())
	}
	if got := <-asked; got != (portforward.Pod{Namespace: r.namespace, Name: pod.Name, Port: 11882}) {
		t.Errorf("the kubelet was asked for %v", got)
	}
	nobody := r
	nobody.config = rest.CopyConfig(r.config)
	nobody.config.Impersonate.UserName = "nobody"
	_, err = nobody.open(t).PolicyNamespace(t.Context())
	if err != nil { // It was named, so nothing has to be found.
		t.Error(err)
	}
	b := openAdmin(t, nobody.open(t))
	if _, err := b.ListHosts(t.Context(), &adminv1.ListHostsRequest{}); err == nil {
		t.Error("somebody without rights was answered")
	}
	wantProblem(t, b.Failure(), cluster.Forbidden, "you may not list pods in namespace "+r.namespace)
}

// addNode makes a node, named like the namespace, whose kubelet is the server.
func (r real) addNode(t *testing.T, kubelet *httptest.Server) {
	t.Helper()
	host, port, err := net.SplitHostPort(kubelet.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: r.namespace}}
	r.make(t, node)
	node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: host}}
	node.Status.DaemonEndpoints.KubeletEndpoint.Port = int32(number)
	if err := r.Status().Update(t.Context(), node); err != nil {
		t.Fatal(err)
	}
}

func TestObjectsOfARealAPIServer(t *testing.T) {
	r := startReal(t)
	service := func(name string) *v1beta1.InferenceService {
		return &v1beta1.InferenceService{ObjectMeta: metav1.ObjectMeta{Namespace: r.namespace, Name: name}}
	}
	r.make(t, service("b"))
	a := openAdmin(t, r.open(t))
	watch, err := a.WatchObjects(t.Context(), &adminv1.WatchObjectsRequest{Kind: "InferenceService", Namespace: r.namespace})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		change func()
		want   string
	}{
		{func() {}, "b"},
		{func() { r.make(t, service("a")) }, "a b"},
		{func() {
			if err := r.Delete(t.Context(), service("b")); err != nil {
				t.Fatal(err)
			}
		}, "a"},
	} {
		step.change()
		answer, err := watch.Recv()
		if err != nil {
			t.Fatal(err)
		}
		want := strings.Fields(step.want)
		for i := range want {
			want[i] = r.namespace + "/" + want[i]
		}
		if got := names(t, answer.GetObjects()); !slices.Equal(got, want) {
			t.Errorf("watched %v, want %v", got, want)
		}
	}
	one, err := a.ListObjects(t.Context(), &adminv1.ListObjectsRequest{Kind: "InferenceService", Namespace: r.namespace, Name: "a"})
	if err != nil || len(one.GetObjects()) != 1 || strings.Contains(one.GetObjects()[0], "managedFields") || !strings.Contains(one.GetObjects()[0], `"kind":"InferenceService"`) {
		t.Errorf("%v, error %v", one, err)
	}
	event := &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: r.namespace, Name: "e"},
		InvolvedObject: corev1.ObjectReference{Kind: "InferenceService", Namespace: r.namespace, Name: "a"}, Reason: "ModelLoaded", Type: "Normal",
	}
	r.make(t, event)
	events, err := a.ListEvents(t.Context(), &adminv1.ListEventsRequest{Kind: "InferenceService", Namespace: r.namespace, Name: "a"})
	if err != nil || len(events.GetEvents()) != 1 || events.GetEvents()[0].GetReason() != "ModelLoaded" {
		t.Errorf("%v, error %v", events, err)
	}
}

func TestConfigMapOfARealAPIServer(t *testing.T) {
	r := startReal(t)
	c := r.open(t)
	wanted := policy("a")
	wanted.Namespace = r.namespace
	for i, want := range []bool{true, false} {
		if changed, err := c.PutConfigMap(t.Context(), wanted, "wasmesh.dev/policy"); err != nil || changed != want {
			t.Errorf("attempt %d: changed %v, error %v", i, changed, err)
		}
	}
	wanted.Data["sha256"] = "b"
	if changed, err := c.PutConfigMap(t.Context(), wanted, "wasmesh.dev/policy"); err != nil || !changed {
		t.Errorf("changed %v, error %v", changed, err)
	}
	var stored corev1.ConfigMap
	if err := r.Get(t.Context(), client.ObjectKeyFromObject(wanted), &stored); err != nil || stored.Data["sha256"] != "b" || string(stored.BinaryData["policy.wasm.gz"]) != "a" {
		t.Errorf("stored %v, error %v", stored, err)
	}
}
