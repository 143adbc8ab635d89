package resolve

import (
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
)

// Endpoint is where a runtime listens in its pod: at a port of the loopback, or at a Unix domain socket.
type Endpoint struct {
	// Port is 0 for a socket.
	Port uint16
	// Socket is the absolute path of one, else empty.
	Socket string
}

// String answers the address to dial: "127.0.0.1:8001" or "unix:/path".
func (e Endpoint) String() string {
	if e.Socket != "" {
		return "unix:" + e.Socket
	}
	return fmt.Sprintf("127.0.0.1:%d", e.Port)
}

// Endpoints answers where the host beside the runtime manages its models, and where it sends requests. For a built-in
// server type those are the server's own. What is left out is where ModelMesh would look.
func Endpoints(s *v1alpha1.ServingRuntimeSpec) (management, data Endpoint, err error) {
	if s.GrpcDataEndpoint != nil {
		if data, err = parseEndpoint(*s.GrpcDataEndpoint); err != nil {
			return management, data, fmt.Errorf("grpcDataEndpoint: %w", err)
		}
	}
	switch {
	case s.BuiltInAdapter != nil:
		port := s.BuiltInAdapter.RuntimeManagementPort
		if port < 0 || port > 65535 || port == 0 && data.Port == 0 {
			return management, data, fmt.Errorf("builtInAdapter.runtimeManagementPort is %d: "+
				"set the port at which the server takes management requests", port)
		}
		if management.Port = uint16(port); port == 0 {
			management = data
		}
	case s.GrpcMultiModelManagementEndpoint == nil:
		return management, data, errors.New("grpcEndpoint is missing: set where the runtime serves mmesh.ModelRuntime, " +
			"such as \"port:8085\", or a builtInAdapter")
	default:
		if management, err = parseEndpoint(*s.GrpcMultiModelManagementEndpoint); err != nil {
			return management, data, fmt.Errorf("grpcEndpoint: %w", err)
		}
	}
	if data == (Endpoint{}) {
		data = management
	}
	return management, data, nil
}

// SocketDirectory is the one directory of the runtime's sockets; empty: it has none.
func SocketDirectory(s *v1alpha1.ServingRuntimeSpec) string {
	for _, address := range []*string{s.GrpcDataEndpoint, s.GrpcMultiModelManagementEndpoint} {
		if e, err := parseEndpoint(value(address)); err == nil && e.Socket != "" {
			return path.Dir(e.Socket)
		}
	}
	return ""
}

// parseEndpoint reads "port:N", "unix:PATH" or "unix:///PATH".
func parseEndpoint(address string) (Endpoint, error) {
	if port, ok := strings.CutPrefix(address, "port:"); ok {
		if n, err := strconv.ParseUint(port, 10, 16); err == nil && n > 0 {
			return Endpoint{Port: uint16(n)}, nil
		}
	}
	if p, ok := strings.CutPrefix(address, "unix:"); ok {
		if p = strings.TrimPrefix(p, "//"); path.IsAbs(p) && path.Clean(p) == p && path.Dir(p) != "/" {
			return Endpoint{Socket: p}, nil
		}
	}
	return Endpoint{}, fmt.Errorf("%q is not of the form \"port:N\" or \"unix:/directory/socket\"", address)
}
