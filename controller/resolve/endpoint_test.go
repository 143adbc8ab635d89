package resolve

import "testing"

func TestEndpoints(t *testing.T) {
	for _, tt := range []struct{ spec, management, data, sockets string }{
		// The host talks to a built-in server itself: where ModelMesh's adapter listened does not matter.
		{`{containers: [], grpcEndpoint: "port:8085", grpcDataEndpoint: "port:8001", builtInAdapter: {runtimeManagementPort: 8888}}`, "127.0.0.1:8888", "127.0.0.1:8001", ""},
		{`{containers: [], builtInAdapter: {runtimeManagementPort: 8001}}`, "127.0.0.1:8001", "127.0.0.1:8001", ""},
		{`{containers: [], grpcDataEndpoint: "port:8001", builtInAdapter: {}}`, "127.0.0.1:8001", "127.0.0.1:8001", ""},
		{`{containers: [], grpcDataEndpoint: "unix:///run/m/d", builtInAdapter: {runtimeManagementPort: 7071}}`, "127.0.0.1:7071", "unix:/run/m/d", "/run/m"},
		{`{containers: [], grpcEndpoint: "port:8085"}`, "127.0.0.1:8085", "127.0.0.1:8085", ""},
		{`{containers: [], grpcEndpoint: "unix:/run/m/a", grpcDataEndpoint: "port:9000"}`, "unix:/run/m/a", "127.0.0.1:9000", "/run/m"},
		{`{containers: [], grpcEndpoint: "port:9000", grpcDataEndpoint: "unix:/run/m/a"}`, "127.0.0.1:9000", "unix:/run/m/a", "/run/m"},
	} {
		s := servingRuntime(t, "ns", "r", tt.spec).Spec
		management, data, err := Endpoints(s)
		if err != nil || management.String() != tt.management || data.String() != tt.data || SocketDirectory(s) != tt.sockets {
			t.Errorf("%s: %v, %v, %q, %v", tt.spec, management, data, SocketDirectory(s), err)
		}
	}
	for _, spec := range []string{
		`{containers: []}`,
		`{containers: [], grpcEndpoint: "port:0"}`,
		`{containers: [], grpcEndpoint: "port:65536"}`,
		`{containers: [], grpcEndpoint: "unix:relative/x"}`,
		`{containers: [], grpcEndpoint: "unix:/a/../b/x"}`,
		`{containers: [], grpcEndpoint: "port:1", grpcDataEndpoint: "http://x"}`,
		`{containers: [], grpcDataEndpoint: "unix:/run/m/d", builtInAdapter: {}}`,
		`{containers: [], builtInAdapter: {runtimeManagementPort: 70000}}`,
	} {
		if management, data, err := Endpoints(servingRuntime(t, "ns", "r", spec).Spec); err == nil {
			t.Errorf("%s: %v, %v", spec, management, data)
		}
	}
}
