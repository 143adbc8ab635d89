//go:build cluster

package guides

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// patience is how long anything may take that ends by itself, such as a pod that comes up.
const patience = 3 * time.Minute

// run must succeed; it answers what was printed.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := theCluster.Output(t.Context(), nil, name, args...)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return out
}

// owner is somebody who has a namespace.
type owner struct {
	t         *testing.T
	namespace string
}

// newOwner makes a namespace, which goes after the test without being waited for.
func newOwner(t *testing.T, namespace string) *owner {
	t.Helper()
	o := &owner{t, namespace}
	// One of an earlier run may be on its way out.
	run(t, "kubectl", "delete", "namespace", namespace, "--ignore-not-found", "--timeout=2m")
	run(t, "kubectl", "create", "namespace", namespace)
	t.Cleanup(func() {
		if t.Failed() {
			o.explain()
		}
		// The test's context has ended.
		if out, err := theCluster.Output(context.Background(), nil, "kubectl", "delete", "namespace", namespace, "--wait=false"); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})
	return o
}

// kubectl must succeed in the namespace.
func (o *owner) kubectl(args ...string) string {
	o.t.Helper()
	return run(o.t, "kubectl", append([]string{"--namespace", o.namespace}, args...)...)
}

// pipe hands YAML to kubectl, whose arguments end with -f -.
func (o *owner) pipe(yaml string, args ...string) {
	o.t.Helper()
	args = append(append([]string{"--namespace", o.namespace}, args...), "-f", "-")
	if out, err := theCluster.Output(o.t.Context(), strings.NewReader(yaml), "kubectl", args...); err != nil {
		o.t.Fatalf("%v\n%s\n%s", err, out, yaml)
	}
}

// field is one field of an object, by JSONPath without braces, such as ".status.url".
func (o *owner) field(object, path string) string {
	o.t.Helper()
	return o.kubectl("get", object, "-o", "jsonpath={"+path+"}")
}

// untilField waits until a field has the value.
func (o *owner) untilField(object, path, want string) {
	o.t.Helper()
	eventually(o.t, func() error {
		got, err := theCluster.Output(o.t.Context(), nil, "kubectl", "--namespace", o.namespace, "get", object, "-o", "jsonpath={"+path+"}")
		if err == nil && got != want {
			err = fmt.Errorf("%s of %s is %q, want %q", path, object, got, want)
		}
		return err
	})
}

// setting is an environment variable, or what a run that is not for figures makes of it.
func setting[T any](t *testing.T, name string, otherwise T, parse func(string) (T, error)) T {
	t.Helper()
	text, set := os.LookupEnv(name)
	if !set {
		return otherwise
	}
	value, err := parse(text)
	if err != nil {
		t.Fatalf("read environment variable %s: %v", name, err)
	}
	return value
}

// eventually waits until the condition holds, and fails the test with its last error.
func eventually(t *testing.T, condition func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	again := time.NewTicker(200 * time.Millisecond)
	defer again.Stop()
	for {
		err := condition()
		if err == nil {
			return
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatalf("not within %v: %v", patience, err)
		}
	}
}

// explain logs what a person would look at after a failure.
func (o *owner) explain() {
	for _, args := range [][]string{
		{"get", "inferenceservices,predictors,deployments,pods,events", "--namespace", o.namespace},
		{"logs", "--namespace", o.namespace, "deployment/wasmesh-controller", "--tail=40"},
		{"logs", "--namespace", o.namespace, "--selector", "modelmesh-service=modelmesh-serving", "--container", "mm", "--tail=40", "--prefix"},
	} {
		out, _ := theCluster.Output(context.Background(), nil, "kubectl", args...)
		o.t.Logf("kubectl %s:\n%s", strings.Join(args, " "), out)
	}
}
