package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net/url"
	"time"

	"github.com/wasmesh/wasmesh/sdk/meshcert"
)

// leaf is what a certificate is to say.
type leaf struct {
	uri      *url.URL
	dnsNames []string
	key      crypto.PublicKey
}

// sign makes a certificate that does not outlive its authority.
func (a *authority) sign(l leaf, now time.Time) (*x509.Certificate, error) {
	serial, err := serialNumber()
	if err != nil {
		return nil, err
	}
	until := now.Add(certificateLife)
	if until.After(a.cert.NotAfter) {
		until = a.cert.NotAfter
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{Organization: []string{"wasmesh"}},
		NotBefore:    now.Add(-backdate), NotAfter: until,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		URIs:        []*url.URL{l.uri}, DNSNames: l.dnsNames,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, l.key, a.key)
	if err != nil {
		return nil, fmt.Errorf("sign certificate: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("sign certificate: %w", err)
	}
	return cert, nil
}

// renewAt is when a certificate is to be replaced: at two thirds of its life from now.
func renewAt(cert *x509.Certificate, now time.Time) time.Time {
	return now.Add(cert.NotAfter.Sub(now) * 2 / 3)
}

// present is what connections and hosts are answered from; it does not change.
type present struct {
	authorities authorities
	// pool and bundle are the trusted ones, to verify with and as PEM.
	pool   *x509.CertPool
	bundle []byte
	// serving is the controller's own certificate, of a key that is nowhere else, and renew when it needs another.
	serving *tls.Certificate
	renew   time.Time
}

// serve answers what is to be presented from now on; old may be nil, and its serving certificate is kept while it is good.
func (a *Authority) serve(old *present, now authorities, at time.Time) (*present, error) {
	next := &present{authorities: now, pool: meshcert.Pool(now.trusted()), bundle: meshcert.Encode(now.trusted())}
	if old != nil && old.authorities.signer.cert.Equal(now.signer.cert) && at.Before(old.renew) {
		next.serving, next.renew = old.serving, old.renew
		return next, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make serving key: %w", err)
	}
	uri, err := url.Parse(meshcert.Controller)
	if err != nil {
		return nil, err
	}
	service := a.config.Service + "." + a.config.Namespace
	cert, err := now.signer.sign(leaf{
		uri: uri, key: key.Public(), dnsNames: []string{a.config.Service, service, service + ".svc", service + ".svc.cluster.local"},
	}, at)
	if err != nil {
		return nil, err
	}
	next.serving = &tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
	next.renew = renewAt(cert, at)
	return next, nil
}
