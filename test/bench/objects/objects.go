// Package objects measures what many InferenceServices cost the controller: etcd and a kube-apiserver are real, the
// controller is the program that ships, and of the one host only the stream is (test/stubhost), which loads nothing. So
// what is measured is the way from an object to the host and back into its status.
//
// Everything runs on this machine and competes for its processors; figures are of one run. cmd/bench-objects calls it.
package objects

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
	"github.com/wasmesh/wasmesh/test/cluster/controlplane"
	"github.com/wasmesh/wasmesh/test/stubhost"
)

// namespace of the controller and of everything else.
const namespace = "wasmesh"

// Config of a run.
type Config struct {
	// Bin has wasmesh-controller, and below tools/kubernetes the programs of Kubernetes.
	Bin string
	// CRDs is a directory of YAML.
	CRDs string
	// Objects are registered at once, Applies one at a time afterwards.
	Objects, Applies int
	// Rest is how long writes are counted when nothing happens.
	Rest time.Duration
	// Out is told how far it is.
	Out io.Writer
}

// Result is what was measured.
type Result struct {
	// Created is how long it took to create the objects, Reconciled until each also had its status and memory, from the same
	// moment on.
	Created, Reconciled time.Duration
	// Writes that the reconciling took, and writes during Rest and by a restarted controller, Leases aside.
	Writes, AtRest, AfterRestart float64
	RestTime                     time.Duration
	// RSSBytes of the controller at rest, PeakBytes at its highest.
	RSSBytes, PeakBytes int64
	// Known is how long it takes from an apply until the host knows.
	KnownP50, KnownP99 time.Duration
	// Restarted is how long a new controller takes until the host has its catalog.
	Restarted time.Duration
}

// String is for comparisons by program.
func (r Result) String() string {
	return fmt.Sprintf("created_s=%.1f reconciled_s=%.1f writes=%.0f rss_mib=%d peak_mib=%d writes_at_rest=%.0f rest_s=%.0f "+
		"known_p50_ms=%.0f known_p99_ms=%.0f restart_s=%.1f writes_after_restart=%.0f",
		r.Created.Seconds(), r.Reconciled.Seconds(), r.Writes, r.RSSBytes>>20, r.PeakBytes>>20, r.AtRest, r.RestTime.Seconds(),
		r.KnownP50.Seconds()*1000, r.KnownP99.Seconds()*1000, r.Restarted.Seconds(), r.AfterRestart)
}

// bench is one run.
type bench struct {
	config  Config
	dir     string
	rest    *rest.Config
	client  client.Client
	address string
	updates chan update
}

// Run measures.
func Run(ctx context.Context, c Config) (Result, error) {
	dir, err := os.MkdirTemp("", "wasmesh-bench-objects-")
	if err != nil {
		return Result{}, fmt.Errorf("make directory: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	plane, err := controlplane.Start(ctx, controlplane.Config{
		Programs: filepath.Join(c.Bin, "tools", "kubernetes"), Dir: dir, Address: controlplane.Loopback(), Services: controlplane.Services(),
		Flags: []string{"--disable-admission-plugins=ServiceAccount", "--endpoint-reconciler-type=none"},
	})
	if err != nil {
		return Result{}, err
	}
	defer plane.Stop()
	b := &bench{config: c, dir: dir, updates: make(chan update, 1024)}
	if b.rest, err = plane.Admin(); err != nil {
		return Result{}, err
	}
	b.rest.QPS = -1
	if err := b.prepare(ctx); err != nil {
		return Result{}, err
	}
	return b.measure(ctx)
}

