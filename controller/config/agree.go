package config

import (
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// HostPort is where a host listens besides the ports that the settings name, and for what.
type HostPort struct {
	Port int32
	For  string
}

// FixedPorts are those of a host that no setting changes.
func FixedPorts() []HostPort {
	return []HostPort{
		{8080, "other hosts"}, {8089, "health"}, {8090, "the end of pods"}, {11881, "gossip"}, {11882, "administration"}, {11883, "management"},
	}
}

// Ports are all those at which a host listens with these settings, most telling first.
func (c Config) Ports() []HostPort {
	ports := []HostPort{{c.InferenceServicePort, "inferenceServicePort"}, {c.RestProxy.Port, "restProxy.port"}}
	if c.Metrics.Enabled {
		ports = append(ports, HostPort{c.Metrics.Port, "metrics.port"})
	}
	return append(ports, FixedPorts()...)
}

// agree checks what several keys say together, and drops what has no effect without another.
func (p *parser) agree() error {
	c := &p.config
	var errs []error
	used := map[int32]string{}
	for _, port := range c.Ports() {
		if other, taken := used[port.Port]; taken {
			errs = append(errs, fmt.Errorf("%s is %d, which is also the port of %s: use another", other, port.Port, port.For))
			continue
		}
		used[port.Port] = port.For
	}
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
		request, limit := c.ModelMeshResources.Requests[name], c.ModelMeshResources.Limits[name]
		if request.Cmp(limit) > 0 {
			errs = append(errs, fmt.Errorf("modelMeshResources.requests.%s is %s, more than limits.%s, which is %s: raise the limit",
				name, request.String(), name, limit.String()))
		}
	}
	if c.TLS.ClientAuth != ClientAuthNone && c.TLS.SecretName == "" {
		p.warn("tls.clientAuth", "has no effect without tls.secretName")
		c.TLS.ClientAuth = ClientAuthNone
	}
	if c.ScaleToZero.OnIdle && !c.ScaleToZero.Enabled {
		p.warn("scaleToZero.onIdle", "has no effect while scaleToZero.enabled is false")
		c.ScaleToZero.OnIdle = false
	}
	return errors.Join(errs...)
}
