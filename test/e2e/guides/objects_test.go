//go:build cluster

package guides

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Kinds of which people have objects.
var (
	definitions       = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	inferenceServices = schema.GroupVersionResource{Group: "serving.kserve.io", Version: "v1beta1", Resource: "inferenceservices"}
	predictors        = schema.GroupVersionResource{Group: "serving.kserve.io", Version: "v1alpha1", Resource: "predictors"}
	servingRuntimes   = schema.GroupVersionResource{Group: "serving.kserve.io", Version: "v1alpha1", Resource: "servingruntimes"}
	clusterRuntimes   = schema.GroupVersionResource{Group: "serving.kserve.io", Version: "v1alpha1", Resource: "clusterservingruntimes"}
	secrets           = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
	configMaps        = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	namespaces        = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
)

// shippedBy is the label of runtimes that came with the release, and go with it.
const shippedBy = "wasmesh.dev/shipped-by"

// possessions are the objects that are people's own, each with its uid and all that its owner has written, by kind,
// namespace and name.
func possessions(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	lasting := map[string]bool{"": true}
	for _, kind := range []schema.GroupVersionResource{
		namespaces, definitions, inferenceServices, predictors, servingRuntimes, clusterRuntimes, secrets, configMaps,
	} {
		list, err := api.Resource(kind).List(t.Context(), metav1.ListOptions{})
		if apierrors.IsNotFound(err) {
			continue // Its definition is not there.
		}
		if err != nil {
			t.Fatalf("list %s: %v", kind.Resource, err)
		}
		for i := range list.Items {
			o := &list.Items[i]
			if kind == namespaces {
				lasting[o.GetName()] = o.GetDeletionTimestamp() == nil
			}
			if lasting[o.GetNamespace()] && somebodys(kind, o) {
				found[kind.Resource+" "+o.GetNamespace()+"/"+o.GetName()] = written(t, o)
			}
		}
	}
	return found
}

// somebodys says that an object is neither the cluster's, nor the release's, nor on its way out.
func somebodys(kind schema.GroupVersionResource, o *unstructured.Unstructured) bool {
	if o.GetDeletionTimestamp() != nil {
		return false
	}
	helms := o.GetLabels()["app.kubernetes.io/managed-by"] == "Helm"
	switch kind {
	case definitions:
		return strings.HasSuffix(o.GetName(), ".serving.kserve.io")
	case secrets:
		return o.GetName() == "storage-config" && !helms
	case configMaps:
		return o.GetName() == "model-serving-config" && !helms
	}
	return o.GetLabels()[shippedBy] == ""
}

// memory are annotations in which our controller keeps what must outlive it; the guide names them.
var memory = []string{"wasmesh.dev/active-model", "wasmesh.dev/refused-model"}

// written is what the owner has, in JSON: all but the status, what the API server counts, and what is kept there.
func written(t *testing.T, o *unstructured.Unstructured) string {
	t.Helper()
	o = o.DeepCopy()
	annotations := o.GetAnnotations()
	for _, ours := range memory {
		delete(annotations, ours)
	}
	if len(annotations) == 0 {
		annotations = nil
	}
	o.SetAnnotations(annotations)
	o.SetResourceVersion("")
	o.SetManagedFields(nil)
	delete(o.Object, "status")
	raw, err := json.Marshal(o.Object)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// unharmed compares with what people had before; what is new does not matter. It answers how many objects there were.
func unharmed(t *testing.T, before map[string]string, after string) int {
	t.Helper()
	now := possessions(t)
	for name, was := range before {
		switch is, found := now[name]; {
		case !found:
			t.Errorf("after %s, %s is gone", after, name)
		case is != was:
			t.Errorf("after %s, %s has changed from\n%s\nto\n%s", after, name, was, is)
		}
	}
	return len(before)
}

// release is one that helm knows.
type release struct{ Name, Namespace, Chart string }

// empty brings the cluster to where nothing of ours is installed, and there are no definitions: it uninstalls what is
// there, by which nobody may lose anything, and only then deletes the definitions, with all objects.
func empty(t *testing.T) {
	t.Helper()
	var releases []release
	if err := json.Unmarshal([]byte(run(t, "helm", "list", "--all-namespaces", "-o", "json")), &releases); err != nil {
		t.Fatal(err)
	}
	for _, r := range releases {
		if strings.HasPrefix(r.Chart, "wasmesh-") {
			had := possessions(t)
			run(t, "helm", "uninstall", r.Name, "--namespace", r.Namespace, "--wait", "--timeout", "2m")
			t.Logf("uninstalled %s of namespace %s: people had %d objects", r.Name, r.Namespace, unharmed(t, had, "uninstalling "+r.Name))
		}
	}
	undefine(t)
	t.Cleanup(func() { undefine(t) })
}

// undefine deletes the definitions of the kinds, and waits until they are gone.
func undefine(t *testing.T) {
	t.Helper()
	ctx := context.Background() // Also after the test, whose context has ended.
	for _, kind := range []schema.GroupVersionResource{inferenceServices, predictors, servingRuntimes, clusterRuntimes} {
		if out, err := theCluster.Output(ctx, nil, "kubectl", "delete", "crd", kind.GroupResource().String(), "--ignore-not-found", "--timeout=2m"); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
}
