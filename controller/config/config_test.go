package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/wasmesh/wasmesh/controller/decide"
)

func quantity(s string) resource.Quantity { return resource.MustParse(s) }

func with(change func(*Config)) Config {
	c := Default()
	change(&c)
	return c
}

// equal compares quantities by value: "3" and 3 are written differently.
func equal(a, b Config) bool {
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		for _, pair := range [][2]corev1.ResourceList{
			{a.ModelMeshResources.Requests, b.ModelMeshResources.Requests},
			{a.ModelMeshResources.Limits, b.ModelMeshResources.Limits},
		} {
			x, y := pair[0][name], pair[1][name]
			if x.Cmp(y) != 0 {
				return false
			}
		}
	}
	a.ModelMeshResources, b.ModelMeshResources = corev1.ResourceRequirements{}, corev1.ResourceRequirements{}
	return reflect.DeepEqual(a, b)
}

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		name, defaults, user string
		want                 Config
	}{
		{"nothing", "", "", Default()},
		{"a comment", "# nothing yet", "---\n# neither", Default()},
		{"keys without values", "", "podsPerRuntime:\ntls:\nrestProxy: {port: null}\nruntimePodLabels:", Default()},
		{"names", "", "inferenceServiceName: mesh\ninferenceServicePort: 9033\nstorageSecretName: store\nserviceAccountName: runner", with(func(c *Config) {
			c.InferenceServiceName, c.InferenceServicePort, c.StorageSecretName, c.ServiceAccountName = "mesh", 9033, "store", "runner"
		})},
		{"switches", "", "headlessService: false\nenableAccessLogging: true\nallowAnyPVC: true\nmetrics: {enabled: false}\nrestProxy: {enabled: false}", with(func(c *Config) {
			c.HeadlessService, c.EnableAccessLogging, c.AllowAnyPVC, c.Metrics.Enabled, c.RestProxy.Enabled = false, true, true, false, false
		})},
		{"any case", "", "PODSPERRUNTIME: 4\nScaleToZero: {GRACEPERIODSECONDS: 5, onidle: true}\ngrpcmaxmessagesizebytes: 1024", with(func(c *Config) {
			c.PodsPerRuntime, c.ScaleToZero.GracePeriod, c.ScaleToZero.OnIdle, c.GRPCMaxMessageSizeBytes = 4, 5*time.Second, true, 1024
		})},
		{"values as text", "", `{podsPerRuntime: "0", headlessService: "false", scaleToZero: {gracePeriodSeconds: "65535"}}`, with(func(c *Config) {
			c.PodsPerRuntime, c.HeadlessService, c.ScaleToZero.GracePeriod = 0, false, 65535*time.Second
		})},
		{"TLS", "", "tls: {secretName: certs, clientAuth: require}", with(func(c *Config) {
			c.TLS = TLS{SecretName: "certs", ClientAuth: ClientAuthRequire}
		})},
		{"metrics", "", "metrics: {port: 9112, scheme: http, disablePrometheusOperatorSupport: true}", with(func(c *Config) {
			c.Metrics.Port, c.Metrics.DisablePrometheusOperatorSupport = 9112, true
		})},
		{"the user over the defaults", "podsPerRuntime: 3\nrestProxy: {port: 9008}\nallowAnyPVC: true", "podsPerRuntime: 1\nrestProxy: {enabled: true}", with(func(c *Config) {
			c.PodsPerRuntime, c.RestProxy.Port, c.AllowAnyPVC = 1, 9008, true
		})},
		{"maps are merged", "runtimePodLabels: {team: a, Tier: x}\nruntimePodAnnotations: {note: 1}", "runtimePodLabels: {team: b}\nruntimePodAnnotations: {example.com/On: true}", with(func(c *Config) {
			c.RuntimePodLabels = map[string]string{"team": "b", "Tier": "x"}
			c.RuntimePodAnnotations = map[string]string{"note": "1", "example.com/On": "true"}
		})},
		{"lists are replaced", "imagePullSecrets: [{name: a}]\nbuiltInServerTypes: [triton]", "imagePullSecrets: [{Name: b}, {name: c}]\nbuiltInServerTypes: mlserver, ovms", with(func(c *Config) {
			c.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "b"}, {Name: "c"}}
			c.BuiltInServerTypes = []string{"mlserver", "ovms"}
		})},
		{"lists are emptied", "imagePullSecrets: [{name: a}]", "imagePullSecrets: []", with(func(c *Config) {
			c.ImagePullSecrets = []corev1.LocalObjectReference{}
		})},
		{"resources are merged", "modelMeshResources: {limits: {memory: 1Gi}}", "modelMeshResources: {requests: {CPU: 3, memory: 448Mi}, limits: {cpu: 3}}", with(func(c *Config) {
			c.ModelMeshResources.Requests = corev1.ResourceList{"cpu": quantity("3"), "memory": quantity("448Mi")}
			c.ModelMeshResources.Limits = corev1.ResourceList{"cpu": quantity("3"), "memory": quantity("1Gi")}
		})},
		{"what asks for nothing is not worth a warning", "", "payloadProcessors: []\netcdSecretName: ''\nrestProxy: {skipVerify: false, image: {name: ''}}\nmodelMeshEndpoint:", Default()},
		{"a taken port that is not listened at", "", "metrics: {enabled: false, port: 8033}", with(func(c *Config) {
			c.Metrics.Enabled, c.Metrics.Port = false, 8033
		})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, warnings, err := Parse([]byte(tt.defaults), []byte(tt.user))
			if err != nil || warnings != nil || !equal(got, tt.want) {
				t.Errorf("got  %+v\n%v, %v\nwant %+v", got, warnings, err, tt.want)
			}
		})
	}
	if !equal(Default(), with(func(*Config) {})) {
		t.Error("parsing changed the defaults")
	}
}

