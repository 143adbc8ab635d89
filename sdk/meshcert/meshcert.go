// Package meshcert is what certificates of a mesh in a cluster say, and how both ends of a connection verify them.
//
// A certificate has one URI name and nothing else that counts: that of the controller, or of one host of one namespace.
// The controller signs (controller/identity); hosts and the controller verify each other, and hosts each other
// (host/identity). Every refusal is an *Error: its Reason is for counting, its words say what to do.
package meshcert

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

const (
	// Controller is the name of the controller.
	Controller = "spiffe://wasmesh/controller"
	// Audience is what tokens are for that hosts show to the controller.
	Audience = "wasmesh"

	scheme, trustDomain = "spiffe", "wasmesh"
)

// Host is what the certificate of a host says: the Kubernetes namespace, and the name of the pod.
type Host struct{ Namespace, ID string }

// String is the host's name in its certificate: "spiffe://wasmesh/ns/NAMESPACE/host/ID".
func (h Host) String() string { return h.URI().String() }

// URI is String as certificates have it.
func (h Host) URI() *url.URL {
	return &url.URL{Scheme: scheme, Host: trustDomain, Path: "/ns/" + h.Namespace + "/host/" + h.ID}
}

// Reason is why a certificate was refused.
type Reason string

// The reasons.
const (
	// Missing: none was shown.
	Missing Reason = "no_certificate"
	// Authority: no authority of this mesh signed it, or not for this use.
	Authority Reason = "authority"
	// Expired: it has ended, or not begun.
	Expired Reason = "expired"
	// Namespace: it is of a host of another namespace.
	Namespace Reason = "namespace"
	// Identity: it is of somebody else than it should be.
	Identity Reason = "identity"
)

// Reasons are all of them, for metrics.
func Reasons() []Reason { return []Reason{Missing, Authority, Expired, Namespace, Identity} }

// Error is a certificate that was refused.
type Error struct {
	Reason Reason
	// Why says what is wrong and what to do.
	Why string
}

// Error implements error.
func (e *Error) Error() string { return e.Why }

func refuse(reason Reason, format string, args ...any) *Error {
	return &Error{Reason: reason, Why: fmt.Sprintf(format, args...)}
}

// Verify checks that chain, the certificate itself first, leads to one of roots, is for usage, and holds now.
func Verify(chain []*x509.Certificate, roots *x509.CertPool, usage x509.ExtKeyUsage, now time.Time) error {
	if len(chain) == 0 {
		return refuse(Missing, "the other side showed no certificate: hosts of this mesh have one; start it with --ca-file and --token-file")
	}
	intermediates := x509.NewCertPool()
	for _, cert := range chain[1:] {
		intermediates.AddCert(cert)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: intermediates, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage},
	})
	if err == nil {
		return nil
	}
	if invalid := (x509.CertificateInvalidError{}); errors.As(err, &invalid) && invalid.Reason == x509.Expired {
		return refuse(Expired, "the certificate of %s is valid from %s to %s, and it is %s: compare the clocks of both machines, and see in the other side's log why it has no newer one",
			nameOf(chain[0]), chain[0].NotBefore.UTC().Format(time.RFC3339), chain[0].NotAfter.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return refuse(Authority, "the certificate of %s is not of an authority of this mesh (%v): compare ConfigMap wasmesh-ca of both sides' namespaces, the controller keeps them equal",
		nameOf(chain[0]), err)
}

// nameOf is for messages: what the certificate says, in few words, whoever signed it.
func nameOf(cert *x509.Certificate) string {
	const most = 300
	name := fmt.Sprintf("%q", cert.Subject.CommonName)
	if len(cert.URIs) > 0 {
		name = fmt.Sprintf("%q", cert.URIs[0].String())
	}
	return name[:min(len(name), most)]
}

// HostOf answers which host a verified certificate is of.
func HostOf(cert *x509.Certificate) (Host, error) {
	if len(cert.URIs) == 1 {
		uri := cert.URIs[0]
		parts := strings.Split(uri.Path, "/")
		if uri.Scheme == scheme && uri.Host == trustDomain && len(parts) == 5 && parts[1] == "ns" && parts[3] == "host" && parts[2] != "" && parts[4] != "" {
			return Host{Namespace: parts[2], ID: parts[4]}, nil
		}
	}
	return Host{}, refuse(Identity, "the certificate of %s is not of a host of a mesh", nameOf(cert))
}

// IsController checks that a verified certificate is the controller's.
func IsController(cert *x509.Certificate) error {
	if len(cert.URIs) == 1 && cert.URIs[0].String() == Controller {
		return nil
	}
	return refuse(Identity, "the certificate is of %s, not of the controller: does --controller name the controller's Service?", nameOf(cert))
}

// IsHost checks that a verified certificate is of a host of this namespace, and of the one of this id unless that is empty.
func IsHost(cert *x509.Certificate, namespace, id string) error {
	host, err := HostOf(cert)
	switch {
	case err != nil:
		return err
	case host.Namespace != namespace:
		return refuse(Namespace, "the certificate is of %s, and this mesh is that of namespace %s: hosts of one namespace only are peers", host, namespace)
	case id != "" && host.ID != id:
		return refuse(Identity, "the certificate is of %s, not of host %s: its address has gone to another pod", host, id)
	}
	return nil
}

// Encode writes certificates as PEM.
func Encode(certs []*x509.Certificate) []byte {
	var content []byte
	for _, cert := range certs {
		content = append(content, pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: cert.Raw})...)
	}
	return content
}

const pemType = "CERTIFICATE"

// Decode reads the certificates of a PEM file; there must be one at least. Other blocks are left out.
func Decode(content []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != pemType {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("parse certificate: %w", err)
		}
		certs = append(certs, cert)
	}
	if len(certs) == 0 {
		return nil, errors.New("there is no PEM certificate in it")
	}
	return certs, nil
}

// Pool is the certificates as roots.
func Pool(certs []*x509.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, cert := range certs {
		pool.AddCert(cert)
	}
	return pool
}
