package chart

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/wasmesh/wasmesh/controller/resolve"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
)

// What an installation has the API server say to what people apply.
func TestAPIServer(t *testing.T) {
	s := startServer(t)
	s.namespace(namespace, nil)
	s.namespace("elsewhere", nil)
	s.namespace("mesh", map[string]string{"modelmesh-enabled": "true"})
	s.helm("install", release, chartDir(t), "-n", namespace, "--set", "quickstart.enabled=true,predictor.legacyGroup=true")
	s.serves("serving.kserve.io/v1beta1", "InferenceService")
	for _, kind := range []string{"Predictor", "ServingRuntime", "ClusterServingRuntime"} {
		s.serves("serving.kserve.io/v1alpha1", kind)
	}
	s.serves("wmlserving.ai.ibm.com/v1", "Predictor")
	for name, test := range map[string]func(*testing.T, *server){
		"examples are accepted whole":          testExamples,
		"what ModelMesh's definitions refused": testStructure,
		"what ModelMesh's webhook refused":     testAutoscaling,
		"what is only warned of":               testWarnings,
		"pods are restricted":                  testRestricted,
		"the controller's reach":               testReach,
	} {
		t.Run(name, func(t *testing.T) {
			here := *s
			here.t = t
			test(t, &here)
		})
	}
}

func testExamples(t *testing.T, s *server) {
	files, err := filepath.Glob(filepath.Join("testdata", "examples", "*.yaml"))
	if err != nil || len(files) != 3 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		examples := parse(t, string(readFile(t, file)))
		for _, o := range examples {
			if o.GetKind() == "Predictor" {
				old := o.DeepCopy()
				old.SetAPIVersion("wmlserving.ai.ibm.com/v1")
				examples = append(examples, old)
			}
		}
		for _, o := range examples {
			if !strings.HasPrefix(o.GetKind(), "Cluster") {
				o.SetNamespace(namespace)
			}
			got := o.DeepCopy()
			if err := s.client.Create(t.Context(), got, client.DryRunAll, client.FieldValidation("Strict")); err != nil {
				t.Errorf("%s: %s %s: %v", file, o.GetAPIVersion(), o.GetName(), err)
				continue
			}
			if lost := missing(o.Object["spec"], got.Object["spec"]); lost != "" {
				t.Errorf("%s: %s comes back without spec%s", file, o.GetName(), lost)
			}
		}
	}
}

// missing answers the path of something in want that got has not, or has otherwise.
func missing(want, got any) string {
	switch want := want.(type) {
	case map[string]any:
		fields, _ := got.(map[string]any)
		for key, value := range want {
			if path := missing(value, fields[key]); path != "" || fields[key] == nil && value != nil {
				return "." + key + path
			}
		}
	case []any:
		items, _ := got.([]any)
		for i, value := range want {
			if i >= len(items) {
				return fmt.Sprintf("[%d]", i)
			}
			if path := missing(value, items[i]); path != "" {
				return fmt.Sprintf("[%d]%s", i, path)
			}
		}
	default:
		// A whole number is a float64 in YAML and an int64 in the answer.
		if whole, is := got.(int64); is {
			got = float64(whole)
		}
		if !reflect.DeepEqual(want, got) {
			return fmt.Sprintf(" = %v (it is %v)", want, got)
		}
	}
	return ""
}

// body is an object of a kind with a spec in JSON or YAML.
func body(t *testing.T, kind, spec string, annotations map[string]string) *unstructured.Unstructured {
	t.Helper()
	version := map[string]string{"InferenceService": "v1beta1"}[kind]
	if version == "" {
		version = "v1alpha1"
	}
	o := parse(t, "apiVersion: serving.kserve.io/"+version+"\nkind: "+kind+"\nmetadata: {name: x}\nspec: "+spec)[0]
	o.SetAnnotations(annotations)
	if !strings.HasPrefix(kind, "Cluster") {
		o.SetNamespace(namespace)
	}
	return o
}