// prepare installs the CRDs, and makes the namespace, the account and the runtime.
func (b *bench) prepare(ctx context.Context) error {
	kubeconfig := b.kubeconfig()
	if err := writeKubeconfig(b.rest, kubeconfig); err != nil {
		return err
	}
	kubectl := filepath.Join(b.config.Bin, "tools", "kubernetes", "kubectl")
	for _, arguments := range [][]string{
		{"apply", "--server-side", "-f", b.config.CRDs},
		{"wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"},
	} {
		command := exec.CommandContext(ctx, kubectl, append([]string{"--kubeconfig", kubeconfig}, arguments...)...)
		if output, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("kubectl %s: %w: %s", arguments[0], err, output)
		}
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1beta1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return err
		}
	}
	var err error
	if b.client, err = client.New(b.rest, client.Options{Scheme: scheme}); err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	meta := metav1.ObjectMeta{Namespace: namespace}
	account := &corev1.ServiceAccount{ObjectMeta: *meta.DeepCopy()}
	account.Name = "default"
	for _, o := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, account, servingRuntime(),
	} {
		if err := b.client.Create(ctx, o); err != nil {
			return fmt.Errorf("create %T: %w", o, err)
		}
	}
	if b.address, err = freeAddress(); err != nil {
		return err
	}
	return nil
}

func (b *bench) kubeconfig() string { return filepath.Join(b.dir, "kubeconfig") }

func writeKubeconfig(config *rest.Config, path string) error {
	file := clientcmdapi.NewConfig()
	file.Clusters["c"] = &clientcmdapi.Cluster{Server: config.Host, CertificateAuthorityData: config.CAData}
	file.AuthInfos["c"] = &clientcmdapi.AuthInfo{ClientCertificateData: config.CertData, ClientKeyData: config.KeyData}
	file.Contexts["c"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "c"}
	file.CurrentContext = "c"
	if err := clientcmd.WriteToFile(*file, path); err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	return nil
}

func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String(), nil
}

// controller starts the program. Should it end by itself, so does the context, with the reason; stop waits for its end.
func (b *bench) controller(ctx context.Context) (running context.Context, pid int, stop func() error, err error) {
	log, err := os.OpenFile(filepath.Join(b.dir, "controller.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, 0, nil, err
	}
	defer func() { _ = log.Close() }()
	command := exec.Command(filepath.Join(b.config.Bin, "wasmesh-controller"), "cluster", "--kubeconfig", b.kubeconfig(),
		"--namespace", namespace, "--host-image", "none", "--sync-address", b.address, "--admin-address", "127.0.0.1:0",
		"--metrics-address", "0", "--health-address", "0",
		// On a machine that has too much to do a Lease may be lost, and with it the run.
		"--leader-elect=false")
	command.Stdout, command.Stderr = log, log
	if err := command.Start(); err != nil {
		return nil, 0, nil, fmt.Errorf("start controller: %w", err)
	}
	running, end := context.WithCancelCause(ctx)
	ended := make(chan error, 1)
	go func() {
		err := command.Wait()
		if err != nil {
			err = fmt.Errorf("controller: %w; its log: %s", err, lastOf(log.Name()))
		}
		end(errors.Join(errors.New("the controller has ended"), err))
		ended <- err
	}()
	return running, command.Process.Pid, func() error {
		_ = command.Process.Signal(syscall.SIGTERM) // It may have ended, which Wait says.
		return <-ended
	}, nil
}

// lastOf answers the end of a log.
func lastOf(path string) string {
	const most = 2000
	content, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(content[max(0, len(content)-most):])
}

// host starts the one that follows the catalog.
func (b *bench) host(ctx context.Context) (*stubhost.Host, error) {
	pod, err := stubhost.Pod(ctx, b.rest, namespace, "pod-0")
	if err != nil {
		return nil, err
	}
	made, err := stubhost.Enrol(ctx, b.rest, b.address, namespace, pod)
	if err != nil {
		return nil, err
	}
	return stubhost.Start(stubhost.Config{
		Namespace: namespace, Name: pod.Name, Runtime: runtimeName, Controller: b.address, Credentials: made, Lazy: true, OnUpdate: b.noted,
	})
}

// clientset is for what the typed client has no call for.
func (b *bench) clientset() (*kubernetes.Clientset, error) { return kubernetes.NewForConfig(b.rest) }
