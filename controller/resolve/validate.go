package resolve

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
)

// Where every container of a runtime finds the models, and the claims that are mounted.
const (
	ModelsPath = "/models"
	ClaimsPath = "/pvc_mounts"
)

// modelsVolume is the name of the volume of model files.
const modelsVolume = "models-dir"

// serverTypes are the values of builtInAdapter.serverType that hosts have an adapter for: the table of runtimes/builtin. The
// fake is a programmable server that stands in for others in tests and experiments.
func serverTypes() []string { return []string{"fake", "mlserver"} }

// unadapted are those of ModelMesh's that they have none for.
func unadapted() []string { return []string{"ovms", "torchserve", "triton"} }

// ValidateRuntime answers everything that forbids to run the runtime beside a host, one sentence each; none is good.
// The rules are ModelMesh's, so that a ServingRuntime which worked there works here, and the names that are reserved
// stay so even where nothing uses them now; those of repeatProblems come on top.
func ValidateRuntime(r Runtime) []string {
	var problems []string
	problems = append(problems, adapterProblems(r.Spec)...)
	if len(r.Spec.Containers) == 0 {
		problems = append(problems, "spec.containers is empty")
	}
	named := map[string]bool{}
	for i := range r.Spec.Containers {
		c := &r.Spec.Containers[i]
		found := containerProblems(c, SocketDirectory(r.Spec))
		if named[c.Name] {
			found = append(found, "another container has that name: rename one of them")
		}
		named[c.Name] = true
		for _, p := range found {
			problems = append(problems, fmt.Sprintf("container spec for %s is invalid: %s", c.Name, p))
		}
	}
	for i, v := range r.Spec.Volumes {
		problems = append(problems, nameProblems("volume", v.Name, reservedVolume)...)
		if slices.ContainsFunc(r.Spec.Volumes[:i], func(earlier corev1.Volume) bool { return earlier.Name == v.Name }) {
			problems = append(problems, fmt.Sprintf("volume %s is listed twice: rename one of them", v.Name))
		}
	}
	problems = append(problems, endpointProblems(r.Spec)...)
	return append(problems, annotationProblems(r)...)
}

// adapterProblems wants a known server type and a container of its name.
func adapterProblems(s *v1alpha1.ServingRuntimeSpec) []string {
	if s.BuiltInAdapter == nil {
		return nil
	}
	t := s.BuiltInAdapter.ServerType
	if slices.Contains(unadapted(), t) {
		return []string{fmt.Sprintf("there is no adapter for builtInAdapter.serverType %s yet: set spec.disabled until there is, or run an "+
			"adapter of ModelMesh as a further container, with its grpcEndpoint and without builtInAdapter", t)}
	}
	if !slices.Contains(serverTypes(), t) {
		return []string{fmt.Sprintf("unrecognized built-in runtime server type %s: use one of %s", t, strings.Join(serverTypes(), ", "))}
	}
	if !slices.ContainsFunc(s.Containers, func(c corev1.Container) bool { return c.Name == t }) {
		return []string{"must include runtime container with name " + t + ", which is builtInAdapter.serverType"}
	}
	return nil
}

// containerProblems of one container; sockets is the directory of the runtime's sockets, or empty.
func containerProblems(c *corev1.Container, sockets string) []string {
	problems := nameProblems("container name", c.Name, reservedContainer)
	if c.ReadinessProbe != nil || c.Lifecycle != nil {
		problems = append(problems, "ReadinessProbe and Lifecycle are managed by modelmesh and cannot be set: remove them")
	}
	for _, m := range c.VolumeMounts {
		problems = append(problems, nameProblems("volume", m.Name, privateVolume)...)
		problems = append(problems, mountProblems(m, sockets)...)
	}
	for _, p := range c.Ports {
		problems = append(problems, nameProblems("port name", p.Name, reservedPortName)...)
		problems = append(problems, portProblems(p.ContainerPort)...)
	}
	return append(problems, repeatProblems(c)...)
}

// mountProblems refuses the places at which every container of the runtime gets a mount.
func mountProblems(m corev1.VolumeMount, sockets string) []string {
	at := path.Clean(m.MountPath)
	switch {
	case at == ModelsPath && m.Name != modelsVolume:
	case at == ClaimsPath, strings.HasPrefix(at, ClaimsPath+"/"):
	case at == sockets:
	default:
		return nil
	}
	return []string{fmt.Sprintf("volume %s is mounted at %s, which is reserved for internal use: use another mountPath", m.Name, at)}
}

// nameProblems refuses reserved names and the reserved prefix.
func nameProblems(what, name string, reserved func(string) bool) []string {
	switch {
	case reserved(name):
		return []string{fmt.Sprintf("%s %s is reserved for internal use: use another name", what, name)}
	case strings.HasPrefix(name, "mm-"):
		return []string{fmt.Sprintf("%s %s cannot start with \"mm-\", which is reserved for internal use: use another name", what, name)}
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
func reservedVolume(name string) bool { return privateVolume(name) || name == modelsVolume }

// adapterPort is where ModelMesh's adapters listened. An adapter that a runtime brings along may go on doing so, since no
// host does.
const adapterPort = 8085

// portProblems refuses the ports of the host, which shares the pod's network with the runtime. ModelMesh checks 8080,
// 8085, 8089, 8090 and the range; the others are those of its own Service, where a runtime could not listen either.
func portProblems(port int32) []string {
	switch {
	case slices.Contains([]int32{8033, 8008, 2112, 8080, adapterPort, 8089, 8090}, port):
		return []string{fmt.Sprintf("Port %d is reserved for internal use: use another", port)}
	case port >= 11881 && port <= 11899:
		return []string{"Port range [11881-11899] is reserved for internal use: use another port"}
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
		endpoint, err := parseEndpoint(*e.address)
		switch {
		case err != nil:
			problems = append(problems, fmt.Sprintf("%s: %v", e.field, err))
		case endpoint.Socket != "":
			directories = append(directories, path.Dir(endpoint.Socket))
		case e.field == "grpcEndpoint" && (s.BuiltInAdapter != nil || endpoint.Port == adapterPort):
			// Where ModelMesh's adapter listened: there is none any more, or it is the runtime's own.
		default:
			for _, p := range portProblems(int32(endpoint.Port)) {
				problems = append(problems, e.field+": "+p)
			}
		}
	}
	if len(directories) == 2 && directories[0] != directories[1] {
		problems = append(problems, fmt.Sprintf("Only one unix domain socket path is allowed. Found %v: "+
			"put both sockets into one directory", directories))
	}
	if s.BuiltInAdapter != nil && strings.HasPrefix(value(s.GrpcMultiModelManagementEndpoint), "unix:") {
		problems = append(problems, fmt.Sprintf("Built-in adapter grpcEndpoint must be of the form \"port:N\": %s: "+
			"it has no effect here, and can be removed", *s.GrpcMultiModelManagementEndpoint))
	}
	if len(problems) == 0 {
		if _, _, err := Endpoints(s); err != nil {
			problems = append(problems, err.Error())
		}
	}
	return problems
}

// annotationProblems reads the annotations by which a runtime is scaled, and its directory of models laid out.
func annotationProblems(r Runtime) []string {
	_, scaling := ReadAutoscaling(r)
	_, dir := ReadModelDir(r)
	err := errors.Join(scaling, dir)
	if err == nil {
		return nil
	}
	return strings.Split(err.Error(), "\n")
}
