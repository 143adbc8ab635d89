package resolve

import (
	"reflect"
	"testing"
)

func TestValidateRuntime(t *testing.T) {
	const container = "container spec for c is invalid: "
	tests := []struct {
		name, spec string
		want       []string
	}{
		{"good", `{containers: [{name: c, ports: [{name: h, containerPort: 8001}], volumeMounts: [{name: models-dir, mountPath: /m}]}], volumes: [{name: v}]}`, nil},
		{"sockets in one directory", `{containers: [{name: c}], grpcEndpoint: "unix:/tmp/mm/a.sock", grpcDataEndpoint: "unix:///tmp/mm/b.sock"}`, nil},
		{"no containers", `{containers: []}`, []string{"spec.containers is empty"}},
		{
			"unknown server", `{containers: [{name: c}], builtInAdapter: {serverType: c}}`,
			[]string{"unrecognized built-in runtime server type c: use one of mlserver, triton, ovms, torchserve, fake"},
		},
		{
			"no container for the server", `{containers: [{name: c}], builtInAdapter: {serverType: triton}}`,
			[]string{"must include runtime container with name triton"},
		},
		{"container mm", `{containers: [{name: mm}]}`, []string{"container spec for mm is invalid: container name mm is reserved for internal use"}},
		{
			"container prefix", `{containers: [{name: mm-x}]}`,
			[]string{`container spec for mm-x is invalid: container name mm-x cannot start with "mm-", which is reserved for internal use`},
		},
		{
			"readiness probe", `{containers: [{name: c, readinessProbe: {}}]}`,
			[]string{container + "ReadinessProbe and Lifecycle are managed by modelmesh and cannot be set"},
		},
		{
			"lifecycle", `{containers: [{name: c, lifecycle: {}}]}`,
			[]string{container + "ReadinessProbe and Lifecycle are managed by modelmesh and cannot be set"},
		},
		{
			"mount of the credentials", `{containers: [{name: c, volumeMounts: [{name: storage-config, mountPath: /s}]}]}`,
			[]string{container + "volume storage-config is reserved for internal use"},
		},
		{
			"ports", `{containers: [{name: c, ports: [{name: grpc, containerPort: 1}, {name: mm-a, containerPort: 2}, {containerPort: 8085}, {containerPort: 8033},
				{containerPort: 11881}, {containerPort: 11899}, {containerPort: 11900}]}]}`,
			[]string{
				container + "port name grpc is reserved for internal use",
				container + `port name mm-a cannot start with "mm-", which is reserved for internal use`,
				container + "Port 8085 is reserved for internal use",
				container + "Port 8033 is reserved for internal use",
				container + "Port range [11881-11899] is reserved for internal use",
				container + "Port range [11881-11899] is reserved for internal use",
			},
		},
		{
			"volumes", `{containers: [{name: c}], volumes: [{name: models-dir}, {name: tc-config}, {name: mm-v}]}`,
			[]string{
				"volume models-dir is reserved for internal use",
				"volume tc-config is reserved for internal use",
				`volume mm-v cannot start with "mm-", which is reserved for internal use`,
			},
		},
		{
			"endpoints", `{containers: [{name: c}], grpcEndpoint: "8085", grpcDataEndpoint: "port:70000"}`,
			[]string{
				`grpcEndpoint: "8085" is not of the form "port:N" or "unix:/path"`,
				`grpcDataEndpoint: "port:70000" is not of the form "port:N" or "unix:/path"`,
			},
		},
		{
			"two socket directories", `{containers: [{name: c}], grpcEndpoint: "unix:/a/x", grpcDataEndpoint: "unix:/b/x"}`,
			[]string{"Only one unix domain socket path is allowed. Found [/a /b]"},
		},
		{
			"socket for a built-in adapter", `{containers: [{name: ovms}], grpcEndpoint: "unix:/a/x", builtInAdapter: {serverType: ovms}}`,
			[]string{`Built-in adapter grpcEndpoint must be of the form "port:N": unix:/a/x`},
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
