package policystatus

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	managerconfig "sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/wasmesh/wasmesh/controller/decide"
	"github.com/wasmesh/wasmesh/controller/policyconfig"
	"github.com/wasmesh/wasmesh/controller/reconcile"
	"github.com/wasmesh/wasmesh/test/envtest"
	"github.com/wasmesh/wasmesh/test/installed"
)

// bench is a reconciler over a namespace of a real API server; it looks when it is told to.
type bench struct {
	t         *testing.T
	server    *rest.Config
	namespace string
	client    client.Client
	writes    int

	mu      sync.Mutex // guards below
	view    *reconcile.View
	changed chan struct{}
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, server: envtest.Start(t), changed: make(chan struct{})}
	b.namespace = envtest.Namespace(t, b.server, nil)
	plain, err := client.NewWithWatch(b.server, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b.client = interceptor.NewClient(plain, interceptor.Funcs{
		Apply: func(ctx context.Context, c client.WithWatch, o runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
			b.writes++
			return c.Apply(ctx, o, opts...)
		},
	})
	return b
}

// View implements Decisions.
func (b *bench) View() (*reconcile.View, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.view, b.changed
}

// say has the View say it of a ConfigMap, and nothing of any other; "" for nothing.
func (b *bench) say(name, text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.view = &reconcile.View{Annotations: map[decide.Key]string{}}
	if text != "" {
		b.view.Annotations[b.key(name)] = text
	}
	close(b.changed)
	b.changed = make(chan struct{})
}

func (b *bench) key(name string) decide.Key {
	return decide.Key{Namespace: b.namespace, Kind: policyconfig.KindConfigMap, Name: name}
}

// look answers how much was written.
func (b *bench) look(name string) int {
	b.t.Helper()
	before := b.writes
	r := &reconciler{client: b.client, deps: Deps{Decisions: b, Logger: slog.New(slog.DiscardHandler)}}
	req := ctrl.Request{NamespacedName: types.NamespacedName{Namespace: b.namespace, Name: name}}
	if _, err := r.Reconcile(b.t.Context(), req); err != nil {
		b.t.Fatal(err)
	}
	return b.writes - before
}

func (b *bench) get(name string) *corev1.ConfigMap {
	b.t.Helper()
	cm := &corev1.ConfigMap{}
	if err := b.client.Get(b.t.Context(), types.NamespacedName{Namespace: b.namespace, Name: name}, cm); err != nil {
		b.t.Fatal(err)
	}
	return cm
}

func (b *bench) want(name, text string) {
	b.t.Helper()
	if got := b.get(name).Annotations[Annotation]; got != text {
		b.t.Fatalf("annotation %q; want %q", got, text)
	}
}

