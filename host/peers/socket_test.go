package peers

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/wasmesh/wasmesh/host/peers/residency"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
)

// loopback starts a host on real sockets.
func loopback(t testing.TB, n int, change func(*Config)) *testHost {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	config := Config{
		Mesh: "wasmesh", Namespace: "default", HostID: fmt.Sprintf("host-%d", n), Epoch: 1, Started: time.Now(),
		Runtime: "mlserver", PeerAddress: listener.Addr().String(), GossipAddress: "127.0.0.1:0", Key: testKey,
	}
	if change != nil {
		change(&config)
	}
	h := start(t, config, listener)
	t.Cleanup(func() { h.end() })
	return h
}

// until waits for the listener of a host to be told what makes the condition true.
func (h *testHost) until(condition func() bool) {
	for !condition() {
		<-h.changed
	}
}

func TestMeshOnLoopback(t *testing.T) {
	var hosts []*testHost
	for n := range 4 {
		h := loopback(t, n+1, nil)
		h.Publish(loaded(uint64(n+1)), nil)
		hosts = append(hosts, h)
	}
	began := time.Now()
	(&mesh{t: t}).seedAll(hosts...)
	for _, h := range hosts {
		h.until(func() bool { return h.live() == "1 2 3 4" && h.copies(4) == "4:loaded" && h.copies(1) == "1:loaded" })
		<-h.Synced()
	}
	t.Logf("4 hosts knew each other after %v", time.Since(began))
	// Of a host that exits without a word, the connection is what tells.
	hosts[3].end()
	for _, h := range hosts[:3] {
		h.until(func() bool { return h.live() == "1 2 3" && h.copies(4) == "" })
	}
}

func TestGarbageOnRealPorts(t *testing.T) {
	a, b := loopback(t, 1, nil), loopback(t, 2, nil)
	for _, address := range []string{a.GossipAddress(), a.config.PeerAddress} {
		for _, garbage := range []string{"", "\x00", "GET / HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + strings.Repeat("\xff", 100), strings.Repeat("\xf4", 70_000)} {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(conn, garbage)
			conn.(*net.TCPConn).CloseWrite()
			io.Copy(io.Discard, conn) // until the host has had enough of it
			conn.Close()
		}
	}
	udp, err := net.Dial("udp", a.GossipAddress())
	if err != nil {
		t.Fatal(err)
	}
	for _, garbage := range []string{"\x00", strings.Repeat("\xf4", 60_000), "garbage"} {
		io.WriteString(udp, garbage)
	}
	udp.Close()
	// Somebody who speaks the protocol and has no token, or a wrong one.
	conn, err := grpc.NewClient("passthrough:///"+a.config.PeerAddress, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := peerv1.NewPeerServiceClient(conn)
	for _, token := range []string{"", "wrong"} {
		ctx := t.Context()
		if token != "" {
			ctx = metadata.AppendToOutgoingContext(ctx, TokenHeader, token)
		}
		if _, err := client.Place(ctx, &peerv1.PlaceRequest{}); status.Code(err) != codes.Unauthenticated {
			t.Errorf("call with token %q: %v", token, err)
		}
		stream, err := client.Link(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); status.Code(err) != codes.Unauthenticated {
			t.Errorf("link with token %q: %v", token, err)
		}
	}
	if a.CheckToken("") || a.CheckToken(b.Token()+"0") || !a.CheckToken(b.Token()) {
		t.Error("tokens are not told apart")
	}
	if n := a.refusedFor("token"); n != 6 {
		t.Errorf("%v tokens were refused, want 6", n)
	}
	if a.refusedFor("malformed") == 0 {
		t.Error("no garbage was counted")
	}
	(&mesh{t: t}).seedAll(a, b)
	a.until(func() bool { return a.live() == "1 2" })
	b.until(func() bool { return b.live() == "1 2" })
}

func TestRealPortsAreFreedAgain(t *testing.T) {
	h := loopback(t, 1, nil)
	gossip := h.GossipAddress()
	if err := h.end(); err != nil {
		t.Fatal(err)
	}
	again := loopback(t, 1, func(c *Config) { c.GossipAddress = gossip })
	if again.GossipAddress() != gossip {
		t.Errorf("gossip at %s, want %s", again.GossipAddress(), gossip)
	}
}

func TestConfigIsChecked(t *testing.T) {
	good := Config{Mesh: "m", Namespace: "n", HostID: "h", PeerAddress: "127.0.0.1:1", GossipAddress: "127.0.0.1:0", Key: testKey}
	for name, change := range map[string]func(*Config){
		"no mesh":            func(c *Config) { c.Mesh = "" },
		"no id":              func(c *Config) { c.HostID = "" },
		"id":                 func(c *Config) { c.HostID = "a#b" },
		"key":                func(c *Config) { c.Key = c.Key[:16] },
		"no peer address":    func(c *Config) { c.PeerAddress = "" },
		"peer address":       func(c *Config) { c.PeerAddress = "nowhere" },
		"gossip address":     func(c *Config) { c.GossipAddress = "nowhere" },
		"gossip to all":      func(c *Config) { c.GossipAddress = ":0" },
		"advertised address": func(c *Config) { c.GossipAdvertise = "nowhere" },
		"long mesh":          func(c *Config) { c.Mesh = strings.Repeat("m", 300) },
	} {
		config := good
		change(&config)
		p, err := New(config, Deps{Logger: quiet(t)})
		if err == nil {
			p.stop()
			t.Errorf("%s: accepted", name)
		} else if testing.Verbose() {
			fmt.Fprintln(os.Stderr, name+":", err)
		}
	}
}

// BenchmarkPublish is from a change of state on one host until it is in the table of all others, on real sockets.
func BenchmarkPublish(b *testing.B) {
	for _, others := range []int{1, 7} {
		b.Run(fmt.Sprintf("to=%d", others), func(b *testing.B) {
			var hosts []*testHost
			for n := range others + 1 {
				hosts = append(hosts, loopback(b, n+1, nil))
			}
			(&mesh{}).seedAll(hosts...)
			for _, h := range hosts {
				h.until(func() bool { return len(strings.Fields(h.live())) == len(hosts) })
			}
			key := uint64(0)
			for b.Loop() {
				key++
				hosts[0].Publish(residency.Entry{Key: key % 1000, State: residency.State(1 + key/1000%5)}, nil)
				stamp := hosts[0].publisher.Stamp()
				for _, h := range hosts[1:] {
					h.until(func() bool {
						h.tableMu.Lock()
						defer h.tableMu.Unlock()
						return h.table.Matches("host-1", 1, stamp)
					})
				}
			}
		})
	}
}

var _ http.Handler = (*grpc.Server)(nil) // the peer listener serves it beside proxied requests
