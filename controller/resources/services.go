package resources

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Services makes the Service of the clients, and the headless one by which hosts find each other. Whether the first is
// headless cannot be changed on one that exists.
func Services(m Mesh) []*corev1.Service {
	return []*corev1.Service{clientService(m), peersService(m)}
}

func clientService(m Mesh) *corev1.Service {
	c := m.Config
	ports := []corev1.ServicePort{servicePort(portNameGRPC, c.InferenceServicePort)}
	if c.RestProxy.Enabled {
		ports = append(ports, servicePort(portNameREST, c.RestProxy.Port))
	}
	if c.Metrics.Enabled {
		ports = append(ports, servicePort(portNamePrometheus, c.Metrics.Port))
	}
	s := m.service(c.InferenceServiceName, m.labels(), ports)
	if c.HeadlessService {
		s.Spec.ClusterIP = corev1.ClusterIPNone
	}
	return s
}

// servicePort leads to the container's port of its name.
func servicePort(name string, port int32) corev1.ServicePort {
	return corev1.ServicePort{Name: name, Protocol: corev1.ProtocolTCP, Port: port, TargetPort: intstr.FromString(name)}
}

// peersService names also hosts that are not ready: they are found, and find others, to become so. It has no label of the
// mesh, by which monitors and others look for the Service of the clients.
func peersService(m Mesh) *corev1.Service {
	labels := m.labels()
	delete(labels, LabelService)
	labels["app.kubernetes.io/component"] = "peers"
	s := m.service(PeersServiceName(m), labels, []corev1.ServicePort{
		{Name: "peers", Protocol: corev1.ProtocolTCP, Port: portPeers, TargetPort: intstr.FromInt32(portPeers)},
		{Name: "gossip", Protocol: corev1.ProtocolTCP, Port: portGossip, TargetPort: intstr.FromInt32(portGossip)},
		{Name: "gossip-udp", Protocol: corev1.ProtocolUDP, Port: portGossip, TargetPort: intstr.FromInt32(portGossip)},
	})
	s.Spec.ClusterIP = corev1.ClusterIPNone
	s.Spec.PublishNotReadyAddresses = true
	return s
}

func (m Mesh) service(name string, labels map[string]string, ports []corev1.ServicePort) *corev1.Service {
	return &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: m.object(name, labels, m.Owner),
		Spec: corev1.ServiceSpec{
			Type:            corev1.ServiceTypeClusterIP,
			Selector:        map[string]string{LabelService: m.Config.InferenceServiceName},
			Ports:           ports,
			SessionAffinity: corev1.ServiceAffinityNone,
		},
	}
}

// ServiceMonitor has the Prometheus operator collect the metrics of the hosts; nil when the settings say not to. It is for
// clusters that have the operator's CustomResourceDefinition.
func ServiceMonitor(m Mesh) *unstructured.Unstructured {
	if !m.Config.Metrics.Enabled || m.Config.Metrics.DisablePrometheusOperatorSupport {
		return nil
	}
	monitor := &unstructured.Unstructured{Object: map[string]any{
		"spec": map[string]any{
			"selector":          map[string]any{"matchLabels": map[string]any{LabelService: m.Config.InferenceServiceName}},
			"namespaceSelector": map[string]any{"matchNames": []any{m.Namespace}},
			"endpoints":         []any{map[string]any{"port": portNamePrometheus, "interval": "30s", "scheme": "http"}},
		},
	}}
	monitor.SetAPIVersion("monitoring.coreos.com/v1")
	monitor.SetKind("ServiceMonitor")
	meta := m.object(MonitorName, m.labels(), m.Owner)
	monitor.SetNamespace(meta.Namespace)
	monitor.SetName(meta.Name)
	monitor.SetLabels(meta.Labels)
	monitor.SetOwnerReferences(meta.OwnerReferences)
	return monitor
}
