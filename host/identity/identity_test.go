package identity

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/wasmesh/wasmesh/host/identity/identitytest"
	"github.com/wasmesh/wasmesh/sdk/meshcert"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// controller issues certificates, of an authority that a test may change, and says when it did.
type controller struct {
	syncv1.UnimplementedIdentityServiceServer
	mu      sync.Mutex // guards below
	issuer  *identitytest.Controller
	refusal error
	asked   chan struct{}
}

func (c *controller) Issue(ctx context.Context, request *syncv1.IssueRequest) (*syncv1.IssueResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case c.asked <- struct{}{}:
	default:
	}
	if c.refusal != nil {
		return nil, c.refusal
	}
	return c.issuer.Issue(ctx, request)
}

func (c *controller) set(issuer *identitytest.Controller, refusal error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.issuer, c.refusal = issuer, refusal
}

func newAuthority(t *testing.T) *identitytest.Authority {
	t.Helper()
	authority, err := identitytest.New("mesh")
	if err != nil {
		t.Fatal(err)
	}
	return authority
}

// listen has a controller answer; its certificate changes with its authority.
func listen(t *testing.T, issuer *identitytest.Controller) (*controller, string) {
	t.Helper()
	c := &controller{issuer: issuer, asked: make(chan struct{}, 100)}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.issuer.ServerTLS()
		},
	})))
	syncv1.RegisterIdentityServiceServer(server, c)
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	return c, listener.Addr().String()
}

// host is an Identity with its files.
type host struct {
	*Identity
	registry *prometheus.Registry
	logged   *strings.Builder
}

