package launcher

import "fmt"

const (
	// gatewayID is the name of the gateway's host.
	gatewayID = "gateway-0"
	// gatewayNamespace is that of a local mesh.
	gatewayNamespace = "default"
	// noRuntime is the server type of a host that holds no copies.
	noRuntime = "none"
)

// startGateway starts a host that routes and waits, and holds nothing. It is there before any runtime is needed, and so
// gets the first addresses: clients that ask there find somebody whatever becomes of the other hosts.
func (l *launcher) startGateway() error {
	e, err := l.endpoints(len(l.places))
	if err != nil {
		return fmt.Errorf("gateway: %w", err)
	}
	p := &place{id: gatewayID, zone: l.zone(0), endpoints: e}
	l.places[gatewayID] = p
	spec, err := l.anyHostSpec(p, []string{"--namespace", gatewayNamespace, "--runtime", noRuntime})
	if err != nil {
		return err
	}
	l.progress("gateway %s: gRPC %s, REST %s, metrics %s", p.id, e.grpc, e.rest, e.metrics)
	l.hosts.start(spec)
	return nil
}
