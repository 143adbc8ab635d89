package node

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"github.com/wasmesh/wasmesh/host/identity"
	"github.com/wasmesh/wasmesh/host/tlsfiles"
)

// certificatePatience is how long a start waits for a certificate: the controller gives one within moments, and a host that
// has it is linked with others at once. Without a controller it starts all the same, and nobody takes it for a peer until
// it has one.
const certificatePatience = 3 * time.Second

// buildSecurity reads what TLS needs.
func (n *node) buildSecurity() (err error) {
	if n.config.TLS.Enabled() {
		if n.files, err = tlsfiles.Open(n.config.TLS, n.logger); err != nil {
			return err
		}
	}
	if n.config.CAFile != "" {
		n.identity, err = identity.New(identity.Config{
			Namespace: n.config.Namespace, HostID: n.config.HostID, Controller: n.config.Controller,
			CAFile: n.config.CAFile, TokenFile: n.config.TokenFile, Logger: n.logger, Metrics: n.registry,
		})
	}
	return err
}

func (n *node) awaitCertificate(ctx context.Context) {
	select {
	case <-n.identity.Ready():
	case <-time.After(certificatePatience):
		n.logger.Warn("starting without a certificate: other hosts do not take this one for a peer until the controller has given it one")
	case <-ctx.Done():
	}
}

// peerTLS is what to connect to other hosts with; nil for plain text.
func (n *node) peerTLS() func(host string) *tls.Config {
	if n.identity == nil {
		return nil
	}
	return n.identity.PeerTLS
}

// securePeer makes the listener for other hosts TLS if that is wanted.
func (n *node) securePeer(listener net.Listener) net.Listener {
	if n.identity == nil {
		return listener
	}
	return tls.NewListener(listener, n.identity.PeerServerTLS())
}

// secureClient makes a listener for clients TLS if that is wanted.
func (n *node) secureClient(listener net.Listener, protocols []string) net.Listener {
	if n.files == nil {
		return listener
	}
	return tls.NewListener(listener, n.files.ServerConfig(protocols...))
}