func newHost(t *testing.T, address string, authority *identitytest.Authority, namespace, id string) *host {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "ca.crt"), authority.PEM())
	write(t, filepath.Join(dir, "token"), []byte(namespace+"/"+id))
	h := &host{registry: prometheus.NewRegistry(), logged: &strings.Builder{}}
	var err error
	h.Identity, err = New(Config{
		Namespace: namespace, HostID: id, Controller: "passthrough:///" + address, CAFile: filepath.Join(dir, "ca.crt"), TokenFile: filepath.Join(dir, "token"),
		Logger: slog.New(slog.NewTextHandler(h.logged, nil)), Metrics: h.registry,
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// run runs it until the test ends.
func (h *host) run(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func enrolled(t *testing.T, address string, authority *identitytest.Authority, namespace, id string) *host {
	t.Helper()
	h := newHost(t, address, authority, namespace, id)
	h.run(t)
	<-h.Ready()
	return h
}

// counted is a counter by its label.
func (h *host) counted(t *testing.T, name, label string) float64 {
	t.Helper()
	families, err := h.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == name && m.GetLabel()[0].GetValue() == label {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

// shake has two ends make a connection and exchange a byte each way.
func shake(t *testing.T, server, client *tls.Config) (atServer, atClient error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	done := make(chan error, 1)
	go func() {
		raw, err := listener.Accept()
		if err != nil {
			done <- err
			return
		}
		defer raw.Close()
		conn := tls.Server(raw, server)
		if err = conn.HandshakeContext(t.Context()); err == nil {
			_, err = io.CopyN(conn, conn, 1)
		}
		done <- err
	}()
	raw, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	conn := tls.Client(raw, client)
	if _, atClient = conn.Write([]byte("x")); atClient == nil {
		_, atClient = io.ReadFull(conn, make([]byte, 1))
	}
	raw.Close()
	return <-done, atClient
}

func TestWhoIsAPeer(t *testing.T) {
	authority, foreign := newAuthority(t), newAuthority(t)
	_, address := listen(t, &identitytest.Controller{Authority: authority})
	server, client := enrolled(t, address, authority, "models", "pod-1"), enrolled(t, address, authority, "models", "pod-2")
	other := enrolled(t, address, authority, "other", "pod-1")
	_, elsewhere := listen(t, &identitytest.Controller{Authority: foreign})
	stranger := enrolled(t, elsewhere, foreign, "models", "pod-1")
	pair := func(by *identitytest.Authority, name string, until time.Time) *tls.Config {
		own, err := by.Pair(name, until)
		if err != nil {
			t.Fatal(err)
		}
		return &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}, Certificates: []tls.Certificate{own},
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &own, nil }}
	}
	pod2, soon := meshcert.Host{Namespace: "models", ID: "pod-2"}.String(), time.Now().Add(time.Hour)
	for name, c := range map[string]struct {
		server, client *tls.Config
		by             *host // who refuses
		reason         meshcert.Reason
	}{
		"a peer":                        {server.PeerServerTLS(), client.PeerTLS("pod-1"), nil, ""},
		"itself":                        {server.PeerServerTLS(), server.PeerTLS("pod-1"), nil, ""},
		"another host than was dialled": {server.PeerServerTLS(), client.PeerTLS("pod-3"), client, meshcert.Identity},
		"dialled in another namespace":  {other.PeerServerTLS(), client.PeerTLS("pod-1"), client, meshcert.Namespace},
		"dialled of another authority":  {stranger.PeerServerTLS(), client.PeerTLS("pod-1"), client, meshcert.Authority},
		"dialled the controller":        {pair(authority, meshcert.Controller, soon), client.PeerTLS("pod-1"), client, meshcert.Identity},
		"dialled one that has ended":    {pair(authority, meshcert.Host{Namespace: "models", ID: "pod-1"}.String(), time.Now().Add(-time.Minute)), client.PeerTLS("pod-1"), client, meshcert.Expired},
		"no certificate":                {server.PeerServerTLS(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}, server, meshcert.Missing},
		"of another namespace":          {server.PeerServerTLS(), pair(authority, meshcert.Host{Namespace: "other", ID: "pod-2"}.String(), soon), server, meshcert.Namespace},
		"of another authority":          {server.PeerServerTLS(), pair(foreign, pod2, soon), server, meshcert.Authority},
		"ended":                         {server.PeerServerTLS(), pair(authority, pod2, time.Now().Add(-time.Minute)), server, meshcert.Expired},
		"the controller":                {server.PeerServerTLS(), pair(authority, meshcert.Controller, soon), server, meshcert.Identity},
		"a host as the controller":      {server.PeerServerTLS(), client.ControllerTLS(), client, meshcert.Identity},
	} {
		before := 0.0
		if c.by != nil {
			before = c.by.counted(t, "wasmesh_certificate_refused_total", string(c.reason))
		}
		atServer, atClient := shake(t, c.server, c.client)
		if c.by == nil {
			if atServer != nil || atClient != nil {
				t.Errorf("%s: %v; %v", name, atServer, atClient)
			}
			continue
		}
		said := atClient
		if c.by == server {
			said = atServer
		}
		refusal, ok := errors.AsType[*meshcert.Error](said)
		if !ok || refusal.Reason != c.reason || atClient == nil {
			t.Errorf("%s: %v; %v", name, atServer, atClient)
		}
		if got := c.by.counted(t, "wasmesh_certificate_refused_total", string(c.reason)); got != before+1 {
			t.Errorf("%s: counted %v times", name, got-before)
		}
	}
}

// A host asks until it is given a certificate, and handshakes wait for that.
func TestAHostAsksUntilItIsEnrolled(t *testing.T) {
	authority := newAuthority(t)
	c, address := listen(t, &identitytest.Controller{Authority: authority})
	c.set(c.issuer, status.Error(codes.PermissionDenied, "not yet"))
	first := enrolledLater(t, c, address, authority)
	if first.Enrolled() {
		t.Fatal("enrolled against the controller's will")
	}
	if err, _ := shake(t, first.PeerServerTLS(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}); !errors.Is(err, errNotEnrolled) {
		t.Errorf("somebody connected meanwhile: %v", err)
	}
	server := &identitytest.Controller{Authority: authority}
	serverTLS, err := server.ServerTLS()
	if err != nil {
		t.Fatal(err)
	}
	waits := make(chan error, 1)
	go func() {
		_, err := shake(t, serverTLS, first.ControllerTLS())
		waits <- err
	}()
	c.set(c.issuer, nil)
	<-first.Ready()
	if err := <-waits; err != nil {
		t.Errorf("the handshake that waited: %v", err)
	}
	if first.counted(t, "wasmesh_enrolments_total", "PermissionDenied") == 0 || first.counted(t, "wasmesh_enrolments_total", "OK") != 1 {
		t.Error("attempts are not counted")
	}
}

// enrolledLater runs a host, and returns when it has been refused twice.
func enrolledLater(t *testing.T, c *controller, address string, authority *identitytest.Authority) *host {
	t.Helper()
	h := newHost(t, address, authority, "models", "pod-1")
	h.run(t)
	<-c.asked
	<-c.asked
	return h
}

// What the controller signs has to be for this host, and the controller has to be of the authority in the file.
func TestACertificateOfSomebodyElseIsNotTaken(t *testing.T) {
	authority, foreign := newAuthority(t), newAuthority(t)
	_, address := listen(t, &identitytest.Controller{Authority: authority})
	_, elsewhere := listen(t, &identitytest.Controller{Authority: foreign})
	for name, c := range map[string]struct {
		address, token, says string
	}{
		"another pod":       {address, "models/pod-2", "--host-id"},
		"another namespace": {address, "other/pod-1", "--namespace"},
		"another authority": {elsewhere, "models/pod-1", "ConfigMap wasmesh-ca"},
		"nobody":            {"127.0.0.1:1", "models/pod-1", "ask controller"},
	} {
		h := newHost(t, c.address, authority, "models", "pod-1")
		write(t, h.config.TokenFile, []byte(c.token))
		if err := h.enrol(t.Context()); err == nil || !strings.Contains(err.Error(), c.says) || h.Enrolled() {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
	h := newHost(t, address, authority, "models", "pod-1")
	if err := os.Remove(h.config.TokenFile); err != nil {
		t.Fatal(err)
	}
	if err := h.enrol(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a token: %v", err)
	}
	if _, err := New(Config{Namespace: "n", HostID: "h", Controller: "c", CAFile: h.config.TokenFile, Logger: h.logger}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without authorities: %v", err)
	}
}

// Before a certificate ends there is another, of another key, and so it is when the authority is another.
func TestACertificateIsRenewed(t *testing.T) {
	authority := newAuthority(t)
	c, address := listen(t, &identitytest.Controller{Authority: authority, Life: 2 * time.Second})
	h := enrolled(t, address, authority, "models", "pod-1")
	first := h.now.Load().certificate.Leaf
	<-c.asked // for the first
	c.set(&identitytest.Controller{Authority: authority}, nil)
	<-c.asked
	var second *present
	for second = h.now.Load(); second.certificate.Leaf.Equal(first); second = h.now.Load() {
		if time.Now().After(first.NotAfter) {
			t.Fatal("the certificate has ended, and there is no other")
		}
		time.Sleep(time.Millisecond) // Nobody tells.
	}
	if second.needs(time.Now()) {
		t.Error("the new one is old")
	}
	if !second.needs(second.renew) {
		t.Error("it is never to be renewed")
	}
}

// The authority was lost and made anew: what the file says now counts, and nothing of before is trusted.
func TestAnotherAuthorityTakesThePlaceOfOne(t *testing.T) {
	authority, next := newAuthority(t), newAuthority(t)
	c, address := listen(t, &identitytest.Controller{Authority: authority})
	h := newHost(t, address, authority, "models", "pod-1")
	if err := h.enrol(t.Context()); err != nil {
		t.Fatal(err)
	}
	write(t, h.config.CAFile, next.PEM())
	if err := h.readAuthorities(); err != nil {
		t.Fatal(err)
	}
	if !h.now.Load().needs(time.Now()) {
		t.Error("a certificate of an authority that is gone is kept")
	}
	c.set(&identitytest.Controller{Authority: next}, nil)
	if err := h.enrol(t.Context()); err != nil {
		t.Fatal(err)
	}
	if h.now.Load().needs(time.Now()) {
		t.Error("the new authority's certificate is not in use")
	}
	if len(h.now.Load().told) != 1 || !h.now.Load().told[0].Equal(next.Cert) {
		t.Error("what was trusted before still is")
	}
	// A file that cannot be read leaves things as they are.
	write(t, h.config.CAFile, []byte("garbage"))
	if err := h.readAuthorities(); err == nil || h.now.Load().needs(time.Now()) {
		t.Errorf("garbage: %v", err)
	}
	if strings.Contains(h.logged.String(), "models/pod-1") || !strings.Contains(h.logged.String(), "renew_at") {
		t.Errorf("the token is in the log, or nothing is: %s", h.logged)
	}
}
