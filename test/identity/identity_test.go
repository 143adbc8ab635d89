// Package identity tests that hosts and the controller, who do not know each other's code, agree on who is who: on a real
// API server, with real tokens.
package identity

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wasmesh/wasmesh/controller/identity"
	syncserver "github.com/wasmesh/wasmesh/controller/sync"
	"github.com/wasmesh/wasmesh/host/node"
	"github.com/wasmesh/wasmesh/sdk/meshcert"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
	"github.com/wasmesh/wasmesh/test/envtest"
)

// patience bounds whatever the test waits for.
const patience = time.Minute

// rig is a controller's identity and sync service, and a namespace with a mesh.
type rig struct {
	t         *testing.T
	api       kubernetes.Interface
	namespace string
	mesh      *syncserver.Server
	address   string
}

func newRig(t *testing.T) *rig {
	config := envtest.Start(t)
	r := &rig{t: t, namespace: envtest.Namespace(t, config, map[string]string{"modelmesh-enabled": "true"})}
	cluster, err := client.New(config, client.Options{})
	r.must(err)
	r.api, err = kubernetes.NewForConfig(config)
	r.must(err)
	authority, err := identity.New(identity.Config{Namespace: envtest.Namespace(t, config, nil), Client: cluster, Logger: slog.New(slog.DiscardHandler)})
	r.must(err)
	authority.SetNamespaces([]string{r.namespace})
	r.mesh = syncserver.New(syncserver.Config{Term: 1, Register: authority.Register, Logger: slog.New(slog.DiscardHandler)})
	r.must(r.mesh.Publish([]*syncv1.Row{}))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	r.must(err)
	r.address = listener.Addr().String()
	r.run("authority", authority.Run)
	r.run("sync service", func(ctx context.Context) error { return r.mesh.Serve(ctx, listener, authority.ServerOptions()...) })
	return r
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// run runs until the test ends; ended is closed when it has.
func (r *rig) run(what string, f func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	r.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Errorf("%s: %v", what, err)
		}
	})
}

func (r *rig) eventually(what string, ok func() bool) {
	r.t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// mounted writes what the kubelet would mount for a pod, and answers the directory.
func (r *rig) mounted(pod string) string {
	dir := filepath.Join(r.t.TempDir(), pod)
	r.must(os.MkdirAll(dir, 0o755))
	ctx := r.t.Context()
	made, err := r.api.CoreV1().Pods(r.namespace).Create(ctx, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: pod},
		Spec:       corev1.PodSpec{ServiceAccountName: "default", Containers: []corev1.Container{{Name: "mm", Image: "mm"}}},
	}, metav1.CreateOptions{})
	r.must(err)
	token, err := r.api.CoreV1().ServiceAccounts(r.namespace).CreateToken(ctx, "default", &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{
			Audiences:      []string{meshcert.Audience},
			BoundObjectRef: &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: pod, UID: made.UID},
		},
	}, metav1.CreateOptions{})
	r.must(err)
	r.must(os.WriteFile(filepath.Join(dir, "token"), []byte(token.Status.Token), 0o600))
	r.eventually("the namespace has what hosts need", func() bool {
		trusted, err := r.api.CoreV1().ConfigMaps(r.namespace).Get(ctx, identity.CAConfigMap, metav1.GetOptions{})
		if err != nil {
			return false
		}
		key, err := r.api.CoreV1().Secrets(r.namespace).Get(ctx, identity.MeshKeySecret, metav1.GetOptions{})
		if err != nil {
			return false
		}
		r.must(os.WriteFile(filepath.Join(dir, "ca.crt"), []byte(trusted.Data[identity.CAKey]), 0o600))
		r.must(os.WriteFile(filepath.Join(dir, "key"), key.Data[identity.MeshKeyKey], 0o600))
		return true
	})
	return dir
}

// host starts a gateway, a host that needs no runtime, as a pod; it answers where its metrics are.
func (r *rig) host(pod string, change func(*node.Config)) (metrics string) {
	dir := r.mounted(pod)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	r.must(err)
	metrics = free.Addr().String()
	r.must(free.Close())
	config := node.Config{
		Namespace: r.namespace, HostID: pod, Mesh: node.DefaultMesh, RuntimeType: node.RuntimeNone, Controller: "passthrough:///" + r.address,
		CAFile: filepath.Join(dir, "ca.crt"), TokenFile: filepath.Join(dir, "token"), MeshKeyFile: filepath.Join(dir, "key"), StateDir: dir,
		GRPCAddress: "127.0.0.1:0", RESTAddress: "127.0.0.1:0", PeerAddress: "127.0.0.1:0", GossipAddress: "127.0.0.1:0", MetricsAddress: metrics,
		MaxMessageBytes: node.DefaultMaxMessageBytes, WaitingBudgetBytes: node.DefaultWaitingBudgetBytes, DrainTimeout: time.Second,
	}
	change(&config)
	r.run(pod, func(ctx context.Context) error { return node.Run(ctx, config, slog.New(slog.DiscardHandler)) })
	return metrics
}

// measures reports whether a host has a line among its metrics.
func measures(address, line string) bool {
	response, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		return false
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	return err == nil && bytes.Contains(content, []byte(line))
}

func (r *rig) connected() string {
	var hosts []string
	for _, h := range r.mesh.Hosts() {
		if h.Connected {
			hosts = append(hosts, h.Hello.GetHostId())
		}
	}
	return strings.Join(hosts, " ")
}

// Pods become one mesh with nothing but what is mounted into them; one that says that it is another pod does not.
func TestPodsBecomeAMesh(t *testing.T) {
	r := newRig(t)
	hosts := []string{r.host("pod-1", func(*node.Config) {}), r.host("pod-2", func(*node.Config) {})}
	r.eventually("both are connected to the controller", func() bool { return r.connected() == "pod-1 pod-2" })
	for n, metrics := range hosts {
		r.eventually(fmt.Sprintf("pod-%d is linked to the other", n+1), func() bool { return measures(metrics, `wasmesh_peers{state="live"} 1`) })
	}
	impostor := r.host("pod-3", func(c *node.Config) { c.HostID = "pod-1" })
	r.eventually("the impostor has no certificate that it can use", func() bool { return measures(impostor, `wasmesh_enrolments_total{code="Unknown"}`) })
	if got := r.connected(); got != "pod-1 pod-2" {
		t.Errorf("connected: %s", got)
	}
	for n, metrics := range hosts {
		if !measures(metrics, `wasmesh_peers{state="live"} 1`) {
			t.Errorf("pod-%d has lost the other", n+1)
		}
	}
}
