package meshcert

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"
)

// issue makes a certificate of these URI names; signed by itself when by is nil.
func issue(t *testing.T, by *x509.Certificate, byKey *ecdsa.PrivateKey, usage x509.ExtKeyUsage, names ...string) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: begins, NotAfter: ends,
		BasicConstraintsValid: true, IsCA: by == nil, ExtKeyUsage: []x509.ExtKeyUsage{usage},
	}
	for _, name := range names {
		uri, err := url.Parse(name)
		if err != nil {
			t.Fatal(err)
		}
		template.URIs = append(template.URIs, uri)
	}
	if by == nil {
		by, byKey, template.ExtKeyUsage = template, key, nil
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by, key.Public(), byKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

var (
	begins = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	ends   = begins.Add(24 * time.Hour)
)

const us = "spiffe://wasmesh/ns/models/host/pod-1"

func TestEachRefusalHasItsReasonAndSaysWhatToDo(t *testing.T) {
	ca, caKey := issue(t, nil, nil, 0)
	other, otherKey := issue(t, nil, nil, 0)
	own, _ := issue(t, ca, caKey, x509.ExtKeyUsageClientAuth, us)
	foreign, _ := issue(t, other, otherKey, x509.ExtKeyUsageClientAuth, us)
	server, _ := issue(t, ca, caKey, x509.ExtKeyUsageServerAuth, us)
	controller, _ := issue(t, ca, caKey, x509.ExtKeyUsageServerAuth, Controller)
	two, _ := issue(t, ca, caKey, x509.ExtKeyUsageClientAuth, us, Controller)
	none, _ := issue(t, ca, caKey, x509.ExtKeyUsageClientAuth)
	verify := func(at time.Time, chain ...*x509.Certificate) error {
		return Verify(chain, Pool([]*x509.Certificate{ca}), x509.ExtKeyUsageClientAuth, at)
	}
	now := begins.Add(time.Hour)
	for name, c := range map[string]struct {
		err    error
		reason Reason // "" for accepted
		says   string
	}{
		"ours":                   {verify(now, own), "", ""},
		"none":                   {verify(now), Missing, "--ca-file"},
		"of another authority":   {verify(now, foreign), Authority, "ConfigMap wasmesh-ca"},
		"for servers only":       {verify(now, server), Authority, us},
		"signed by itself":       {verify(now, other), Authority, "ConfigMap wasmesh-ca"},
		"ended":                  {verify(ends.Add(time.Second), own), Expired, "clocks"},
		"not begun":              {verify(begins.Add(-time.Second), own), Expired, "clocks"},
		"that host":              {IsHost(own, "models", "pod-1"), "", ""},
		"any host":               {IsHost(own, "models", ""), "", ""},
		"another host":           {IsHost(own, "models", "pod-2"), Identity, "another pod"},
		"another namespace":      {IsHost(own, "default", "pod-1"), Namespace, "namespace default"},
		"the controller":         {IsHost(controller, "models", ""), Identity, "not of a host"},
		"no name":                {IsHost(none, "models", ""), Identity, "not of a host"},
		"two names":              {IsHost(two, "models", ""), Identity, "not of a host"},
		"controller":             {IsController(controller), "", ""},
		"a host as controller":   {IsController(own), Identity, "--controller"},
		"two names, one of them": {IsController(two), Identity, "--controller"},
	} {
		refusal, refused := errors.AsType[*Error](c.err)
		if c.reason == "" && c.err != nil || c.reason != "" && (!refused || refusal.Reason != c.reason || !strings.Contains(refusal.Why, c.says)) {
			t.Errorf("%s: %v, want %q that says %q", name, c.err, c.reason, c.says)
		}
	}
}

// Whatever a certificate has as URI, it is read as a host's only if that is how a host's is written.
func TestNamesOfHosts(t *testing.T) {
	if got := (Host{"models", "pod-1"}).String(); got != us {
		t.Errorf("written as %s", got)
	}
	for name, want := range map[string]Host{
		us:                                 {"models", "pod-1"},
		"spiffe://wasmesh/ns/models/host/": {},
		"spiffe://wasmesh/ns//host/pod-1":  {},
		"spiffe://wasmesh/ns/models/host/pod-1/more": {},
		"spiffe://wasmesh/ns/models/pod/pod-1":       {},
		"spiffe://other/ns/models/host/pod-1":        {},
		"https://wasmesh/ns/models/host/pod-1":       {},
		"spiffe://wasmesh/ns/a%2Fb/host/pod-1":       {},
		Controller:                                   {},
	} {
		uri, err := url.Parse(name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := HostOf(&x509.Certificate{URIs: []*url.URL{uri}})
		if got != want || (err == nil) != (want != Host{}) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestPEM(t *testing.T) {
	one, _ := issue(t, nil, nil, 0)
	two, _ := issue(t, nil, nil, 0)
	content := append([]byte("a comment\n"), Encode([]*x509.Certificate{one, two})...)
	certs, err := Decode(content)
	if err != nil || len(certs) != 2 || !certs[0].Equal(one) || !certs[1].Equal(two) {
		t.Errorf("%d certificates, %v", len(certs), err)
	}
	for _, bad := range []string{"", "not PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
		if certs, err := Decode([]byte(bad)); err == nil {
			t.Errorf("%q: %d certificates", bad, len(certs))
		}
	}
}