// kubectl runs it over a manifest.
func (b *bench) kubectl(manifest string, args ...string) {
	b.t.Helper()
	file := filepath.Join(b.t.TempDir(), "policy.yaml")
	if err := os.WriteFile(file, []byte(manifest), 0o600); err != nil {
		b.t.Fatal(err)
	}
	args = append(args, "-n", b.namespace, "-f", file)
	cmd := exec.CommandContext(b.t.Context(), filepath.Join(installed.Tool(b.t, "kubernetes"), "kubectl"), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+envtest.Kubeconfig(b.t, b.server), "HOME="+b.t.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil {
		b.t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func manifest(hooks string) string {
	return `
apiVersion: v1
kind: ConfigMap
metadata:
  name: policy
  labels: {wasmesh.dev/policy: "true"}
data: {hooks: "` + hooks + `"}
binaryData: {policy.wasm: AGFzbQEAAAA=}
`
}

// Owners apply their ConfigMap in either way, and replace it, without losing the annotation for long or meeting a conflict.
func TestAnnotationBesideItsOwner(t *testing.T) {
	b := newBench(t)
	b.kubectl(manifest("place"), "apply")
	b.say("policy", "place: programmed 2/2")
	if n := b.look("policy"); n != 1 {
		t.Fatalf("%d writes", n)
	}
	b.want("policy", "place: programmed 2/2")
	if n := b.look("policy"); n != 0 {
		t.Errorf("%d writes though nothing has changed", n)
	}
	for _, how := range [][]string{{"apply"}, {"apply", "--server-side", "--force-conflicts"}, {"apply", "--server-side"}} {
		b.kubectl(manifest("evict"), how...)
		b.want("policy", "place: programmed 2/2")
		if hooks := b.get("policy").Data["hooks"]; hooks != "evict" {
			t.Errorf("%v: the owner's edit is lost: %q", how, hooks)
		}
		b.kubectl(manifest("place"), how...)
	}
	if n := b.look("policy"); n != 0 {
		t.Errorf("%d writes", n)
	}
	b.kubectl(manifest("place"), "replace")
	b.look("policy")
	b.want("policy", "place: programmed 2/2")
	if cm := b.get("policy"); len(cm.BinaryData) != 1 || cm.Data["hooks"] != "place" || cm.Labels[policyconfig.Label] != "true" {
		t.Errorf("the owner's fields: %+v", cm)
	}
}

func TestAnnotationFollowsThePolicy(t *testing.T) {
	b := newBench(t)
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: b.namespace, Name: "policy", Labels: map[string]string{policyconfig.Label: "true"}}}
	if err := b.client.Create(t.Context(), cm); err != nil {
		t.Fatal(err)
	}
	if n := b.look("policy"); n != 0 {
		t.Error("something was written before anything is known")
	}
	b.say("policy", "invalid: "+strings.Repeat("ä", maxBytes))
	b.look("policy")
	if text := b.get("policy").Annotations[Annotation]; len(text) > maxBytes || !strings.HasSuffix(text, "ä...") {
		t.Errorf("%d bytes: %q", len(text), text)
	}
	if n := b.look("policy"); n != 0 {
		t.Errorf("%d writes though nothing has changed", n)
	}
	// A controller that starts anew has nothing to say yet.
	b.say("policy", "")
	if n := b.look("policy"); n != 0 {
		t.Error("what was said is gone before anything else is")
	}
	cm = b.get("policy")
	cm.Labels[policyconfig.Label] = "false"
	if err := b.client.Update(t.Context(), cm); err != nil {
		t.Fatal(err)
	}
	b.look("policy")
	if _, there := b.get("policy").Annotations[Annotation]; there {
		t.Error("the annotation outlives the policy")
	}
	// A module with a label that makes no policy of it is told so, where its owner looks.
	cm = b.get("policy")
	cm.Labels[policyconfig.Label], cm.BinaryData = "yes", map[string][]byte{"policy.wasm": []byte("\x00asm\x01\x00\x00\x00")}
	if err := b.client.Update(t.Context(), cm); err != nil {
		t.Fatal(err)
	}
	b.look("policy")
	b.want("policy", `ignored: label wasmesh.dev/policy is "yes": a policy has "true"`)
	if n := b.look("policy"); n != 0 {
		t.Errorf("%d writes though nothing has changed", n)
	}
	// One that is gone is not made again, nor is another of its name taken for it.
	if err := (&reconciler{client: b.client, deps: Deps{Logger: slog.New(slog.DiscardHandler)}}).write(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: b.namespace, Name: "gone", UID: "8d0c5b9e-0000-0000-0000-000000000000"},
	}, "place: programmed 2/2"); err != nil {
		t.Error(err)
	}
	if err := b.client.Get(t.Context(), types.NamespacedName{Namespace: b.namespace, Name: "gone"}, cm); client.IgnoreNotFound(err) != nil || err == nil {
		t.Errorf("a ConfigMap was made: %v", err)
	}
}

// The View and the ConfigMaps are both followed.
func TestReconcilerFollows(t *testing.T) {
	b := newBench(t)
	several := true
	mgr, err := ctrl.NewManager(b.server, ctrl.Options{
		Metrics:    metricsserver.Options{BindAddress: "0"},
		Cache:      cache.Options{DefaultNamespaces: map[string]cache.Config{b.namespace: {}}},
		Controller: managerconfig.Controller{SkipNameValidation: &several},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := SetUp(mgr, Deps{Decisions: b, Logger: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	changes, err := b.client.(client.WithWatch).Watch(t.Context(), &corev1.ConfigMapList{}, client.InNamespace(b.namespace))
	if err != nil {
		t.Fatal(err)
	}
	defer changes.Stop()
	until := func(text string) {
		t.Helper()
		for e := range changes.ResultChan() {
			if cm, is := e.Object.(*corev1.ConfigMap); is && cm.Name == "policy" && cm.Annotations[Annotation] == text {
				return
			}
		}
		t.Fatalf("the annotation never was %q", text)
	}
	b.say("policy", "place: verifying")
	b.kubectl(manifest("place"), "create")
	until("place: verifying")
	b.say("policy", "place: programmed 2/2")
	until("place: programmed 2/2")
	b.kubectl(manifest("place"), "replace") // Which removes it.
	until("place: programmed 2/2")
}
