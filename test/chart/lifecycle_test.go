package chart

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// foreign is the InferenceService of somebody else: KServe's names, another schema, other columns.
const foreign = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: inferenceservices.serving.kserve.io
  labels: {app.kubernetes.io/part-of: kserve}
spec:
  group: serving.kserve.io
  scope: Namespaced
  names: {kind: InferenceService, listKind: InferenceServiceList, plural: inferenceservices, singular: inferenceservice, shortNames: [isvc]}
  versions:
    - name: v1beta1
      served: true
      storage: true
      subresources: {status: {}}
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`

// users is what people have made before and after they installed the chart.
const users = `
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {name: model, namespace: modelmesh-serving, annotations: {serving.kserve.io/deploymentMode: ModelMesh}}
spec: {predictor: {model: {modelFormat: {name: sklearn}, storageUri: "s3://bucket/model"}}}
---
apiVersion: serving.kserve.io/v1alpha1
kind: Predictor
metadata: {name: old, namespace: modelmesh-serving}
spec: {modelType: {name: sklearn}, path: model, storage: {s3: {secretKey: localMinIO}}}
---
apiVersion: serving.kserve.io/v1alpha1
kind: ServingRuntime
metadata: {name: mine, namespace: modelmesh-serving}
spec: {multiModel: true, containers: [{name: server, image: server:1}]}
---
apiVersion: serving.kserve.io/v1alpha1
kind: ClusterServingRuntime
metadata: {name: mine}
spec: {multiModel: true, containers: [{name: server, image: server:1}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: model-serving-config, namespace: modelmesh-serving}
data: {config.yaml: "podsPerRuntime: 1"}
`

// Whatever is done to the release, nothing that users or others have is lost or changed.
func TestLifecycle(t *testing.T) {
	s := startServer(t)
	s.namespace(namespace, nil)
	secret := s.apply("{apiVersion: v1, kind: Secret, metadata: {name: storage-config, namespace: modelmesh-serving}, stringData: {mine: '{}'}}")
	theirs := s.apply(foreign)

	notes := s.helm("install", release, chartDir(t), "-n", namespace, "--set", "quickstart.enabled=true,userNamespaces={team-a}")
	for _, want := range []string{"CustomResourceDefinition inferenceservices.serving.kserve.io is not this release's", "Secret storage-config in namespace modelmesh-serving is yours"} {
		if !strings.Contains(notes, want) {
			t.Errorf("notes lack %q:\n%s", want, notes)
		}
	}
	if s.get("v1", "Secret", "team-a", "storage-config") == nil {
		t.Error("the quickstart's entry is not in the namespace that it made")
	}
	kept := append(append(secret, theirs...), s.apply(users)...)
	kept = append(kept, s.get("v1", "Namespace", "", "team-a"))
	unchanged := func(after string) {
		t.Helper()
		for _, o := range kept {
			now := s.get(o.GetAPIVersion(), o.GetKind(), o.GetNamespace(), o.GetName())
			switch {
			case now == nil || now.GetUID() != o.GetUID():
				t.Errorf("after %s, %s %s is gone", after, o.GetKind(), o.GetName())
			case o.GetKind() != "Namespace" && o.GetKind() != "CustomResourceDefinition" && now.GetResourceVersion() != o.GetResourceVersion():
				t.Errorf("after %s, %s %s has changed:\n%v", after, o.GetKind(), o.GetName(), now)
			}
		}
		if columns(t, s.crd("inferenceservices")) != 0 {
			t.Errorf("after %s, the foreign CustomResourceDefinition has our columns", after)
		}
	}
	unchanged("install")

	before := columns(t, s.crd("predictors"))
	next := nextChart(t)
	s.helm("upgrade", release, next, "-n", namespace, "--set", "controller.replicas=2", "--reset-values")
	unchanged("upgrade")
	if got := columns(t, s.crd("predictors")); got != before+1 {
		t.Errorf("the upgrade did not reach the CustomResourceDefinition: %d columns, before %d", got, before)
	}
	s.helm("rollback", release, "1", "-n", namespace)
	unchanged("rollback")
	if got := columns(t, s.crd("predictors")); got != before {
		t.Errorf("the rollback did not reach the CustomResourceDefinition: %d columns, before %d", got, before)
	}
	s.helm("uninstall", release, "-n", namespace)
	unchanged("uninstall")
	for _, plural := range []string{"predictors", "servingruntimes", "clusterservingruntimes"} {
		if s.crd(plural) == nil {
			t.Errorf("uninstalling took %s, and with it everybody's objects", plural)
		}
	}
	if s.get("apps/v1", "Deployment", namespace, "wasmesh-controller") != nil {
		t.Error("the controller stays after uninstalling")
	}
	s.helm("install", release, chartDir(t), "-n", namespace)
	unchanged("installing again")
}

// columns counts the printer columns of a CustomResourceDefinition.
func columns(t *testing.T, crd *unstructured.Unstructured) int {
	t.Helper()
	if crd == nil {
		t.Fatal("no CustomResourceDefinition")
	}
	versions, _, err := unstructured.NestedSlice(crd.Object, "spec", "versions")
	if err != nil || len(versions) == 0 {
		t.Fatal(crd.Object, err)
	}
	found, _ := versions[0].(map[string]any)["additionalPrinterColumns"].([]any)
	return len(found)
}

// nextChart is the chart with one more column of Predictor.
func nextChart(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "wasmesh")
	if err := os.CopyFS(dir, os.DirFS(chartDir(t))); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "files", "crds", "serving.kserve.io_predictors.yaml")
	const list = "  - additionalPrinterColumns:\n"
	text := strings.Replace(string(readFile(t, file)), list, list+"    - jsonPath: .status.totalCopies\n      name: Copies\n      type: integer\n", 1)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Two releases that have a namespace each stand beside each other, and the second leaves the first one's definitions alone.
func TestTwoReleases(t *testing.T) {
	s := startServer(t)
	for _, ns := range []string{"one", "two"} {
		s.namespace(ns, nil)
		s.helm("install", "mesh-"+ns, chartDir(t), "-n", ns, "--set", "namespaceScope=true,quickstart.enabled=true")
	}
	if owner := s.crd("predictors").GetAnnotations()["meta.helm.sh/release-name"]; owner != "mesh-one" {
		t.Errorf("predictors belong to %q", owner)
	}
	s.helm("uninstall", "mesh-one", "-n", "one")
	if s.crd("predictors") == nil || s.get("apps/v1", "Deployment", "two", "wasmesh-controller") == nil ||
		s.get("rbac.authorization.k8s.io/v1", "ClusterRole", "", "wasmesh-controller-two") == nil {
		t.Error("uninstalling one release took something of the other's")
	}
}

// Settings that are somebody's are never overwritten in silence.
func TestForeignSettings(t *testing.T) {
	s := startServer(t)
	s.namespace(namespace, nil)
	s.apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: model-serving-config, namespace: modelmesh-serving}, data: {}}")
	_, err := s.tryHelm("install", release, chartDir(t), "-n", namespace, "--set", "config.podsPerRuntime=1")
	if err == nil || !strings.Contains(err.Error(), "is not this release's: put your settings there") {
		t.Errorf("%v", err)
	}
}

// ModelMesh's webhook outlives its controller, and then nobody can change a runtime; the chart itself can be installed.
func TestWebhookThatWasLeft(t *testing.T) {
	s := startServer(t)
	s.namespace(namespace, nil)
	s.apply(`
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: modelmesh-servingruntime.serving.kserve.io}
webhooks:
  - name: servingruntime.modelmesh-webhook-server.default
    admissionReviewVersions: [v1]
    sideEffects: None
    failurePolicy: Fail
    clientConfig: {service: {name: modelmesh-webhook-server-service, namespace: modelmesh-serving, path: /validate}}
    rules: [{apiGroups: [serving.kserve.io], apiVersions: [v1alpha1], operations: [CREATE, UPDATE], resources: [servingruntimes, clusterservingruntimes]}]
`)
	notes := s.helm("install", release, chartDir(t), "-n", namespace)
	if !strings.Contains(notes, "kubectl delete validatingwebhookconfiguration modelmesh-servingruntime.serving.kserve.io") {
		t.Errorf("notes do not say so:\n%s", notes)
	}
}
