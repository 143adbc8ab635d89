package resources

import (
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/wasmesh/wasmesh/controller/config"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
)

// custom reads a runtime with a spec in flow style.
func custom(t *testing.T, name, spec string) Runtime {
	t.Helper()
	s := &v1alpha1.ServingRuntimeSpec{}
	if err := yaml.UnmarshalStrict([]byte(spec), s); err != nil {
		t.Fatalf("%s: %v", spec, err)
	}
	return Runtime{Name: name, Spec: s}
}

// What the API server would refuse of a pod, or never start, and nobody would see before.
func TestPodsHoldTogether(t *testing.T) {
	for name, g := range goldens(t) {
		for _, o := range objects(t, g.mesh, g.runtime, g.replicas) {
			d, ok := o.(*appsv1.Deployment)
			if !ok {
				continue
			}
			template := d.Spec.Template
			for key, value := range d.Spec.Selector.MatchLabels {
				if template.Labels[key] != value {
					t.Errorf("%s: %s: the selector's %s=%s is not among the pod's labels", name, d.Name, key, value)
				}
			}
			volumes := map[string]bool{}
			for _, v := range template.Spec.Volumes {
				if volumes[v.Name] || len(v.Name) > 63 {
					t.Errorf("%s: %s: volume %s", name, d.Name, v.Name)
				}
				volumes[v.Name] = true
			}
			mounted := map[string]bool{}
			for _, c := range template.Spec.Containers {
				paths := map[string]bool{}
				for _, m := range c.VolumeMounts {
					at := path.Clean(m.MountPath)
					if !volumes[m.Name] || paths[at] {
						t.Errorf("%s: %s: container %s mounts %s at %s", name, d.Name, c.Name, m.Name, m.MountPath)
					}
					paths[at], mounted[m.Name] = true, true
					if c.Name != HostContainer && strings.HasPrefix(m.Name, "mm-") && !strings.HasPrefix(m.Name, prefixClaim) {
						t.Errorf("%s: %s: the runtime's container %s can read %s of the host", name, d.Name, c.Name, m.Name)
					}
				}
			}
			if len(mounted) != len(volumes) {
				t.Errorf("%s: %s: volumes %v, of which are mounted %v", name, d.Name, slices.Sorted(maps.Keys(volumes)), slices.Sorted(maps.Keys(mounted)))
			}
		}
	}
}

func TestDeploymentRefuses(t *testing.T) {
	const good = `{grpcEndpoint: "port:8085", containers: [{name: c, resources: {limits: {memory: 1Gi}}}]}`
	const prefix = "make the Deployment of runtime "
	long := strings.Repeat("r", 46)
	for _, tt := range []struct{ name, settings, runtime, spec, want string }{
		{
			"name", "", long, good,
			prefix + long + `: its name makes "modelmesh-serving-` + long + `", which is no value of a label: use a name of at most 45 characters`,
		},
		{
			"name of the gateway", "scaleToZero: {onIdle: true}", "gateway", good,
			prefix + "gateway: its name is that of the gateway, which scaleToZero.onIdle needs: use another name",
		},
		{
			"server type", "builtInServerTypes: [triton, ovms]", "r",
			`{containers: [{name: mlserver, resources: {limits: {memory: 1Gi}}}], builtInAdapter: {serverType: mlserver, runtimeManagementPort: 8001}}`,
			prefix + "r: builtInAdapter.serverType mlserver is not among the builtInServerTypes of model-serving-config, which are triton, ovms",
		},
		{
			"ports", "metrics: {port: 9100}\ninferenceServicePort: 9000\n", "r",
			`{grpcEndpoint: "port:9000", containers: [{name: c, ports: [{containerPort: 9100}], resources: {limits: {memory: 1Gi}}}]}`,
			prefix + "r: port 9000 is also that of inferenceServicePort, at which the host listens: use another\n" +
				"port 9100 is also that of metrics.port, at which the host listens: use another",
		},
		{
			"no memory", "", "r", `{grpcEndpoint: "port:8085", containers: [{name: c}]}`,
			prefix + "r: plan runtime r: container c has neither a memory request nor a memory limit: set resources.requests.memory, which says how much models may fill",
		},
		{
			"no certificate", "tls: {secretName: certificates}", "r", good,
			prefix + "r: the Secret certificates, which tls.secretName names, cannot be used: it has to be in the namespace models, with tls.crt and tls.key",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, err := Deployment(mesh(t, tt.settings), custom(t, tt.runtime, tt.spec), nil)
			if d != nil || err == nil || err.Error() != tt.want {
				t.Errorf("got  %v, %v\nwant %s", d, err, tt.want)
			}
		})
	}
	if _, err := Deployment(mesh(t, ""), custom(t, long[1:], good), nil); err != nil {
		t.Errorf("the longest name: %v", err)
	}
	if _, err := Deployment(mesh(t, ""), custom(t, "gateway", good), nil); err != nil {
		t.Errorf("a runtime called gateway where there is none: %v", err)
	}
	onIdle := mesh(t, "scaleToZero: {onIdle: true}\ntls: {secretName: certificates}")
	if d, err := Gateway(onIdle); d != nil || err == nil {
		t.Errorf("a gateway without a certificate: %v, %v", d, err)
	}
	if d, err := Gateway(mesh(t, "tls: {secretName: certificates}")); d != nil || err != nil {
		t.Errorf("a gateway that nobody wants: %v, %v", d, err)
	}
}

