package resources

import (
	"fmt"
	"path"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/wasmesh/wasmesh/controller/config"
	"github.com/wasmesh/wasmesh/controller/resolve"
)

// HostContainer is the name of the host's container, which is ModelMesh's.
const HostContainer = "mm"

// Ports of the host that no setting changes.
const (
	portPeers   = 8080
	portHealth  = 8089
	portPrestop = 8090
	portGossip  = 11881
)

// Names of ports that Services refer to.
const (
	portNameGRPC       = "grpc"
	portNameREST       = "http"
	portNamePrometheus = "prometheus"
)

// diskShare of the volume is the bound of the artifact cache; the rest is left to what adapters lay out there.
const diskShare = 0.85

// hostContainer is the host.
func (p *pod) hostContainer() corev1.Container {
	c := p.mesh.Config
	return corev1.Container{
		Name:  HostContainer,
		Image: p.mesh.HostImage,
		Args:  p.arguments(),
		Env:   environment(c.InternalModelMeshEnvVars),
		Ports: hostPorts(c),
		// Starting takes the host less than a second: it is asked often, so that a new pod serves soon.
		ReadinessProbe: probe("/ready", corev1.Probe{PeriodSeconds: 2, TimeoutSeconds: 1, FailureThreshold: 3}),
		// To end a host that serves is worse than to wait for one that does not answer, as on a machine without time for it.
		LivenessProbe:            probe("/live", corev1.Probe{InitialDelaySeconds: 30, PeriodSeconds: 30, TimeoutSeconds: 5, FailureThreshold: 2}),
		Resources:                *c.ModelMeshResources.DeepCopy(),
		VolumeMounts:             p.hostMounts(),
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
		SecurityContext: &corev1.SecurityContext{
			RunAsNonRoot:             ptr(true),
			AllowPrivilegeEscalation: ptr(false),
			ReadOnlyRootFilesystem:   ptr(true),
			Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
	}
}

func probe(path string, p corev1.Probe) *corev1.Probe {
	p.HTTPGet = &corev1.HTTPGetAction{Path: path, Port: intstr.FromInt32(portHealth), Scheme: corev1.URISchemeHTTP}
	return &p
}

// environment has the pod's own facts last, so that no setting hides them.
func environment(settings []corev1.EnvVar) []corev1.EnvVar {
	own := []corev1.EnvVar{
		{Name: "POD_NAME", ValueFrom: field("metadata.name")},
		{Name: "POD_IP", ValueFrom: field("status.podIP")},
	}
	var all []corev1.EnvVar
	for _, e := range settings {
		if e.Name != own[0].Name && e.Name != own[1].Name {
			all = append(all, e)
		}
	}
	return append(all, own...)
}

func field(path string) *corev1.EnvVarSource {
	return &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: path}}
}

func hostPorts(c config.Config) []corev1.ContainerPort {
	ports := []corev1.ContainerPort{{Name: portNameGRPC, ContainerPort: c.InferenceServicePort, Protocol: corev1.ProtocolTCP}}
	if c.RestProxy.Enabled {
		ports = append(ports, corev1.ContainerPort{Name: portNameREST, ContainerPort: c.RestProxy.Port, Protocol: corev1.ProtocolTCP})
	}
	if c.Metrics.Enabled {
		ports = append(ports, corev1.ContainerPort{Name: portNamePrometheus, ContainerPort: c.Metrics.Port, Protocol: corev1.ProtocolTCP})
	}
	// No runtime may use names that begin so.
	return append(ports,
		corev1.ContainerPort{Name: "mm-peers", ContainerPort: portPeers, Protocol: corev1.ProtocolTCP},
		corev1.ContainerPort{Name: "mm-gossip", ContainerPort: portGossip, Protocol: corev1.ProtocolTCP},
		corev1.ContainerPort{Name: "mm-gossip-udp", ContainerPort: portGossip, Protocol: corev1.ProtocolUDP})
}

// arguments are the flags of wasmesh-host.
func (p *pod) arguments() []string {
	m, c := p.mesh, p.mesh.Config
	args := []string{
		"--namespace=" + m.Namespace,
		"--host-id=$(POD_NAME)",
		"--advertise-address=$(POD_IP)",
		"--mesh=" + c.InferenceServiceName,
		"--mesh-key-file=" + path.Join(pathMeshKey, MeshKeyKey),
		fmt.Sprintf("--peers-dns=%s.%s.svc", PeersServiceName(m), m.Namespace),
		"--controller=" + m.ControllerAddress,
		"--ca-file=" + path.Join(pathCA, CAKey),
		"--token-file=" + path.Join(pathToken, tokenFile),
		"--state-dir=" + pathState,
	}
	args = append(args, p.runtimeArguments()...)
	args = append(args,
		fmt.Sprintf("--grpc-address=:%d", c.InferenceServicePort),
		"--rest-address="+restAddress(c.RestProxy),
		"--metrics-address="+metricsAddress(c.Metrics),
		fmt.Sprintf("--health-address=:%d", portHealth),
		fmt.Sprintf("--peer-address=:%d", portPeers),
		fmt.Sprintf("--gossip-address=:%d", portGossip),
		"--max-message-bytes="+strconv.Itoa(c.GRPCMaxMessageSizeBytes),
		"--handover-timeout="+handoverTimeout.String(),
		"--drain-grace="+drainGrace.String(),
		"--log-format=json",
	)
	if c.EnableAccessLogging {
		args = append(args, "--access-log")
	}
	return append(args, m.tlsArguments()...)
}

// runtimeArguments concern the runtime beside the host.
func (p *pod) runtimeArguments() []string {
	if p.runtime == nil {
		return []string{"--runtime=none"}
	}
	args := []string{
		"--serving-runtime=" + p.runtime.Name,
		"--runtime=" + p.plan.GetServerType(),
		"--runtime-management-address=" + p.management.String(),
		"--runtime-data-address=" + p.data.String(),
		"--capacity-bytes=" + strconv.FormatUint(p.plan.GetCapacityBytes(), 10),
		"--loading-concurrency=" + strconv.FormatUint(uint64(p.plan.GetMaxLoadingConcurrency()), 10),
		"--loading-timeout=" + (time.Duration(p.plan.GetModelLoadingTimeoutMs()) * time.Millisecond).String(),
		"--per-model-concurrency=" + strconv.FormatUint(uint64(p.plan.GetPerModelConcurrency()), 10),
		"--models-dir=" + resolve.ModelsPath,
		"--pvc-root=" + resolve.ClaimsPath,
		fmt.Sprintf("--prestop-address=:%d", portPrestop),
	}
	// A host cannot see the bound of the volume, only the node's disk.
	if size := p.models.Size; size != nil {
		args = append(args, "--disk-budget-bytes="+strconv.FormatInt(int64(diskShare*float64(size.Value())), 10))
	}
	return args
}

// restAddress of a host that serves no REST is one that only its own pod reaches.
func restAddress(r config.RestProxy) string {
	if !r.Enabled {
		return fmt.Sprintf("127.0.0.1:%d", r.Port)
	}
	return fmt.Sprintf(":%d", r.Port)
}

func metricsAddress(m config.Metrics) string {
	if !m.Enabled {
		return ""
	}
	return fmt.Sprintf(":%d", m.Port)
}