func testStructure(t *testing.T, s *server) {
	for _, test := range []struct{ name, kind, spec, want string }{
		{"no predictor", "InferenceService", "{}", "spec.predictor: Required value"},
		{"no format", "InferenceService", "{predictor: {model: {storageUri: s3://a/b}}}", "spec.predictor.model.modelFormat: Required value"},
		{"no name of the format", "InferenceService", "{predictor: {model: {modelFormat: {version: '1'}}}}", "modelFormat.name: Required value"},
		{"parameter that is no string", "InferenceService", "{predictor: {model: {modelFormat: {name: a}, storage: {path: p, parameters: {a: 1}}}}}", "parameters.a"},
		{"no type", "Predictor", "{path: a}", "spec.modelType: Required value"},
		{"GPU", "Predictor", "{modelType: {name: a}, gpu: two}", `supported values: "required", "preferred"`},
		{"runtime without name", "Predictor", "{modelType: {name: a}, runtime: {}}", "spec.runtime.name: Required value"},
		{"S3 without key", "Predictor", "{modelType: {name: a}, storage: {s3: {bucket: b}}}", "spec.storage.s3.secretKey: Required value"},
		{"claim without name", "Predictor", "{modelType: {name: a}, storage: {persistentVolumeClaim: {}}}", "claimName: Required value"},
		{"no containers", "ServingRuntime", "{multiModel: true}", "spec.containers: Required value"},
		{"priority", "ServingRuntime", "{containers: [{name: a}], supportedModelFormats: [{name: a, priority: 0}]}", "priority"},
		{"quantity", "ClusterServingRuntime", "{containers: [{name: a, resources: {limits: {memory: much}}}]}", "memory"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := refused(t, s.create(body(t, test.kind, test.spec, nil))); !strings.Contains(got, test.want) {
				t.Errorf("message lacks %q: %s", test.want, got)
			}
		})
	}
}

func testAutoscaling(t *testing.T, s *server) {
	const prefix = "serving.kserve.io/"
	hpa := func(more ...string) map[string]string {
		annotations := map[string]string{prefix + "autoscalerClass": "hpa"}
		for i := 0; i < len(more); i += 2 {
			annotations[prefix+more[i]] = more[i+1]
		}
		return annotations
	}
	const plain = "{multiModel: true, containers: [{name: a, image: a}]}"
	// A policy takes effect a moment after it was made.
	s.eventually("refuse", func() error {
		if s.create(body(t, "ServingRuntime", plain, hpa("metrics", "x"))) == nil {
			return fmt.Errorf("admitted")
		}
		return nil
	})
	for _, test := range []struct {
		name        string
		annotations map[string]string
		spec        string
		// want of the message; empty: it is admitted.
		want string
	}{
		{"defaults", hpa(), plain, ""},
		{"all good", hpa("metrics", "memory", "targetUtilizationPercentage", "100", "min-scale", "2", "max-scale", "2"), plain, ""},
		{"class", hpa("autoscalerClass", "external"), plain, `autoscalerClass is "external": only hpa is supported`},
		{"metric", hpa("metrics", "gpu"), plain, `metrics is "gpu": cpu and memory are supported`},
		{"target", hpa("targetUtilizationPercentage", "101"), plain, `targetUtilizationPercentage is "101": it must be a whole number from 1 to 100`},
		{"target of none", map[string]string{prefix + "targetUtilizationPercentage": "half"}, plain, `is "half"`},
		{"minimum", hpa("min-scale", "0"), plain, `min-scale is "0": it must be a whole number, at least 1`},
		{"minimum that is no number", hpa("min-scale", "two"), plain, `min-scale is "two"`},
		{"maximum", hpa("max-scale", "-1"), plain, `max-scale is "-1"`},
		{"wrong way round", hpa("min-scale", "3", "max-scale", "2"), plain, "max-scale (2) is below serving.kserve.io/min-scale (3)"},
		{"minimum above the default maximum", hpa("min-scale", "2"), plain, "max-scale (1) is below serving.kserve.io/min-scale (2)"},
		{"replicas as well", hpa(), "{multiModel: true, replicas: 2, containers: [{name: a, image: a}]}", "exclude each other"},
		{"numbers with a sign and zeros", hpa("min-scale", "+1", "max-scale", "002", "targetUtilizationPercentage", "0080"), plain, ""},
		{"no class", hpa("autoscalerClass", ""), plain, ""},
		{"bounds without a class", map[string]string{prefix + "min-scale": "x"}, plain, ""},
		{"KServe's own", hpa("autoscalerClass", "external", "metrics", "gpu"), "{containers: [{name: a, image: a}]}", ""},
	} {
		for _, kind := range []string{"ServingRuntime", "ClusterServingRuntime"} {
			t.Run(test.name+" "+kind, func(t *testing.T) {
				err := s.create(body(t, kind, test.spec, test.annotations))
				agrees(t, body(t, kind, test.spec, test.annotations), err == nil)
				if test.want == "" {
					if err != nil {
						t.Error(err)
					}
					return
				}
				if got := refused(t, err); !strings.Contains(got, test.want) {
					t.Errorf("message lacks %q: %s", test.want, got)
				}
			})
		}
	}
}