// Server-side apply takes no key twice, which pods that ModelMesh made may have had.
func TestEachVariableAndPortOnce(t *testing.T) {
	r := custom(t, "r", `{grpcEndpoint: "port:8085", containers: [{name: c, resources: {limits: {memory: 1Gi}},
		env: [{name: A, value: first}, {name: B, value: b}, {name: A, value: last}],
		ports: [{containerPort: 9000}, {containerPort: 9001}, {containerPort: 9000, protocol: TCP}, {containerPort: 9000, protocol: UDP}]}]}`)
	d, err := Deployment(mesh(t, ""), r, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := d.Spec.Template.Spec.Containers[0]
	if want := []corev1.EnvVar{{Name: "B", Value: "b"}, {Name: "A", Value: "last"}}; !reflect.DeepEqual(c.Env, want) {
		t.Errorf("environment %v; want %v", c.Env, want)
	}
	if want := []corev1.ContainerPort{{ContainerPort: 9000}, {ContainerPort: 9001}, {ContainerPort: 9000, Protocol: "UDP"}}; !reflect.DeepEqual(c.Ports, want) {
		t.Errorf("ports %v; want %v", c.Ports, want)
	}
	if given := r.Spec.Containers[0]; len(given.Env) != 3 || len(given.Ports) != 4 {
		t.Error("the runtime was changed")
	}
}

func TestAffinity(t *testing.T) {
	expressions := func(keys ...string) (all []corev1.NodeSelectorRequirement) {
		for _, key := range keys {
			all = append(all, corev1.NodeSelectorRequirement{Key: key, Operator: corev1.NodeSelectorOpExists})
		}
		return all
	}
	given := &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
			// A term without a requirement matches no node, and must not begin to match every one.
			NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: expressions("a")}, {}, {MatchFields: expressions("b")}},
		},
		PreferredDuringSchedulingIgnoredDuringExecution: []corev1.PreferredSchedulingTerm{{Weight: 3}},
	}}
	a := affinity(given)
	want := []corev1.NodeSelectorTerm{
		{MatchExpressions: append(expressions("a"), architectures())},
		{MatchExpressions: []corev1.NodeSelectorRequirement{architectures()}, MatchFields: expressions("b")},
	}
	if got := a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms; !reflect.DeepEqual(got, want) {
		t.Errorf("terms %v", got)
	}
	if len(a.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution) != 1 {
		t.Error("what was preferred is not any more")
	}
}

// Settings of a mesh say what other objects are called, and which of them there are.
func TestObjectsFollowSettings(t *testing.T) {
	m := mesh(t, "inferenceServiceName: other\nheadlessService: false\nmetrics: {enabled: false}\n")
	services := Services(m)
	if len(services) != 2 || services[0].Name != "other" || services[1].Name != "other-peers" {
		t.Fatalf("services %v", services)
	}
	if services[0].Spec.ClusterIP != "" || services[1].Spec.ClusterIP != corev1.ClusterIPNone {
		t.Errorf("addresses %q, %q", services[0].Spec.ClusterIP, services[1].Spec.ClusterIP)
	}
	if _, labelled := services[1].Labels[LabelService]; labelled {
		t.Error("a monitor would take the Service of the hosts for that of the clients")
	}
	if monitor := ServiceMonitor(m); monitor != nil {
		t.Errorf("a monitor without metrics: %v", monitor)
	}
	if monitor := ServiceMonitor(mesh(t, "metrics: {disablePrometheusOperatorSupport: true}")); monitor != nil {
		t.Errorf("a monitor that nobody wants: %v", monitor)
	}
	if GatewayName(m) != "other-gateway" || DeploymentName(m, "r") != "other-r" {
		t.Errorf("names %s, %s", GatewayName(m), DeploymentName(m, "r"))
	}
	m.Owner = metav1.OwnerReference{}
	if owners := Services(m)[0].OwnerReferences; owners != nil {
		t.Errorf("owners %v", owners)
	}
	if m.Config.TLS != (config.TLS{}) {
		t.Errorf("TLS %v", m.Config.TLS)
	}
}

func TestAutoscaler(t *testing.T) {
	r := custom(t, "r", `{containers: []}`)
	if got, err := Autoscaler(mesh(t, ""), r); got != nil || err != nil {
		t.Errorf("none asked for: %v, %v", got, err)
	}
	r.Annotations = map[string]string{"serving.kserve.io/autoscalerClass": "keda"}
	if got, err := Autoscaler(mesh(t, ""), r); got != nil || err == nil || !strings.HasPrefix(err.Error(), "make the autoscaler of runtime r: annotation ") {
		t.Errorf("unknown class: %v, %v", got, err)
	}
}
