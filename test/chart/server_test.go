package chart

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/wasmesh/wasmesh/test/cluster/controlplane"
	"github.com/wasmesh/wasmesh/test/envtest"
	"github.com/wasmesh/wasmesh/test/installed"
)

const (
	// startTimeout is far more than a start takes (4 s), for a machine that does other work.
	startTimeout = 2 * time.Minute
	// settleTimeout is how long the API server may take to know a new kind or admission policy (a second or so).
	settleTimeout = time.Minute
	settlePoll    = 50 * time.Millisecond
)

// server is an API server without any CustomResourceDefinition, and whatever this test does to it.
type server struct {
	t     *testing.T
	plane *controlplane.ControlPlane
	admin *rest.Config
	// kubeconfig is the administrator's.
	kubeconfig string
	client     client.Client
	// audit is the file with every request.
	audit string
}

// startServer starts one that ends with the test.
func startServer(t *testing.T) *server {
	t.Helper()
	dir := t.TempDir()
	policy := filepath.Join(dir, "audit-policy.yaml")
	text := "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules: [{level: Metadata}]\n"
	if err := os.WriteFile(policy, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, audit: filepath.Join(dir, "audit.log")}
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	var err error
	s.plane, err = controlplane.Start(ctx, controlplane.Config{
		Programs: installed.Tool(t, "kubernetes"), Dir: dir, Address: controlplane.Loopback(), Services: controlplane.Services(),
		Flags: []string{
			// As envtest: nothing makes accounts, and loopback is no address of an Endpoints object.
			"--disable-admission-plugins=ServiceAccount", "--endpoint-reconciler-type=none",
			"--audit-policy-file=" + policy, "--audit-log-path=" + s.audit, "--audit-log-mode=blocking",
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.plane.Stop)
	if s.admin, err = s.plane.Admin(); err != nil {
		t.Fatal(err)
	}
	s.admin.QPS = -1
	s.kubeconfig = envtest.Kubeconfig(t, s.admin)
	s.client = s.as(s.admin)
	return s
}

func (s *server) as(config *rest.Config) client.Client {
	s.t.Helper()
	c, err := client.New(config, client.Options{})
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// helm runs it against the server and answers what it printed.
func (s *server) helm(args ...string) string {
	s.t.Helper()
	out, err := s.tryHelm(args...)
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

func (s *server) tryHelm(args ...string) (string, error) {
	s.t.Helper()
	home := s.t.TempDir()
	cmd := exec.CommandContext(s.t.Context(), installed.Tool(s.t, "helm"), append(args, "--kubeconfig", s.kubeconfig)...)
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+home, "HELM_CONFIG_HOME="+home, "HELM_DATA_HOME="+home)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("helm %s: %w: %s", strings.Join(args, " "), err, errs.String())
	}
	return out.String(), nil
}

// apply makes every object of a manifest, in order.
func (s *server) apply(manifest string) []*unstructured.Unstructured {
	s.t.Helper()
	var made []*unstructured.Unstructured
	for _, o := range parse(s.t, manifest) {
		// A kind may have been defined a moment ago.
		s.eventually("create "+o.GetKind()+" "+o.GetName(), func() error { return s.client.Create(s.t.Context(), o) })
		made = append(made, o)
	}
	return made
}

func parse(t *testing.T, manifest string) []*unstructured.Unstructured {
	t.Helper()
	var parsed []*unstructured.Unstructured
	for _, document := range documents(manifest) {
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(document), &o.Object); err != nil {
			t.Fatalf("%v in:\n%s", err, document)
		}
		if len(o.Object) > 0 {
			parsed = append(parsed, o)
		}
	}
	return parsed
}

// eventually does something until it works.
func (s *server) eventually(what string, do func() error) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), settleTimeout)
	defer cancel()
	for {
		err := do()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			s.t.Fatalf("%s: %v", what, err)
		case <-time.After(settlePoll):
		}
	}
}

// serves waits until a kind is served, which it is a moment after it was defined.
func (s *server) serves(apiVersion, kind string) {
	s.t.Helper()
	s.eventually(apiVersion+" "+kind+" is served", func() error {
		list := &unstructured.UnstructuredList{}
		list.SetAPIVersion(apiVersion)
		list.SetKind(kind + "List")
		return s.client.List(s.t.Context(), list)
	})
}

// get answers an object, nil when there is none.
func (s *server) get(apiVersion, kind, namespace, name string) *unstructured.Unstructured {
	s.t.Helper()
	o := &unstructured.Unstructured{}
	o.SetAPIVersion(apiVersion)
	o.SetKind(kind)
	err := s.client.Get(s.t.Context(), client.ObjectKey{Namespace: namespace, Name: name}, o)
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		s.t.Fatal(err)
	}
	return o
}

func (s *server) crd(plural string) *unstructured.Unstructured {
	s.t.Helper()
	return s.get("apiextensions.k8s.io/v1", "CustomResourceDefinition", "", plural+".serving.kserve.io")
}

// namespace makes one whose pods are held to the strictest standard.
func (s *server) namespace(name string, labels map[string]string) {
	s.t.Helper()
	o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace"}}
	o.SetName(name)
	all := map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}
	for k, v := range labels {
		all[k] = v
	}
	o.SetLabels(all)
	if err := s.client.Create(s.t.Context(), o); err != nil {
		s.t.Fatal(err)
	}
}

// create says what the API server would answer to an object; it does not keep it.
func (s *server) create(o *unstructured.Unstructured) error {
	return s.client.Create(s.t.Context(), o.DeepCopy(), client.DryRunAll, client.FieldValidation(metav1.FieldValidationStrict))
}

// refused is what an error of the API server says, and fails the test when there is none.
func refused(t *testing.T, err error) string {
	t.Helper()
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		t.Fatalf("not refused: %v", err)
	}
	return err.Error()
}