// agrees: what is let in, the controller can do, and what it cannot do is not let in.
func agrees(t *testing.T, o *unstructured.Unstructured, admitted bool) {
	t.Helper()
	var runtime v1alpha1.ServingRuntime
	content, err := o.MarshalJSON()
	if err == nil {
		err = json.Unmarshal(content, &runtime)
	}
	if err != nil {
		t.Fatal(err)
	}
	if !runtime.Spec.IsMultiModel() {
		return
	}
	_, err = resolve.ReadAutoscaling(resolve.Runtime{Name: runtime.Name, Spec: &runtime.Spec, Annotations: runtime.Annotations})
	if admitted != (err == nil) {
		t.Errorf("admitted: %v; the controller: %v", admitted, err)
	}
}

// warnings hears what kubectl prints.
type warnings []string

func (w *warnings) HandleWarningHeader(_ int, _ string, text string) { *w = append(*w, text) }

func testWarnings(t *testing.T, s *server) {
	var heard warnings
	config := rest.CopyConfig(s.admin)
	config.WarningHandler = &heard
	here := *s
	here.client = s.as(config)
	const good = "{multiModel: true, containers: [{name: a, image: a, ports: [{containerPort: 9000}]}], volumes: [{name: v, emptyDir: {}}]}"
	for _, test := range []struct{ name, spec, want string }{
		{"nothing wrong", good, ""},
		{"name of a container", strings.Replace(good, "name: a,", "name: puller,", 1), "containers named"},
		{"prefix of a container", strings.Replace(good, "name: a,", "name: mm-a,", 1), "containers named"},
		{"readiness", strings.Replace(good, "image: a,", "image: a, readinessProbe: {tcpSocket: {port: 1}},", 1), "readinessProbe"},
		{"lifecycle", strings.Replace(good, "image: a,", "image: a, lifecycle: {},", 1), "lifecycle"},
		{"port", strings.Replace(good, "9000", "11885", 1), "the ports 8080"},
		{"name of a port", strings.Replace(good, "containerPort: 9000", "containerPort: 9000, name: http", 1), "ports named"},
		{"volume", strings.Replace(good, "name: v", "name: models-dir", 1), "volumes named"},
		{"of KServe", strings.Replace(strings.Replace(good, "multiModel: true, ", "", 1), "name: a,", "name: mm,", 1), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			heard = nil
			if err := here.create(body(t, "ServingRuntime", test.spec, nil)); err != nil {
				t.Fatalf("refused, and ModelMesh did not: %v", err)
			}
			said := strings.Join(heard, "\n")
			if test.want == "" && said != "" || !strings.Contains(said, test.want) {
				t.Errorf("warned %q, want %q", said, test.want)
			}
		})
	}
}

