package resolve

import (
	"testing"

	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/yaml"

	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
)

// mlserver is ModelMesh's own, shortened.
const mlserver = `
apiVersion: serving.kserve.io/v1alpha1
kind: ClusterServingRuntime
metadata:
  name: mlserver-1.x
  annotations: {maxLoadingConcurrency: "2", perModelConcurrencyLimit: "8"}
spec:
  supportedModelFormats: [{name: sklearn, version: "0", autoSelect: true}]
  protocolVersions: [grpc-v2]
  multiModel: true
  replicas: 3
  grpcEndpoint: "port:8085"
  grpcDataEndpoint: "port:8001"
  containers:
  - name: sidecar
    image: other
  - name: mlserver
    image: seldonio/mlserver:1.7.1
    command: [mlserver]
    args: [start, /models]
    env:
    - {name: MLSERVER_HTTP_PORT, value: "8002"}
    - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
    resources:
      requests: {cpu: 500m, memory: 1Gi}
      limits: {cpu: "5", memory: 2Gi}
  builtInAdapter: {serverType: mlserver, runtimeManagementPort: 8001, memBufferBytes: 134217728, modelLoadingTimeoutMillis: 60000}
`

func TestRuntimePlan(t *testing.T) {
	csr := &v1alpha1.ClusterServingRuntime{}
	if err := yaml.UnmarshalStrict([]byte(mlserver), csr); err != nil {
		t.Fatal(err)
	}
	got, err := RuntimePlan("ns", Clusterwide(csr))
	want := &adminv1.RuntimePlan{
		Namespace: "ns", Name: "mlserver-1.x", ServerType: "mlserver", CapacityBytes: 1<<30 - 128<<20,
		MaxLoadingConcurrency: 2, PerModelConcurrency: 8, ModelLoadingTimeoutMs: 60000,
		Command: []string{"mlserver"}, Args: []string{"start", "/models"},
		Env: []*adminv1.RuntimePlan_EnvVar{{Name: "MLSERVER_HTTP_PORT", Value: "8002"}}, Replicas: 3,
	}
	if err != nil || !proto.Equal(got, want) {
		t.Errorf("got  %v, %v\nwant %v", got, err, want)
	}
	if problems := ValidateRuntime(Clusterwide(csr)); problems != nil {
		t.Errorf("problems %q", problems)
	}
}

func TestRuntimePlanDefaults(t *testing.T) {
	// A runtime that speaks mmesh.ModelRuntime itself, with a memory limit only: its first container counts.
	r := servingRuntime(t, "ns", "own", `{containers: [{name: a, resources: {limits: {memory: 1Gi}}}, {name: b}]}`)
	got, err := RuntimePlan("ns", r)
	want := &adminv1.RuntimePlan{
		Namespace: "ns", Name: "own", CapacityBytes: 768 << 20, MaxLoadingConcurrency: 1, ModelLoadingTimeoutMs: 90000,
	}
	if err != nil || !proto.Equal(got, want) {
		t.Errorf("got  %v, %v\nwant %v", got, err, want)
	}
}

func TestRuntimePlanRefuses(t *testing.T) {
	memory := func(m string) string { return `{containers: [{name: c, resources: {requests: {memory: ` + m + `}}}]}` }
	tests := []struct {
		name, spec  string
		annotations map[string]string
		want        string
	}{
		{"no container", `{containers: []}`, nil, "plan runtime r: spec.containers is empty"},
		{
			"no memory", `{containers: [{name: c}]}`, nil,
			"plan runtime r: container c has neither a memory request nor a memory limit: set resources.requests.memory, which says how much models may fill",
		},
		{
			"no memory left", memory("256Mi"), nil,
			"plan runtime r: container c has 268435456 bytes of memory, and memBufferBytes is 268435456: nothing is left for models; " +
				"raise resources.requests.memory or lower builtInAdapter.memBufferBytes",
		},
		{
			"loading concurrency", memory("1Gi"), map[string]string{"maxLoadingConcurrency": "0"},
			`plan runtime r: annotation maxLoadingConcurrency: "0" is not a positive whole number`,
		},
		{
			"concurrency per model", memory("1Gi"), map[string]string{"perModelConcurrencyLimit": "many"},
			`plan runtime r: annotation perModelConcurrencyLimit: "many" is not a whole number from 0 to 4294967295`,
		},
		{
			"negative buffer", memory("1Gi")[:len(memory("1Gi"))-1] + `, builtInAdapter: {serverType: c, memBufferBytes: -1}}`, nil,
			"plan runtime r: builtInAdapter.memBufferBytes is negative: -1",
		},
		{
			"negative timeout", memory("1Gi")[:len(memory("1Gi"))-1] + `, builtInAdapter: {serverType: c, modelLoadingTimeoutMillis: -1}}`, nil,
			"plan runtime r: builtInAdapter.modelLoadingTimeoutMillis is negative: -1",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := servingRuntime(t, "ns", "r", tt.spec)
			r.Annotations = tt.annotations
			if _, err := RuntimePlan("ns", r); err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}
