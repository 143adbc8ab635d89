package resolve

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/wasmesh/wasmesh/runtimes/builtin"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
)

func TestValidateRuntime(t *testing.T) {
	const container = "container spec for c is invalid: "
	tests := []struct {
		name, spec string
		want       []string
	}{
		{"good", `{grpcEndpoint: "port:8085", containers: [{name: c, ports: [{name: h, containerPort: 8001}], volumeMounts: [{name: models-dir, mountPath: /m}]}], volumes: [{name: v}]}`, nil},
		{"sockets in one directory", `{containers: [{name: c}], grpcEndpoint: "unix:/tmp/mm/a.sock", grpcDataEndpoint: "unix:///tmp/mm/b.sock"}`, nil},
		{"no containers", `{grpcEndpoint: "port:8085", containers: []}`, []string{"spec.containers is empty"}},
		{
			"unknown server", `{containers: [{name: c}], builtInAdapter: {serverType: c, runtimeManagementPort: 8001}}`,
			[]string{"unrecognized built-in runtime server type c: use one of fake, mlserver"},
		},
		{
			"no container for the server", `{containers: [{name: c}], builtInAdapter: {serverType: mlserver, runtimeManagementPort: 8001}}`,
			[]string{"must include runtime container with name mlserver, which is builtInAdapter.serverType"},
		},
		{"container mm", `{grpcEndpoint: "port:8085", containers: [{name: mm}]}`, []string{"container spec for mm is invalid: container name mm is reserved for internal use: use another name"}},
		{
			"container prefix", `{grpcEndpoint: "port:8085", containers: [{name: mm-x}]}`,
			[]string{`container spec for mm-x is invalid: container name mm-x cannot start with "mm-", which is reserved for internal use: use another name`},
		},
		{
			"readiness probe", `{grpcEndpoint: "port:8085", containers: [{name: c, readinessProbe: {}}]}`,
			[]string{container + "ReadinessProbe and Lifecycle are managed by modelmesh and cannot be set: remove them"},
		},
		{
			"lifecycle", `{grpcEndpoint: "port:8085", containers: [{name: c, lifecycle: {}}]}`,
			[]string{container + "ReadinessProbe and Lifecycle are managed by modelmesh and cannot be set: remove them"},
		},
		{
			"mount of the credentials", `{grpcEndpoint: "port:8085", containers: [{name: c, volumeMounts: [{name: storage-config, mountPath: /s}]}]}`,
			[]string{container + "volume storage-config is reserved for internal use: use another name"},
		},
		{
			"ports", `{grpcEndpoint: "port:8085", containers: [{name: c, ports: [{name: grpc, containerPort: 1}, {name: mm-a, containerPort: 2}, {containerPort: 8085}, {containerPort: 8033},
				{containerPort: 11881}, {containerPort: 11899}, {containerPort: 11900}]}]}`,
			[]string{
				container + "port name grpc is reserved for internal use: use another name",
				container + `port name mm-a cannot start with "mm-", which is reserved for internal use: use another name`,
				container + "Port 8085 is reserved for internal use: use another",
				container + "Port 8033 is reserved for internal use: use another",
				container + "Port range [11881-11899] is reserved for internal use: use another port",
				container + "Port range [11881-11899] is reserved for internal use: use another port",
			},
		},
		{
			"volumes", `{grpcEndpoint: "port:8085", containers: [{name: c}], volumes: [{name: models-dir}, {name: tc-config}, {name: mm-v}]}`,
			[]string{
				"volume models-dir is reserved for internal use: use another name",
				"volume tc-config is reserved for internal use: use another name",
				`volume mm-v cannot start with "mm-", which is reserved for internal use: use another name`,
			},
		},
		{
			"endpoints", `{containers: [{name: c}], grpcEndpoint: "8085", grpcDataEndpoint: "port:70000"}`,
			[]string{
				`grpcEndpoint: "8085" is not of the form "port:N" or "unix:/directory/socket"`,
				`grpcDataEndpoint: "port:70000" is not of the form "port:N" or "unix:/directory/socket"`,
			},
		},
		{
			"two socket directories", `{containers: [{name: c}], grpcEndpoint: "unix:/a/x", grpcDataEndpoint: "unix:/b/x"}`,
			[]string{"Only one unix domain socket path is allowed. Found [/a /b]: put both sockets into one directory"},
		},
		{
			"socket for a built-in adapter", `{containers: [{name: fake}], grpcEndpoint: "unix:/a/x", builtInAdapter: {serverType: fake}}`,
			[]string{`Built-in adapter grpcEndpoint must be of the form "port:N": unix:/a/x: it has no effect here, and can be removed`},
		},
		{
			"volume in the place of models, claims, sockets", `{grpcEndpoint: "unix:/run/rt/x", containers: [{name: c, volumeMounts: [{name: models-dir, mountPath: /models},
				{name: v, mountPath: /models/}, {name: v, mountPath: /pvc_mounts/a}, {name: v, mountPath: /run/rt}, {name: v, mountPath: /run}]}]}`,
			[]string{
				container + "volume v is mounted at /models, which is reserved for internal use: use another mountPath",
				container + "volume v is mounted at /pvc_mounts/a, which is reserved for internal use: use another mountPath",
				container + "volume v is mounted at /run/rt, which is reserved for internal use: use another mountPath",
			},
		},
		{
			"one name twice", `{grpcEndpoint: "port:8085", containers: [{name: c}, {name: d}, {name: c}]}`,
			[]string{container + "another container has that name: rename one of them"},
		},
		{
			"listed twice, which means the same once", `{grpcEndpoint: "port:8085", containers: [{name: c, env: [{name: A, value: "1"}, {name: A, value: "$$(A)"}, {name: B, value: $(A)}],
				ports: [{containerPort: 9000}, {containerPort: 9000, protocol: TCP}, {containerPort: 9000, protocol: UDP}]}]}`, nil,
		},
		{
			"listed twice, which means something else once", `{grpcEndpoint: "port:8085", volumes: [{name: v}, {name: v}], containers: [{name: c,
				env: [{name: A, value: "1"}, {name: A, value: "$(A):2"}, {name: B}, {name: C, value: $(B)}, {name: B}],
				ports: [{name: a, containerPort: 9000}, {name: b, containerPort: 9000, protocol: TCP}],
				volumeMounts: [{name: v, mountPath: /v}, {name: w, mountPath: /v}]}]}`,
			[]string{
				container + "port 9000/TCP is listed twice, and not alike: list it once",
				container + "environment variable A is set twice, and its first value used before the second: set it once",
				container + "environment variable B is set twice, and its first value used before the second: set it once",
				container + "mountPath /v is listed twice: use another",
				"volume v is listed twice: rename one of them",
			},
		},
		{
			"ports of the host", `{containers: [{name: c}], grpcEndpoint: "port:8080", grpcDataEndpoint: "port:8033"}`,
			[]string{
				"grpcEndpoint: Port 8080 is reserved for internal use: use another",
				"grpcDataEndpoint: Port 8033 is reserved for internal use: use another",
			},
		},
		{
			"socket at the root", `{containers: [{name: c}], grpcEndpoint: "unix:/x"}`,
			[]string{`grpcEndpoint: "unix:/x" is not of the form "port:N" or "unix:/directory/socket"`},
		},
		{
			"nowhere to manage models", `{containers: [{name: c}], grpcDataEndpoint: "port:8001"}`,
			[]string{`grpcEndpoint is missing: set where the runtime serves mmesh.ModelRuntime, such as "port:8085", or a builtInAdapter`},
		},
		{
			"nowhere to manage the server", `{containers: [{name: mlserver}], builtInAdapter: {serverType: mlserver}}`,
			[]string{"builtInAdapter.runtimeManagementPort is 0: set the port at which the server takes management requests"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := ValidateRuntime(servingRuntime(t, "ns", "r", tt.spec)); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

// What is said to have an adapter has one.
func TestServerTypes(t *testing.T) {
	var known []string
	for _, s := range builtin.Types() {
		known = append(known, s.Name)
	}
	if !slices.Equal(serverTypes(), known) {
		t.Errorf("serverTypes are %v, the adapters of hosts %v", serverTypes(), known)
	}
	for _, name := range unadapted() {
		r := Runtime{Name: "r", Spec: &v1alpha1.ServingRuntimeSpec{BuiltInAdapter: &v1alpha1.BuiltInAdapter{ServerType: name}}}
		if p := ValidateRuntime(r); !strings.Contains(strings.Join(p, "; "), "no adapter for builtInAdapter.serverType "+name) {
			t.Errorf("%s: %v", name, p)
		}
	}
}
