//go:build cluster

package kubernetes

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// newRelease makes a namespace with an installation of its own, of which settings are YAML in one line: what a test does
// to its controller and its settings, others do not notice. Storage is the quickstart's of the shared release.
func newRelease(t *testing.T, namespace, settings string) *user {
	t.Helper()
	u := newUser(t, namespace)
	// The controller of the cluster keeps off.
	u.kubectl("label", "namespace", namespace, "modelmesh-enabled-")
	t.Cleanup(func() {
		// The test's context has ended. What the release has in the cluster as a whole goes with it.
		if out, err := theCluster.Output(context.Background(), nil, "helm", "uninstall", release, "--namespace", namespace, "--wait=false"); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})
	values := fmt.Sprintf(`{namespaceScope: true, crds: {install: false}, runtimes: {mlserver: {enabled: false}}, config: %s,
images: {registry: docker.io/local, tag: dev, pullPolicy: Never}}`, settings)
	out, err := theCluster.Output(t.Context(), strings.NewReader(values), "helm", "install", release, "charts/wasmesh", "--namespace", namespace,
		"--values", "-", "--wait", "--timeout", "3m")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return u
}
