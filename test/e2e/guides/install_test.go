//go:build cluster

package guides

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// TestInstall is somebody new: the commands of docs/kubernetes.md, in its order, in one shell.
func TestInstall(t *testing.T) {
	empty(t)
	t.Cleanup(func() {
		for _, namespace := range []string{"team-a", "modelmesh-serving"} {
			o := &owner{t, namespace}
			if t.Failed() {
				o.explain()
			}
			// The test's context has ended.
			if out, err := theCluster.Output(context.Background(), nil, "kubectl", "delete", "namespace", namespace, "--wait=false", "--ignore-not-found"); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		}
	})
	o := &owner{t, "modelmesh-serving"}
	guide := read(t, "docs/kubernetes.md")
	guide.replace("REGISTRY=registry.example.com/wasmesh\n", "REGISTRY=docker.io/local\n")
	says := func(out, what string) {
		t.Helper()
		if !strings.Contains(out, what) {
			t.Errorf("the commands printed no %q", what)
		}
	}

	says(guide.section("Install"), `"data":[8]`)
	says(guide.section("Look at it"), "example-sklearn-isvc")
	guide.section("Namespaces")
	guide.section("Storage")
	guide.section("Settings")
	eventually(t, func() error {
		replicas := o.field("deployment/modelmesh-serving-mlserver-1.x", ".spec.replicas")
		if replicas != "1" {
			return fmt.Errorf("podsPerRuntime: 1 made %s replicas", replicas)
		}
		return nil
	})
	says(guide.section("Policies"), "programmed")
	says(guide.section("What goes wrong"), "Succeeded")
	guide.section("Uninstall")
	o.untilField("isvc/example-sklearn-isvc", ".metadata.name", "example-sklearn-isvc")
}
