// Package identitytest is a certificate authority, and a controller that issues certificates, for tests of what uses package
// identity. It believes every token.
package identitytest

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/wasmesh/wasmesh/sdk/meshcert"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// Authority signs.
type Authority struct {
	Cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// New makes one of this name.
func New(name string) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(48 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &Authority{Cert: cert, key: key}, err
}

// PEM is what to trust.
func (a *Authority) PEM() []byte { return meshcert.Encode([]*x509.Certificate{a.Cert}) }

// Sign makes a certificate with this URI name, until then.
func (a *Authority) Sign(name string, key crypto.PublicKey, until time.Time) ([]byte, error) {
	uri, err := url.Parse(name)
	if err != nil {
		return nil, err
	}
	return x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: until.Add(-24 * time.Hour), NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature, URIs: []*url.URL{uri}, DNSNames: []string{"localhost"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}, a.Cert, key, a.key)
}

// Pair is a certificate of this URI name with its key, until then.
func (a *Authority) Pair(name string, until time.Time) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	der, err := a.Sign(name, key.Public(), until)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// Controller implements syncv1.IdentityServiceServer. It takes a token for the host that it names, "NAMESPACE/ID".
type Controller struct {
	syncv1.UnimplementedIdentityServiceServer
	Authority *Authority
	// Life is how long certificates last; 0 is an hour.
	Life time.Duration
}

// ServerTLS is of the listener on which Issue is served.
func (c *Controller) ServerTLS() (*tls.Config, error) {
	pair, err := c.Authority.Pair(meshcert.Controller, time.Now().Add(time.Hour))
	return &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2"}, ClientAuth: tls.RequestClientCert}, err
}

// Issue implements syncv1.IdentityServiceServer.
func (c *Controller) Issue(_ context.Context, request *syncv1.IssueRequest) (*syncv1.IssueResponse, error) {
	parsed, err := x509.ParseCertificateRequest(request.GetCertificateRequest())
	if err != nil {
		return nil, err
	}
	namespace, id, ok := strings.Cut(request.GetToken(), "/")
	if !ok {
		return nil, errors.New("a token of this test is NAMESPACE/ID")
	}
	life := c.Life
	if life == 0 {
		life = time.Hour
	}
	der, err := c.Authority.Sign(meshcert.Host{Namespace: namespace, ID: id}.String(), parsed.PublicKey, time.Now().Add(life))
	if err != nil {
		return nil, err
	}
	return &syncv1.IssueResponse{
		Certificates: [][]byte{der}, Authorities: [][]byte{c.Authority.Cert.Raw}, RenewAtMs: time.Now().Add(life * 2 / 3).UnixMilli(),
	}, nil
}

// Write puts a pair into files, as PEM.
func Write(pair tls.Certificate, cert, key string) error {
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		return err
	}
	parsed, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(cert, meshcert.Encode([]*x509.Certificate{parsed}), 0o600),
		os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600),
	)
}
