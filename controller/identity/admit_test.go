package identity

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	syncserver "github.com/wasmesh/wasmesh/controller/sync"
	"github.com/wasmesh/wasmesh/sdk/meshcert"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// served has a sync server behind an Authority, and answers its address.
func served(t *testing.T, a *Authority) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	mesh := syncserver.New(syncserver.Config{Term: 1, Register: a.Register, Logger: slog.New(slog.DiscardHandler)})
	if err := mesh.Publish([]*syncv1.Row{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- mesh.Serve(ctx, listener, a.ServerOptions()...) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return listener.Addr().String()
}

// certified is a certificate of this name, of the authority by.
func certified(t *testing.T, by *authority, name string, at time.Time) *tls.Certificate {
	t.Helper()
	key := newKey(t)
	uri, err := url.Parse(name)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := by.sign(leaf{uri: uri, key: key.Public()}, at)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
}

// connect is connectWith this certificate, or none.
func connect(t *testing.T, address string, trusted *x509.CertPool, own *tls.Certificate, hello *syncv1.Hello) error {
	t.Helper()
	settings := &tls.Config{RootCAs: trusted, ServerName: "wasmesh-controller.wasmesh.svc"}
	if own != nil {
		// Shown whatever the server says whom it trusts.
		settings.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return own, nil }
	}
	return connectWith(t, address, settings, hello)
}

func TestOnlyTheHostItselfIsItsStream(t *testing.T) {
	a, _, now, said := newTest(t)
	worked(t, a)
	address := served(t, a)
	signer, pool := a.present.Load().authorities.signer, a.present.Load().pool
	foreign, err := newAuthority(now.Now())
	if err != nil {
		t.Fatal(err)
	}
	host := meshcert.Host{Namespace: "models", ID: "pod-1"}
	hello := &syncv1.Hello{Namespace: "models", HostId: "pod-1", Epoch: 1}
	for name, c := range map[string]struct {
		own    *tls.Certificate
		hello  *syncv1.Hello
		want   codes.Code
		reason meshcert.Reason
		says   string // to the host; what TLS refuses, only the log says
	}{
		"itself":               {certified(t, signer, host.String(), now.Now()), hello, codes.OK, "", ""},
		"no certificate":       {nil, hello, codes.Unauthenticated, meshcert.Missing, "--ca-file"},
		"another id":           {certified(t, signer, host.String(), now.Now()), &syncv1.Hello{Namespace: "models", HostId: "pod-2"}, codes.PermissionDenied, meshcert.Identity, "--host-id"},
		"another namespace":    {certified(t, signer, host.String(), now.Now()), &syncv1.Hello{Namespace: "other", HostId: "pod-1"}, codes.PermissionDenied, meshcert.Namespace, "--namespace"},
		"the controller":       {certified(t, signer, meshcert.Controller, now.Now()), hello, codes.PermissionDenied, meshcert.Identity, "not of a host"},
		"of another authority": {certified(t, foreign, host.String(), now.Now()), hello, codes.Unavailable, meshcert.Authority, ""},
		"ended":                {certified(t, signer, host.String(), now.Now().Add(-25*time.Hour)), hello, codes.Unavailable, meshcert.Expired, ""},
	} {
		before := strings.Count(said.String(), "reason="+string(c.reason))
		err := connect(t, address, pool, c.own, c.hello)
		if status.Code(err) != c.want || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %s that says %q", name, err, c.want, c.says)
		}
		if c.reason != "" && strings.Count(said.String(), "reason="+string(c.reason)) == before {
			t.Errorf("%s: the log does not say %s", name, c.reason)
		}
	}
	if err := connect(t, address, meshcert.Pool([]*x509.Certificate{foreign.cert}), nil, hello); err == nil {
		t.Error("the controller's certificate is of any authority")
	}
	plain, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if _, err := syncv1.NewIdentityServiceClient(plain).Issue(t.Context(), &syncv1.IssueRequest{}); status.Code(err) != codes.Unavailable {
		t.Errorf("in plain text: %v", err)
	}
}

// Hosts keep their connection through the change of an authority, and those with a certificate of before may still connect.
func TestHostsOfBothAuthoritiesConnect(t *testing.T) {
	a, api, now, _ := newTest(t)
	worked(t, a)
	address := served(t, a)
	old := a.present.Load().authorities.signer
	hello := func(id string) *syncv1.Hello { return &syncv1.Hello{Namespace: "models", HostId: id, Epoch: 1} }
	for a.present.Load().authorities.signer == old {
		now.set(a.present.Load().authorities.due())
		worked(t, a)
	}
	trusted, err := meshcert.Decode([]byte(api.trusted(t, "models")))
	if err != nil || len(trusted) != 2 {
		t.Fatalf("%d trusted, %v", len(trusted), err)
	}
	at := now.Now()
	for id, signer := range map[string]*authority{"of-before": old, "of-now": a.present.Load().authorities.signer} {
		own := certified(t, signer, meshcert.Host{Namespace: "models", ID: id}.String(), at)
		conn := &tls.Config{RootCAs: meshcert.Pool(trusted), ServerName: "wasmesh-controller.wasmesh.svc", Time: now.Now, NextProtos: []string{"h2"},
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return own, nil }}
		if err := connectWith(t, address, conn, hello(id)); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
}

// connectWith opens a stream as a host does and says hello; it answers the first thing that comes back.
func connectWith(t *testing.T, address string, settings *tls.Config, hello *syncv1.Hello) error {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(credentials.NewTLS(settings)))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	stream, err := syncv1.NewSyncServiceClient(conn).Connect(t.Context())
	if err != nil {
		return err
	}
	// What comes of it Recv says.
	_ = stream.Send(&syncv1.ConnectRequest{Message: &syncv1.ConnectRequest_Hello{Hello: hello}})
	_, err = stream.Recv()
	return err
}
