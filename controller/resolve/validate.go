package resolve

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
)

// serverTypes are the values of builtInAdapter.serverType: ModelMesh's, and the programmable server that stands in for
// them in tests and experiments.
func serverTypes() []string { return []string{"mlserver", "triton", "ovms", "torchserve", "fake"} }

// ValidateRuntime answers everything that forbids to run the runtime beside a host, one sentence each; none is good.
// The rules are ModelMesh's, so that a ServingRuntime which worked there works here, and the names that are reserved
// stay so even where nothing uses them now.
func ValidateRuntime(r Runtime) []string {
	var problems []string
	problems = append(problems, adapterProblems(r.Spec)...)
	if len(r.Spec.Containers) == 0 {
		problems = append(problems, "spec.containers is empty")
	}
	for i := range r.Spec.Containers {
		c := &r.Spec.Containers[i]
		for _, p := range containerProblems(c) {
			problems = append(problems, fmt.Sprintf("container spec for %s is invalid: %s", c.Name, p))
		}
	}
	for _, v := range r.Spec.Volumes {
		problems = append(problems, nameProblems("volume", v.Name, reservedVolume)...)
	}
	return append(problems, endpointProblems(r.Spec)...)
}

// adapterProblems wants a known server type and a container of its name.
func adapterProblems(s *v1alpha1.ServingRuntimeSpec) []string {
	if s.BuiltInAdapter == nil {
		return nil
	}
	t := s.BuiltInAdapter.ServerType
	if !slices.Contains(serverTypes(), t) {
		return []string{fmt.Sprintf("unrecognized built-in runtime server type %s: use one of %s", t, strings.Join(serverTypes(), ", "))}
	}
	if !slices.ContainsFunc(s.Containers, func(c corev1.Container) bool { return c.Name == t }) {
		return []string{"must include runtime container with name " + t}
	}
	return nil
}

func containerProblems(c *corev1.Container) []string {
	problems := nameProblems("container name", c.Name, reservedContainer)
	if c.ReadinessProbe != nil || c.Lifecycle != nil {
		problems = append(problems, "ReadinessProbe and Lifecycle are managed by modelmesh and cannot be set")
	}
	for _, m := range c.VolumeMounts {
		problems = append(problems, nameProblems("volume", m.Name, privateVolume)...)
	}
	for _, p := range c.Ports {
		problems = append(problems, nameProblems("port name", p.Name, reservedPortName)...)
		problems = append(problems, portProblems(p.ContainerPort)...)
	}
	return problems
}

// nameProblems refuses reserved names and the reserved prefix.
func nameProblems(what, name string, reserved func(string) bool) []string {
	switch {
	case reserved(name):
		return []string{fmt.Sprintf("%s %s is reserved for internal use", what, name)}
	case strings.HasPrefix(name, "mm-"):
		return []string{fmt.Sprintf("%s %s cannot start with \"mm-\", which is reserved for internal use", what, name)}
	}
	return nil
}

func reservedContainer(name string) bool {
	return name == "mm" || name == "rest-proxy" || name == "puller"
}

func reservedPortName(name string) bool {
	return name == "grpc" || name == "http" || name == "prometheus"
}

// privateVolume names the volumes that hold what a runtime must not see.
func privateVolume(name string) bool {
	return slices.Contains([]string{"storage-config", "etcd-config", "tc-config", "domain-socket"}, name)
}

// reservedVolume adds the one that a runtime may mount, but not define.
func reservedVolume(name string) bool { return privateVolume(name) || name == "models-dir" }

// portProblems refuses the ports of the host, which shares the pod's network with the runtime. ModelMesh checks 8080,
// 8085, 8089, 8090 and the range; the others are those of its own Service, where a runtime could not listen either.
func portProblems(port int32) []string {
	switch {
	case slices.Contains([]int32{8033, 8008, 2112, 8080, 8085, 8089, 8090}, port):
		return []string{fmt.Sprintf("Port %d is reserved for internal use", port)}
	case port >= 11881 && port <= 11899:
		return []string{"Port range [11881-11899] is reserved for internal use"}
	}
	return nil
}

// endpointProblems reads the addresses: sockets of one runtime share one directory, because it is one mount.
func endpointProblems(s *v1alpha1.ServingRuntimeSpec) []string {
	var problems, directories []string
	for _, e := range []struct {
		field   string
		address *string
	}{
		{"grpcEndpoint", s.GrpcMultiModelManagementEndpoint},
		{"grpcDataEndpoint", s.GrpcDataEndpoint},
	} {
		if e.address == nil {
			continue
		}
		socket, err := parseEndpoint(*e.address)
		if err != nil {
			problems = append(problems, fmt.Sprintf("%s: %v", e.field, err))
			continue
		}
		if socket != "" {
			directories = append(directories, path.Dir(socket))
		}
	}
	if len(directories) == 2 && directories[0] != directories[1] {
		problems = append(problems, fmt.Sprintf("Only one unix domain socket path is allowed. Found %v", directories))
	}
	if s.BuiltInAdapter != nil && strings.HasPrefix(value(s.GrpcMultiModelManagementEndpoint), "unix:") {
		problems = append(problems, fmt.Sprintf("Built-in adapter grpcEndpoint must be of the form \"port:N\": %s",
			*s.GrpcMultiModelManagementEndpoint))
	}
	return problems
}

// parseEndpoint reads "port:N", "unix:PATH" or "unix:///PATH" and answers the socket's path, if it is one.
func parseEndpoint(address string) (socket string, err error) {
	if port, ok := strings.CutPrefix(address, "port:"); ok {
		if n, err := strconv.ParseUint(port, 10, 16); err == nil && n > 0 {
			return "", nil
		}
	}
	if p, ok := strings.CutPrefix(address, "unix:"); ok {
		if p = strings.TrimPrefix(p, "//"); strings.HasPrefix(p, "/") && p != "/" {
			return p, nil
		}
	}
	return "", fmt.Errorf("%q is not of the form \"port:N\" or \"unix:/path\"", address)
}
