package resources

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/wasmesh/wasmesh/controller/config"
	"github.com/wasmesh/wasmesh/controller/resolve"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// mesh is one with the given settings, and nothing else that is special.
func mesh(t *testing.T, settings string) Mesh {
	t.Helper()
	c, warnings, err := config.Parse(nil, []byte(settings))
	if err != nil || warnings != nil {
		t.Fatalf("%s: %v, %v", settings, warnings, err)
	}
	return Mesh{
		Namespace:         "models",
		ControllerAddress: "dns:///wasmesh-controller.wasmesh-system.svc:11884",
		HostImage:         "ghcr.io/wasmesh/wasmesh-host:1.0.0",
		Config:            c,
		Owner:             metav1.OwnerReference{APIVersion: "v1", Kind: "Namespace", Name: "models", UID: "1-2"},
	}
}

// servingRuntime reads a valid one, of either kind.
func servingRuntime(t *testing.T, file string) Runtime {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	o := &v1alpha1.ServingRuntime{}
	if err := yaml.UnmarshalStrict(content, o); err != nil {
		t.Fatal(err)
	}
	if problems := resolve.ValidateRuntime(resolve.Namespaced(o)); problems != nil {
		t.Fatalf("%s: %q", file, problems)
	}
	return Runtime{
		Name: o.Name, Spec: &o.Spec, Annotations: o.Annotations,
		Owner: metav1.OwnerReference{APIVersion: o.APIVersion, Kind: o.Kind, Name: o.Name, UID: "3-4"},
	}
}

// goldens are meshes, each with one runtime, whose objects stand in testdata/golden under the name.
func goldens(t *testing.T) map[string]struct {
	mesh     Mesh
	runtime  Runtime
	replicas *int32
} {
	const mlserver = "../../runtimes/mlserver/servingruntime.yaml"
	claims := mesh(t, "headlessService: false\nrestProxy: {enabled: false}\nmetrics: {enabled: false}\nserviceAccountName: runner\nenableAccessLogging: true\n")
	claims.Claims = []string{"models-a", "models.b"}
	secure := mesh(t, "tls: {secretName: mesh-tls, clientAuth: require}\nrestProxy: {port: 9008}\ninferenceServicePort: 9033\nmetrics: {port: 9112}\n")
	secure.TLSSecret = &TLSSecret{HasCA: true}
	custom := mesh(t, `
runtimePodLabels: {tier: settings, zone: z}
runtimePodAnnotations: {note: settings, prometheus.io/path: /m}
imagePullSecrets: [{name: first}, {name: shared}]
internalModelMeshEnvVars: []
modelMeshResources: {requests: {cpu: 300m, memory: 448Mi}, limits: {cpu: 3, memory: 448Mi}}
grpcMaxMessageSizeBytes: 1048576
inferenceServiceName: mesh
`)
	custom.Config.InternalModelMeshEnvVars = []corev1.EnvVar{{Name: "GOGC", Value: "50"}, {Name: "POD_IP", Value: "never"}}
	idle := mesh(t, "scaleToZero: {onIdle: true}\nmetrics: {disablePrometheusOperatorSupport: true}\n")
	type golden = struct {
		mesh     Mesh
		runtime  Runtime
		replicas *int32
	}
	return map[string]golden{
		"mlserver": {mesh(t, ""), servingRuntime(t, mlserver), ptr[int32](2)},
		"custom":   {custom, servingRuntime(t, "testdata/custom.yaml"), ptr[int32](3)},
		"unix":     {mesh(t, ""), servingRuntime(t, "testdata/unix.yaml"), ptr[int32](0)},
		"claims":   {claims, servingRuntime(t, mlserver), ptr[int32](1)},
		"tls":      {secure, servingRuntime(t, mlserver), ptr[int32](2)},
		"scaled":   {mesh(t, ""), servingRuntime(t, "testdata/scaled.yaml"), nil},
		"gateway":  {idle, servingRuntime(t, mlserver), ptr[int32](0)},
	}
}

// objects are all that belong to a mesh with one runtime, in the order of their making.
func objects(t *testing.T, m Mesh, r Runtime, replicas *int32) []any {
	t.Helper()
	deployment, err := Deployment(m, r, replicas)
	if err != nil {
		t.Fatal(err)
	}
	all := []any{deployment, DisruptionBudget(m, r)}
	if autoscaler, err := Autoscaler(m, r); err != nil {
		t.Fatal(err)
	} else if autoscaler != nil {
		all = append(all, autoscaler)
	}
	if gateway, err := Gateway(m); err != nil {
		t.Fatal(err)
	} else if gateway != nil {
		all = append(all, gateway)
	}
	for _, s := range Services(m) {
		all = append(all, s)
	}
	if monitor := ServiceMonitor(m); monitor != nil {
		all = append(all, monitor)
	}
	return all
}

func TestGolden(t *testing.T) {
	for name, g := range goldens(t) {
		t.Run(name, func(t *testing.T) {
			before := g.runtime.Spec.DeepCopy()
			var got bytes.Buffer
			for _, o := range objects(t, g.mesh, g.runtime, g.replicas) {
				tree, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
				if err != nil {
					t.Fatal(err)
				}
				// Nothing here says what is.
				delete(tree, "status")
				text, err := yaml.Marshal(tree)
				if err != nil {
					t.Fatal(err)
				}
				got.WriteString("---\n")
				got.Write(text)
			}
			file := filepath.Join("testdata", "golden", name+".yaml")
			if *rewrite {
				if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Bytes(), want) {
				t.Errorf("the objects are not those of %s; go test -rewrite and look at the difference. Got:\n%s", file, got.Bytes())
			}
			if !reflect.DeepEqual(g.runtime.Spec, before) {
				t.Error("the runtime was changed")
			}
		})
	}
}
