package launcher

import (
	"context"
	"fmt"

	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
)

// metricsPort is where ModelMesh's Prometheus scrapes; host k gets k further when that is free.
const metricsPort = 2112

// member is a host with its runtime: what a pod is in a cluster.
type member struct {
	plan          *adminv1.RuntimePlan
	host, runtime *supervised
}

// stop ends the host, then its runtime. It leaves off with an error when ctx ends.
func (m *member) stop(ctx context.Context) error {
	if err := m.host.stop(ctx); err != nil {
		return err
	}
	return m.runtime.stop(ctx)
}

type memberSpecs struct{ host, runtime Spec }

// startMember must come after the end of the member before it in the same place.
func (l *launcher) startMember(plan *adminv1.RuntimePlan, specs memberSpecs) *member {
	l.progress("runtime %s: %s", plan.GetName(), specs.runtime.Program)
	ports := specs.host.Ports
	l.progress("host %s: gRPC %s, REST %s, metrics %s", specs.host.Name, ports["grpc"], ports["rest"], ports["metrics"])
	return &member{plan: plan, runtime: l.runtimes.start(specs.runtime), host: l.hosts.start(specs.host)}
}

// place is what a member keeps through everything that may become of its processes.
type place struct {
	// id is the host's name.
	id string
	// zone of the host, "" for none.
	zone      string
	endpoints endpoints
}

// runtimeName is the runtime process's.
func (p *place) runtimeName() string { return "runtime-" + p.id }

// endpoints are the addresses of one member. Gossip has TCP and UDP on one port.
type endpoints struct {
	grpc, rest, metrics, health, peer, gossip string

	runtimeGRPC, runtimeHTTP, runtimeMetrics string
}

// place answers where the k-th member of a runtime lives, and makes it the first time.
func (l *launcher) place(key string, plan *adminv1.RuntimePlan, k int) (*place, error) {
	if known := l.places[key]; known != nil {
		return known, nil
	}
	p := &place{id: fmt.Sprintf("%s-%d", plan.GetName(), k), zone: l.zone(k)}
	for _, other := range l.places {
		if other.id == p.id || other.runtimeName() == p.id || other.id == p.runtimeName() {
			return nil, fmt.Errorf("its process %s would have the name of another's: rename the ServingRuntime", p.id)
		}
	}
	if len(l.places) >= maxHosts {
		return nil, fmt.Errorf("host %d would pass the %d hosts that a mesh on one machine may have: lower --hosts",
			len(l.places)+1, maxHosts)
	}
	var err error
	if p.endpoints, err = l.endpoints(len(l.places)); err != nil {
		return nil, err
	}
	l.places[key] = p
	return p, nil
}

// zone of the k-th host of a runtime: they go round, so that each runtime has hosts in each zone.
func (l *launcher) zone(k int) string {
	if len(l.config.Zones) == 0 {
		return ""
	}
	return l.config.Zones[k%len(l.config.Zones)]
}

// endpoints chooses those of the host with that number over all runtimes.
func (l *launcher) endpoints(index int) (e endpoints, err error) {
	if e.grpc, e.rest, err = l.publicAddresses(index); err != nil {
		return e, err
	}
	if e.metrics, err = l.ports.free(metricsPort + index); err != nil {
		return e, err
	}
	for _, port := range []*string{&e.health, &e.peer, &e.runtimeGRPC, &e.runtimeHTTP, &e.runtimeMetrics} {
		if *port, err = l.ports.free(0); err != nil {
			return e, err
		}
	}
	e.gossip, err = l.ports.freeForBoth()
	return e, err
}

// publicAddresses are those that users know, of as many hosts as have room between the two: the first host's, which were
// claimed at the start, and the ports after them. Further hosts are reached through those, or where `wasmesh get hosts`
// says.
func (l *launcher) publicAddresses(index int) (grpc, rest string, err error) {
	if index >= publicHosts {
		if grpc, err = l.ports.free(0); err != nil {
			return "", "", err
		}
		rest, err = l.ports.free(0)
		return grpc, rest, err
	}
	if grpc, err = offset(l.config.GRPCAddress, index); err != nil {
		return "", "", err
	}
	if rest, err = offset(l.config.RESTAddress, index); err != nil || index == 0 {
		return grpc, rest, err
	}
	if err := l.ports.claim(grpc); err != nil {
		return "", "", fmt.Errorf("gRPC address of host %d: %w", index, err)
	}
	if err := l.ports.claim(rest); err != nil {
		l.ports.release(grpc)
		return "", "", fmt.Errorf("REST address of host %d: %w", index, err)
	}
	return grpc, rest, nil
}