// The namespace is held to the restricted standard, so that a pod which breaks it is refused.
func testRestricted(t *testing.T, s *server) {
	manifest := s.helm("get", "manifest", release, "-n", namespace) + "\n---\n" + s.helm("get", "hooks", release, "-n", namespace)
	pods := 0
	for _, o := range parse(t, manifest) {
		var pod *unstructured.Unstructured
		switch o.GetKind() {
		case "Pod":
			pod = o
		case "Deployment":
			template, _, err := unstructured.NestedMap(o.Object, "spec", "template")
			if err != nil {
				t.Fatal(err)
			}
			pod = &unstructured.Unstructured{Object: template}
			pod.SetAPIVersion("v1")
			pod.SetKind("Pod")
		default:
			continue
		}
		pod.SetNamespace(namespace)
		pod.SetName("x")
		pods++
		if err := s.create(pod); err != nil {
			t.Errorf("%s %s: %v", o.GetKind(), o.GetName(), err)
		}
	}
	if pods != 3 {
		t.Errorf("%d pods; the controller's, the store's and the test's are expected", pods)
	}
}

// The controller may make what a mesh consists of, in namespaces with a mesh, and nothing else anywhere.
func testReach(t *testing.T, s *server) {
	config, err := s.plane.Client("system:serviceaccount:"+namespace+":wasmesh-controller", "system:authenticated")
	if err != nil {
		t.Fatal(err)
	}
	controller := *s
	controller.client = s.as(config)
	s.eventually("refuse", func() error {
		if controller.create(small("v1", "Service", "elsewhere", "modelmesh-serving")) == nil {
			return fmt.Errorf("admitted")
		}
		return nil
	})
	for _, test := range []struct {
		name   string
		object *unstructured.Unstructured
		want   string
	}{
		{"its authority", small("v1", "Secret", namespace, "wasmesh-ca"), ""},
		{"a mesh's key", small("v1", "Secret", "mesh", "wasmesh-mesh-key"), ""},
		{"what hosts trust", small("v1", "ConfigMap", "mesh", "wasmesh-ca"), ""},
		{"its state", small("v1", "ConfigMap", namespace, "wasmesh-controller-state"), ""},
		{"a Service", small("v1", "Service", "mesh", "modelmesh-serving"), ""},
		{"a Service where no mesh is", small("v1", "Service", "elsewhere", "modelmesh-serving"), "elsewhere is not"},
		{"a key where no mesh is", small("v1", "Secret", "elsewhere", "wasmesh-mesh-key"), "elsewhere is not"},
		{"another Secret", small("v1", "Secret", "mesh", "storage-config"), "wasmesh-mesh-key only"},
		{"a Secret that becomes a token", token("mesh", "wasmesh-mesh-key"), "wasmesh-mesh-key only"},
		{"another ConfigMap", small("v1", "ConfigMap", "mesh", "policy"), "no ConfigMap but wasmesh-ca"},
		{"a pod", small("v1", "Pod", "mesh", "x"), "cannot create resource"},
		{"a role", small("rbac.authorization.k8s.io/v1", "Role", namespace, "x"), "cannot create resource"},
		{"an InferenceService", body(t, "InferenceService", "{predictor: {}}", nil), "cannot create resource"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := controller.create(test.object)
			if test.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if got := refused(t, err); !strings.Contains(got, test.want) {
				t.Errorf("message lacks %q: %s", test.want, got)
			}
		})
	}
	for _, secret := range []string{"wasmesh-quickstart-s3", "storage-config"} {
		o := small("v1", "Secret", namespace, secret)
		err := controller.client.Get(t.Context(), client.ObjectKeyFromObject(o), o)
		if got := refused(t, err); !strings.Contains(got, "cannot get resource") {
			t.Error(got)
		}
	}
}

// small is the least object of a kind.
func small(apiVersion, kind, namespace, name string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": apiVersion, "kind": kind}}
	o.SetNamespace(namespace)
	o.SetName(name)
	if kind == "Service" {
		o.Object["spec"] = map[string]any{"ports": []any{map[string]any{"port": int64(1)}}}
	}
	return o
}

// token is a Secret that Kubernetes fills with a token of a ServiceAccount.
func token(namespace, name string) *unstructured.Unstructured {
	o := small("v1", "Secret", namespace, name)
	o.SetAnnotations(map[string]string{"kubernetes.io/service-account.name": "default"})
	o.Object["type"] = "kubernetes.io/service-account-token"
	return o
}
