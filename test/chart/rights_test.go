package chart

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wasmesh/wasmesh/controller/cluster"
	"github.com/wasmesh/wasmesh/controller/source/kubernetes"
)

// monitors is as much of the Prometheus operator as the controller looks for.
const monitors = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: servicemonitors.monitoring.coreos.com}
spec:
  group: monitoring.coreos.com
  scope: Namespaced
  names: {kind: ServiceMonitor, listKind: ServiceMonitorList, plural: servicemonitors, singular: servicemonitor}
  versions:
    - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
`

// mesh is what people declare: a runtime that is scaled by load, with a model, a Predictor,
// a Service that ModelMesh made, and a policy that is none.
const mesh = `
apiVersion: serving.kserve.io/v1alpha1
kind: ServingRuntime
metadata:
  name: scaled
  namespace: mesh
  annotations: {serving.kserve.io/autoscalerClass: hpa, serving.kserve.io/max-scale: "3"}
spec:
  multiModel: true
  supportedModelFormats: [{name: fake, version: "1", autoSelect: true}]
  grpcEndpoint: "port:8085"
  grpcDataEndpoint: "port:8001"
  containers: [{name: server, image: server:1, resources: {requests: {memory: 1Gi}, limits: {memory: 1Gi}}}]
---
apiVersion: v1
kind: Service
metadata: {name: modelmesh-serving, namespace: mesh, labels: {app.kubernetes.io/managed-by: modelmesh-controller, modelmesh-service: modelmesh-serving}}
spec: {clusterIP: None, selector: {modelmesh-service: modelmesh-serving}, ports: [{name: grpc, port: 8033, targetPort: grpc}]}
---
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {name: model, namespace: mesh, annotations: {serving.kserve.io/deploymentMode: ModelMesh}}
spec: {predictor: {model: {modelFormat: {name: fake}, storage: {key: none, path: a}}}}
---
apiVersion: serving.kserve.io/v1alpha1
kind: Predictor
metadata: {name: old, namespace: mesh}
spec: {modelType: {name: fake}, path: a, storage: {s3: {secretKey: none}}}
---
apiVersion: wmlserving.ai.ibm.com/v1
kind: Predictor
metadata: {name: older, namespace: mesh}
spec: {modelType: {name: fake}, path: a, storage: {s3: {secretKey: none}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: policy, namespace: modelmesh-serving, labels: {wasmesh.dev/policy: "true"}}
binaryData: {policy.wasm: AAAA}
`

// unseen are rights that this scenario, without a single host, has no use for, and who has. Everything else in the chart
// has to be used, and nothing else may be asked for.
var unseen = map[string]string{
	"create authentication.k8s.io/tokenreviews":       "controller/identity, when a host asks for its certificate",
	"delete /configmaps":                              "controller/cluster, when a policy is replaced",
	"update /secrets":                                 "controller/identity, when a key is rotated",
	"update /configmaps":                              "controller/identity, when the authority is rotated",
	"patch events.k8s.io/events":                      "controller/events, for what is said again",
	"get autoscaling/horizontalpodautoscalers":        "controller/servingruntime, when it takes over one of ModelMesh's",
	"get policy/poddisruptionbudgets":                 "controller/servingruntime, when somebody else has written to one",
	"delete serving.kserve.io/clusterservingruntimes": "controller/shippedruntimes, when a value is switched off",
}

// The controller, as the ServiceAccount that the chart makes, needs every right that the chart gives, and no other.
func TestRights(t *testing.T) {
	s := startServer(t)
	s.namespace(namespace, nil)
	s.namespace("mesh", map[string]string{"modelmesh-enabled": "true"})
	s.apply(monitors)
	s.helm("install", release, chartDir(t), "-n", namespace, "--set", "predictor.legacyGroup=true")
	made := s.apply(mesh)
	s.runController(cluster.Config{Wishes: kubernetes.Wishes{LegacyPredictors: true}})

	s.meshIsThere("mesh")
	s.shippedRuntimeStays("ClusterServingRuntime", "", "ClusterRole")
	// Without the annotations the autoscaler goes; with other settings the monitor goes; without the label everything goes.
	s.merge(made[0], `{"metadata": {"annotations": null}}`)
	s.eventually("no autoscaler", s.is("autoscaling/v2", "HorizontalPodAutoscaler", "mesh", "modelmesh-serving-scaled", false))
	s.apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: model-serving-config, namespace: modelmesh-serving}, data: {config.yaml: 'metrics: {enabled: false}'}}")
	s.eventually("no monitor", s.is("monitoring.coreos.com/v1", "ServiceMonitor", "mesh", "modelmesh-metrics-monitor", false))
	s.merge(small("v1", "Namespace", "", "mesh"), `{"metadata": {"labels": {"modelmesh-enabled": null}}}`)
	s.eventually("no Service", s.is("v1", "Service", "mesh", "modelmesh-serving", false))
	s.eventually("no Deployment", s.is("apps/v1", "Deployment", "mesh", "modelmesh-serving-scaled", false))
	s.eventually("no disruption budget", s.is("policy/v1", "PodDisruptionBudget", "mesh", "modelmesh-serving-scaled", false))

	s.rightsAreUsed(unseen)
}

// The same with a Role alone.
func TestRightsInOneNamespace(t *testing.T) {
	s := startServer(t)
	s.namespace(namespace, nil)
	s.apply(monitors)
	s.helm("install", release, chartDir(t), "-n", namespace, "--set", "namespaceScope=true,predictor.legacyGroup=true")
	made := s.apply(strings.ReplaceAll(mesh, "namespace: mesh", "namespace: "+namespace))
	s.runController(cluster.Config{NamespaceScope: true, Wishes: kubernetes.Wishes{LegacyPredictors: true, NamespaceScope: true}})

	s.meshIsThere(namespace)
	s.shippedRuntimeStays("ServingRuntime", namespace, "Deployment")
	s.merge(made[0], `{"metadata": {"annotations": null}}`)
	s.eventually("no autoscaler", s.is("autoscaling/v2", "HorizontalPodAutoscaler", namespace, "modelmesh-serving-scaled", false))
	s.apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: model-serving-config, namespace: modelmesh-serving}, data: {config.yaml: 'metrics: {enabled: false}'}}")
	s.eventually("no monitor", s.is("monitoring.coreos.com/v1", "ServiceMonitor", namespace, "modelmesh-metrics-monitor", false))

	more := maps.Clone(unseen)
	delete(more, "delete serving.kserve.io/clusterservingruntimes")
	more["delete serving.kserve.io/servingruntimes"] = "controller/shippedruntimes, when a value is switched off"
	for _, kind := range []string{"apps/deployments", "/services", "policy/poddisruptionbudgets"} {
		more["delete "+kind] = "controller/servingruntime, when a runtime or the name of the Service goes"
	}
	s.rightsAreUsed(more)
}

// controllerUser is whom RBAC takes the controller for.
const controllerUser = "system:serviceaccount:" + namespace + ":wasmesh-controller"

// runController runs it in this process until the test ends.
func (s *server) runController(c cluster.Config) {
	s.t.Helper()
	config, err := s.plane.Client(controllerUser, "system:authenticated")
	if err != nil {
		s.t.Fatal(err)
	}
	c.REST, c.Namespace, c.PodName, c.Deployment, c.HostImage = config, namespace, "controller-0", "wasmesh-controller", "host:1"
	c.SyncAddress, c.AdminAddress, c.MetricsAddress, c.HealthAddress = "127.0.0.1:0", "127.0.0.1:0", "0", "0"
	c.LeaderElect, c.ConfigMap, c.Metrics = true, "model-serving-config", prometheus.NewRegistry()
	c.Logger = slog.New(slog.NewTextHandler(s.t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	ctx, stop := context.WithCancel(s.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- cluster.Run(ctx, c) }()
	s.t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			s.t.Error(err)
		}
	})
}

func (s *server) meshIsThere(namespace string) {
	s.t.Helper()
	s.eventually("autoscaler", s.is("autoscaling/v2", "HorizontalPodAutoscaler", namespace, "modelmesh-serving-scaled", true))
	s.eventually("disruption budget", s.is("policy/v1", "PodDisruptionBudget", namespace, "modelmesh-serving-scaled", true))
	s.eventually("monitor", s.is("monitoring.coreos.com/v1", "ServiceMonitor", namespace, "modelmesh-metrics-monitor", true))
	s.eventually("Service", s.is("v1", "Service", namespace, "modelmesh-serving", true))
}

// shippedRuntimeStays as the chart has it, and goes with it.
func (s *server) shippedRuntimeStays(kind, namespace, owner string) {
	s.t.Helper()
	const version, name = "serving.kserve.io/v1alpha1", "mlserver-1.x"
	s.eventually("shipped runtime", s.is(version, kind, namespace, name, true))
	runtime := s.get(version, kind, namespace, name)
	if owners := runtime.GetOwnerReferences(); len(owners) != 1 || owners[0].Kind != owner {
		s.t.Errorf("owners of the shipped runtime: %v", owners)
	}
	s.merge(runtime, `{"spec": {"multiModel": false}}`)
	s.eventually("shipped runtime as it was", func() error {
		if on, _, _ := unstructured.NestedBool(s.get(version, kind, namespace, name).Object, "spec", "multiModel"); !on {
			return errors.New("still changed")
		}
		return nil
	})
	if err := s.client.Delete(s.t.Context(), runtime); err != nil {
		s.t.Fatal(err)
	}
	s.eventually("shipped runtime again", s.is(version, kind, namespace, name, true))
}

// rightsAreUsed fails for one that is not, those aside that are excused, and for each that was lacking.
func (s *server) rightsAreUsed(excused map[string]string) {
	s.t.Helper()
	given := s.given()
	s.eventually("use of every right", func() error {
		used, forbidden := s.requests(controllerUser)
		if len(forbidden) > 0 {
			s.t.Fatalf("the controller may not, and tried to: %v", forbidden)
		}
		var idle []string
		for right := range given {
			if _, is := excused[right]; !used[right] && !is {
				idle = append(idle, right)
			}
		}
		if len(idle) > 0 {
			return fmt.Errorf("rights that nothing has used:\n%s", strings.Join(slices.Sorted(slices.Values(idle)), "\n"))
		}
		return nil
	})
	for right, who := range excused {
		if !given[right] {
			s.t.Errorf("%s (%s) is not given", right, who)
		}
	}
}

// is says whether an object exists, as wanted.
func (s *server) is(apiVersion, kind, namespace, name string, wanted bool) func() error {
	return func() error {
		if o := s.get(apiVersion, kind, namespace, name); (o != nil) != wanted {
			return fmt.Errorf("%s %s: wanted %v", kind, name, wanted)
		}
		return nil
	}
}

func (s *server) merge(o *unstructured.Unstructured, patch string) {
	s.t.Helper()
	if err := s.client.Patch(s.t.Context(), o.DeepCopy(), client.RawPatch("application/merge-patch+json", []byte(patch))); err != nil {
		s.t.Fatal(err)
	}
}

// given answers the rights that the release gives the controller: "verb group/resource", names aside.
func (s *server) given() map[string]bool {
	s.t.Helper()
	given := map[string]bool{}
	for _, o := range []*unstructured.Unstructured{
		s.get("rbac.authorization.k8s.io/v1", "ClusterRole", "", "wasmesh-controller"),
		s.get("rbac.authorization.k8s.io/v1", "ClusterRole", "", "wasmesh-controller-"+namespace),
		s.get("rbac.authorization.k8s.io/v1", "Role", namespace, "wasmesh-controller"),
	} {
		if o == nil {
			continue
		}
		rules, _, err := unstructured.NestedSlice(o.Object, "rules")
		if err != nil || len(rules) == 0 {
			s.t.Fatal(o, err)
		}
		for _, rule := range rules {
			rule := rule.(map[string]any)
			for _, group := range rule["apiGroups"].([]any) {
				for _, resource := range rule["resources"].([]any) {
					for _, verb := range rule["verbs"].([]any) {
						given[fmt.Sprintf("%s %s/%s", verb, group, resource)] = true
					}
				}
			}
		}
	}
	return given
}

// requests reads the audit log: the rights that a user has used, and what it was refused.
func (s *server) requests(user string) (used map[string]bool, forbidden []string) {
	s.t.Helper()
	file, err := os.Open(s.audit)
	if err != nil {
		s.t.Fatal(err)
	}
	defer file.Close()
	used, refused := map[string]bool{}, map[string]bool{}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var event struct {
			Verb      string
			User      struct{ Username string }
			ObjectRef *struct{ APIGroup, Resource, Subresource, Namespace, Name string }
			// ResponseStatus is absent while a watch goes on.
			ResponseStatus struct{ Code int }
		}
		// The last line may be half written.
		if json.Unmarshal(lines.Bytes(), &event) != nil || event.User.Username != user || event.ObjectRef == nil {
			continue
		}
		resource := event.ObjectRef.Resource
		if event.ObjectRef.Subresource != "" {
			resource += "/" + event.ObjectRef.Subresource
		}
		right := fmt.Sprintf("%s %s/%s", event.Verb, event.ObjectRef.APIGroup, resource)
		if event.ResponseStatus.Code == 403 {
			refused[right+" "+event.ObjectRef.Namespace+"/"+event.ObjectRef.Name] = true
			continue
		}
		used[right] = true
		if event.Verb == "watch" { // which brings what is there, too, where the API server is new enough
			used["list"+strings.TrimPrefix(right, "watch")] = true
		}
		if event.Verb == "patch" && event.ResponseStatus.Code == 201 { // applying made it, which takes the right to create
			used["create"+strings.TrimPrefix(right, "patch")] = true
		}
	}
	if err := lines.Err(); err != nil {
		s.t.Fatal(err)
	}
	return used, slices.Sorted(maps.Keys(refused))
}