func TestParseWarns(t *testing.T) {
	const rest = "has no effect: REST is served by the host itself, there is no container for it"
	const pull = "has no effect: the host fetches models itself, there is no container for it"
	for _, tt := range []struct {
		name, defaults, user string
		want                 []string
		config               Config
	}{
		{
			"keys of what is gone", "restProxy: {image: {name: kserve/rest-proxy}}", `
modelMeshImage: {name: kserve/modelmesh, tag: latest}
storageHelperImage: {name: x}
storageHelperResources: {requests: {cpu: 1}}
restProxy: {image: {tag: v1}, resources: {limits: {cpu: 1}}, skipVerify: true}
payloadProcessors: ["logger://*"]
modelMeshEndpoint: localhost:8033
etcdSecretName: model-serving-etcd
`,
			[]string{
				"restProxy.image: " + rest,
				"etcdSecretName: has no effect: there is no etcd; the Kubernetes objects are the registry",
				"modelMeshEndpoint: has no effect: hosts connect to the controller, not the controller to them",
				"modelMeshImage: has no effect: the host's image comes with the controller, by its flag --host-image",
				"payloadProcessors: has no effect: payloads are not handed to processors",
				"restProxy.resources: " + rest, "restProxy.skipVerify: " + rest,
				"storageHelperImage: " + pull, "storageHelperResources: " + pull,
			},
			Default(),
		},
		{
			"unknown keys", "", "podsPerRutime: 3\nscaleToZero: {grace: 1}\n",
			[]string{
				"podsPerRutime: is not a key of model-serving-config, and has no effect",
				"scaleToZero.grace: is not a key of model-serving-config, and has no effect",
			},
			Default(),
		},
		{
			"metrics over TLS", "", "metrics: {scheme: https}",
			[]string{"metrics.scheme: https has no effect: metrics are served in plain HTTP, and what collects them is told so"}, Default(),
		},
		{
			"environment", "", "internalModelMeshEnvVars: [{name: GOGC, value: 50}, {name: EMPTY}]",
			[]string{"internalModelMeshEnvVars: are given to the host, to which variables of ModelMesh mean nothing"},
			with(func(c *Config) {
				c.InternalModelMeshEnvVars = []corev1.EnvVar{{Name: "GOGC", Value: "50"}, {Name: "EMPTY"}}
			}),
		},
		{
			"a variable twice", "", "internalModelMeshEnvVars: [{name: GOGC, value: 50}, {name: A, value: b}, {name: GOGC, value: 70}]",
			[]string{"internalModelMeshEnvVars: are given to the host, to which variables of ModelMesh mean nothing"},
			with(func(c *Config) {
				c.InternalModelMeshEnvVars = []corev1.EnvVar{{Name: "A", Value: "b"}, {Name: "GOGC", Value: "70"}}
			}),
		},
		{"clients without TLS", "", "tls: {clientAuth: optional}", []string{"tls.clientAuth: has no effect without tls.secretName"}, Default()},
		{
			"idle without zero", "", "scaleToZero: {enabled: false, onIdle: true}",
			[]string{"scaleToZero.onIdle: has no effect while scaleToZero.enabled is false"},
			with(func(c *Config) { c.ScaleToZero.Enabled = false }),
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, warnings, err := Parse([]byte(tt.defaults), []byte(tt.user))
			var texts []string
			for _, w := range warnings {
				texts = append(texts, w.String())
			}
			if err != nil || !slices.Equal(texts, tt.want) || !equal(got, tt.config) {
				t.Errorf("got  %q, %v, %+v\nwant %q", texts, err, got, tt.want)
			}
		})
	}
}

