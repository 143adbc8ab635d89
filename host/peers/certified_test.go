package peers

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	transport "google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/wasmesh/wasmesh/host/identity"
	"github.com/wasmesh/wasmesh/host/identity/identitytest"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// issuer is a controller that only gives certificates.
type issuer struct {
	authority *identitytest.Authority
	address   string
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	authority, err := identitytest.New("mesh")
	if err != nil {
		t.Fatal(err)
	}
	controller := &identitytest.Controller{Authority: authority}
	settings, err := controller.ServerTLS()
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.Creds(transport.NewTLS(settings)))
	syncv1.RegisterIdentityServiceServer(server, controller)
	go server.Serve(listener)
	t.Cleanup(server.Stop)
	return &issuer{authority, listener.Addr().String()}
}

// identity is that of a host, with its certificate.
func (i *issuer) identity(t *testing.T, namespace, id string) *identity.Identity {
	t.Helper()
	dir := t.TempDir()
	ca, token := filepath.Join(dir, "ca"), filepath.Join(dir, "token")
	for path, content := range map[string][]byte{ca: i.authority.PEM(), token: []byte(namespace + "/" + id)} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	self, err := identity.New(identity.Config{
		Namespace: namespace, HostID: id, Controller: "passthrough:///" + i.address, CAFile: ca, TokenFile: token, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- self.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	<-self.Ready()
	return self
}

// certifiedHost is loopback over TLS, with this identity.
func certifiedHost(t *testing.T, n int, self *identity.Identity) *testHost {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	config := Config{
		Mesh: "wasmesh", Namespace: "default", HostID: hostID(n), Epoch: 1, Started: time.Now(), Runtime: "mlserver",
		PeerAddress: listener.Addr().String(), GossipAddress: "127.0.0.1:0", Key: testKey, PeerTLS: self.PeerTLS,
	}
	h := start(t, config, tls.NewListener(listener, self.PeerServerTLS()))
	t.Cleanup(func() { h.end() })
	return h
}

// A pod that has the key of the mesh and a certificate of its own does not become another host by saying so.
func TestAHostIsWhoItsCertificateSays(t *testing.T) {
	certificates := newIssuer(t)
	a, b := certifiedHost(t, 1, certificates.identity(t, "default", hostID(1))), certifiedHost(t, 2, certificates.identity(t, "default", hostID(2)))
	b.Publish(loaded(7), nil)
	posing := certificates.identity(t, "default", "host-9")
	impostor := certifiedHost(t, 3, posing)
	(&mesh{t: t}).seedAll(a, b, impostor)
	a.until(func() bool { return a.live() == "1 2" && a.copies(7) == "2:loaded" })
	b.until(func() bool { return b.live() == "1 2" })
	<-a.Synced() // All have been tried.
	client, err := a.Client(hostID(2))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Place(t.Context(), &peerv1.PlaceRequest{ModelId: "m", Asker: hostID(1)}); err != nil {
		t.Errorf("a call between hosts: %v", err)
	}
	// The impostor follows others, who look at what it says.
	conn, err := grpc.NewClient("passthrough:///"+a.config.PeerAddress,
		grpc.WithTransportCredentials(transport.NewTLS(posing.PeerTLS(hostID(1)))), grpc.WithPerRPCCredentials(credentials{impostor.Peers}))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for id, want := range map[string]codes.Code{hostID(3): codes.PermissionDenied, hostID(2): codes.PermissionDenied, "host-9": codes.OK} {
		before := a.refusedFor("identity")
		stream, err := peerv1.NewPeerServiceClient(conn).Link(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		hello := impostor.config.hello()
		hello.HostId = id
		// What comes of it Recv says.
		_ = stream.Send(&peerv1.LinkRequest{Message: &peerv1.LinkRequest_Hello{Hello: hello}})
		if _, err := stream.Recv(); status.Code(err) != want {
			t.Errorf("greeting as %s: %v", id, err)
		}
		if want != codes.OK && a.refusedFor("identity") == before {
			t.Errorf("greeting as %s: not counted", id)
		}
	}
	if got := a.live(); got != "1 2" {
		t.Errorf("live: %s", got)
	}
}

func hostID(n int) string { return "host-" + string(rune('0'+n)) }
