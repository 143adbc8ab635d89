package identity

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"time"

	"github.com/wasmesh/wasmesh/sdk/meshcert"
)

// h2 is the only protocol between hosts, and to the controller, in ALPN's spelling.
const h2 = "h2"

// errNotEnrolled ends handshakes of others before Ready.
var errNotEnrolled = errors.New("this host has no certificate yet: connect again")

// ControllerTLS is for the sync connection. A handshake waits until this host has a certificate.
func (i *Identity) ControllerTLS() *tls.Config { return i.controllerTLS(i.await) }

// PeerTLS is for a connection to the host of this id: whoever else answers is refused.
func (i *Identity) PeerTLS(host string) *tls.Config {
	config := i.client(i.await, func(cert *x509.Certificate) error { return meshcert.IsHost(cert, i.config.Namespace, host) })
	config.ServerName = host
	return config
}

// PeerServerTLS is of the listener for other hosts: those of this namespace only.
func (i *Identity) PeerServerTLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{h2}, SessionTicketsDisabled: true,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			now := i.now.Load()
			if now.certificate == nil {
				return nil, errNotEnrolled
			}
			return &tls.Config{
				MinVersion: tls.VersionTLS13, NextProtos: []string{h2}, SessionTicketsDisabled: true,
				Certificates: []tls.Certificate{*now.certificate},
				// VerifyConnection says in words what is wrong, and counts it.
				ClientAuth: tls.RequestClientCert,
				VerifyConnection: func(state tls.ConnectionState) error {
					return i.verify(state, x509.ExtKeyUsageClientAuth, func(cert *x509.Certificate) error {
						return meshcert.IsHost(cert, i.config.Namespace, "")
					})
				},
			}, nil
		},
	}
}

// certificates answers a server that asks who this is; nil for nobody.
type certificates func(*tls.CertificateRequestInfo) (*tls.Certificate, error)

func (i *Identity) controllerTLS(own certificates) *tls.Config {
	return i.client(own, meshcert.IsController)
}

// client is the side that dials. crypto/tls verifies nothing by itself, as names in certificates of a mesh are URIs:
// VerifyConnection does all of it.
func (i *Identity) client(own certificates, is func(*x509.Certificate) error) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{h2},
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			return i.verify(state, x509.ExtKeyUsageServerAuth, is)
		},
		GetClientCertificate: own,
	}
}

// await answers with this host's certificate, when there is one.
func (i *Identity) await(request *tls.CertificateRequestInfo) (*tls.Certificate, error) {
	select {
	case <-i.ready:
		return i.now.Load().certificate, nil
	case <-request.Context().Done():
		return nil, errNotEnrolled
	}
}

// verify checks who is at the other end, and counts who is not taken.
func (i *Identity) verify(state tls.ConnectionState, usage x509.ExtKeyUsage, is func(*x509.Certificate) error) error {
	err := meshcert.Verify(state.PeerCertificates, i.now.Load().pool, usage, time.Now())
	if err == nil {
		err = is(state.PeerCertificates[0])
	}
	if refusal, ok := errors.AsType[*meshcert.Error](err); ok {
		i.metrics.refusals.WithLabelValues(string(refusal.Reason)).Inc()
		i.warn(string(refusal.Reason), "connection refused", err)
	}
	return err
}