// A ConfigMap that is something else is not repeated whole in an Event.
func TestParseWarnsWithin(t *testing.T) {
	var text strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&text, "key%d%s: 1\n", i, strings.Repeat("x", 500))
	}
	_, warnings, err := Parse(nil, []byte(text.String()))
	if err != nil || len(warnings) != maxWarnings+1 {
		t.Fatalf("%d warnings, %v", len(warnings), err)
	}
	if last := warnings[maxWarnings].String(); last != "config.yaml: 968 more keys have no effect" {
		t.Errorf("the last says %q", last)
	}
	for _, w := range warnings {
		if len(w.String()) > 200 {
			t.Errorf("a warning of %d characters", len(w.String()))
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, tt := range []struct{ user, want string }{
		{"podsPerRuntime: [", "it is not valid YAML: "},
		{"- podsPerRuntime", "it has to be a mapping of keys to values"},
		{"text", "it has to be a mapping of keys to values"},
		{"podsPerRuntime: 1\npodsPerRuntime: 2", "it is not valid YAML: "},
		{"podsPerRuntime: 1\nPodsPerRuntime: 2", "podsperruntime is there twice, as PodsPerRuntime and podsPerRuntime: remove one"},
		{"podsPerRuntime: many", `podsPerRuntime is "many": it has to be a whole number from 0 to 65535`},
		{"podsPerRuntime: -1", "podsPerRuntime is -1: it has to be a whole number from 0 to 65535"},
		{"podsPerRuntime: 1.5", "podsPerRuntime is 1.5: it has to be a whole number from 0 to 65535"},
		{"podsPerRuntime: {a: 1}", "podsPerRuntime is a mapping: it has to be a whole number from 0 to 65535"},
		{"inferenceServiceName: Not_Valid", `inferenceServiceName is "Not_Valid": it has to be the name of a Service: lower-case letters, digits and -, at most 40, the first a letter`},
		{"inferenceServiceName: ''", `inferenceServiceName is "": it has to be the name of a Service: lower-case letters, digits and -, at most 40, the first a letter`},
		{"inferenceServicePort: 0", "inferenceServicePort is 0: it has to be a whole number from 1 to 65535"},
		{"inferenceServicePort: 65536", "inferenceServicePort is 65536: it has to be a whole number from 1 to 65535"},
		{"headlessService: maybe", `headlessService is "maybe": it has to be true or false`},
		{"storageSecretName: ''", `storageSecretName is "": it has to be the name of an object: lower-case letters, digits, - and .`},
		{"serviceAccountName: a b", `serviceAccountName is "a b": it has to be the name of an object: lower-case letters, digits, - and .`},
		{"serviceAccountName: [a]", "serviceAccountName is a list: it has to be a string"},
		{"tls: secret", `tls is "secret": it has to be a mapping`},
		{"tls: {clientAuth: always}", `tls.clientAuth is "always": it has to be "optional", "require", or empty for none`},
		{"grpcMaxMessageSizeBytes: 0", "grpcMaxMessageSizeBytes is 0: it has to be a whole number from 1 to 2147483647"},
		{"metrics: {scheme: ftp}", `metrics.scheme is "ftp": it has to be "http"`},
		{"scaleToZero: {gracePeriodSeconds: 65536}", "scaleToZero.gracePeriodSeconds is 65536: it has to be a whole number from 0 to 65535"},
		{"modelMeshResources: big", `modelMeshResources is "big": it has to be a mapping with requests and limits, each with cpu and memory`},
		{"modelMeshResources: {claims: []}", `modelMeshResources has the key "claims": it has to be a mapping with requests and limits, each with cpu and memory`},
		{"modelMeshResources: {limits: 1}", "modelMeshResources has 1 for limits: it has to be a mapping with cpu and memory"},
		{"modelMeshResources: {limits: {gpu: 1}}", "modelMeshResources has limits.gpu: only cpu and memory can be set"},
		{"modelMeshResources: {limits: {memory: lots}}", `modelMeshResources has "lots" for limits.memory: it has to be a positive quantity such as "512Mi"`},
		{"modelMeshResources: {requests: {cpu: 0}}", `modelMeshResources has 0 for requests.cpu: it has to be a positive quantity such as "500m"`},
		{"modelMeshResources: {requests: {memory: 1Gi}}", "modelMeshResources.requests.memory is 1Gi, more than limits.memory, which is 512Mi: raise the limit"},
		{"runtimePodLabels: [a]", "runtimePodLabels is a list: it has to be a mapping of names to strings"},
		{"runtimePodLabels: {'a b': c}", `runtimePodLabels has the key "a b": it has to be such as "team" or "example.com/team"`},
		{"runtimePodLabels: {a: b c}", `runtimePodLabels has "b c" for the key a: it has to be the value of a label: at most 63 letters, digits, -, _ and .`},
		{"runtimePodAnnotations: {a: {}}", "runtimePodAnnotations has a mapping for the key a: it has to be a string"},
		{"imagePullSecrets: [a]", "imagePullSecrets has to be a list of {name: SECRET}"},
		{"imagePullSecrets: [{name: a, NAME: b}]", "imagePullSecrets has to be a list of {name: SECRET}"},
		{"imagePullSecrets: [{}]", `imagePullSecrets has the name "": it has to be the name of an object: lower-case letters, digits, - and .`},
		{"builtInServerTypes: {}", "builtInServerTypes is a mapping: it has to be a list of names"},
		{"builtInServerTypes: [[]]", "builtInServerTypes is a list: it has to be a list of names"},
		{"internalModelMeshEnvVars: [{name: A, valueFrom: {}}]", "internalModelMeshEnvVars has to be a list of {name: NAME, value: VALUE}"},
		{"internalModelMeshEnvVars: [{name: 'A=B', value: hidden}]", `internalModelMeshEnvVars has the name "A=B": it has to be that of an environment variable`},
		{"metrics: {port: 8033}", "inferenceServicePort is 8033, which is also the port of metrics.port: use another"},
	} {
		got, warnings, err := Parse(nil, []byte(tt.user))
		if err == nil || !strings.HasPrefix(strings.TrimPrefix(err.Error(), "read config.yaml: "), tt.want) {
			t.Errorf("%s\n got  %v\n want %s", tt.user, err, tt.want)
		}
		if warnings != nil || !reflect.DeepEqual(got, Config{}) {
			t.Errorf("%s: beside the error %+v, %v", tt.user, got, warnings)
		}
	}
}

func TestParseSaysEverythingThatIsWrong(t *testing.T) {
	_, _, err := Parse([]byte("headlessService: 7"), []byte("podsPerRuntime: x\nrestProxy: {port: 8089}\ntls: 1"))
	want := `read the defaults file: headlessService is 7: it has to be true or false
read config.yaml: podsPerRuntime is "x": it has to be a whole number from 0 to 65535
tls is 1: it has to be a mapping
restProxy.port is 8089, which is also the port of health: use another`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestEndpoints(t *testing.T) {
	for _, tt := range []struct {
		user string
		want decide.Endpoints
	}{
		{"", decide.Endpoints{GRPC: decide.DefaultGRPCEndpoint, REST: decide.DefaultRESTEndpoint}},
		{
			"inferenceServiceName: mesh\ninferenceServicePort: 9033\nrestProxy: {port: 9008}\ntls: {secretName: certs}",
			decide.Endpoints{GRPC: "grpc://mesh.{namespace}:9033", REST: "https://mesh.{namespace}:9008"},
		},
	} {
		c, _, err := Parse(nil, []byte(tt.user))
		if err != nil || c.Endpoints() != tt.want {
			t.Errorf("%s: %v, %v", tt.user, c.Endpoints(), err)
		}
	}
}

// Whatever stands in a ConfigMap, the controller lives, and what it goes on with can be acted on.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"", "podsPerRuntime: 3\n", "tls: {secretName: a, clientAuth: require}", "a: &a [*a]", "a: &a {b: *a}", "? {a: 1}\n: 2", "<<: {podsPerRuntime: 1}",
		"modelMeshResources: {requests: {cpu: 1e99, memory: -1}}", "scaleToZero: {gracePeriodSeconds: 0x10}", "!!binary aGk=: 1", "runtimePodLabels: {1: 2, true: 3}",
		"imagePullSecrets: [{name: a, NAME: b}]", "metrics: {port: 18446744073709551616}", "builtInServerTypes: a,,b", "\xff\xfe", "- - - -", "x: .nan",
	} {
		f.Add([]byte(seed), []byte(seed))
	}
	f.Fuzz(func(t *testing.T, defaults, user []byte) {
		c, warnings, err := Parse(defaults, user)
		if err != nil {
			if warnings != nil || !reflect.DeepEqual(c, Config{}) {
				t.Fatalf("beside %v: %+v, %v", err, c, warnings)
			}
			return
		}
		ports := map[int32]bool{}
		for _, p := range c.Ports() {
			if p.Port < 1 || p.Port > 65535 || ports[p.Port] {
				t.Errorf("ports %v", c.Ports())
			}
			ports[p.Port] = true
		}
		if c.InferenceServiceName == "" || c.StorageSecretName == "" || c.GRPCMaxMessageSizeBytes < 1 || c.PodsPerRuntime < 0 ||
			c.ScaleToZero.GracePeriod < 0 || len(warnings) > maxWarnings+1 {
			t.Errorf("%+v, %v", c, warnings)
		}
		for name, request := range c.ModelMeshResources.Requests {
			if limit := c.ModelMeshResources.Limits[name]; request.Sign() <= 0 || request.Cmp(limit) > 0 {
				t.Errorf("%s: %v of %v", name, request, limit)
			}
		}
		// What was understood is understood the same again.
		if again, _, err := Parse(defaults, user); err != nil || !reflect.DeepEqual(again, c) {
			t.Errorf("again: %+v, %v", again, err)
		}
	})
}
