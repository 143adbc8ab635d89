package node

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wasmesh/wasmesh/host/tlsfiles"
)

func TestAdvertisedAddresses(t *testing.T) {
	bound := func(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 8080} }
	for _, test := range []struct{ bound, own, want string }{
		{"10.0.0.1", "", "10.0.0.1:8080"},
		{"10.0.0.1", "192.0.2.7", "192.0.2.7:8080"},
		{"::", "192.0.2.7", "192.0.2.7:8080"},
		{"0.0.0.0", "2001:db8::7", "[2001:db8::7]:8080"},
	} {
		if got := advertised(bound(test.bound), test.own); got != test.want {
			t.Errorf("bound to %s, own %q: %s, want %s", test.bound, test.own, got, test.want)
		}
	}
	// Nobody reaches a host at "any address".
	host, port, err := net.SplitHostPort(advertised(bound("::"), ""))
	if ip := net.ParseIP(host); err != nil || port != "8080" || ip == nil || ip.IsUnspecified() {
		t.Errorf("bound to all: %s:%s, %v", host, port, err)
	}
}

func TestAdvertisedGossip(t *testing.T) {
	for _, test := range []struct{ bind, own, want string }{
		{"10.0.0.1:11881", "", ""},
		{"10.0.0.1:0", "192.0.2.7", "192.0.2.7:0"},
		{":11881", "192.0.2.7", "192.0.2.7:11881"},
	} {
		if got, err := gossipAdvertised(test.bind, test.own); err != nil || got != test.want {
			t.Errorf("%s, own %q: %q, %v, want %q", test.bind, test.own, got, err, test.want)
		}
	}
	if got, err := gossipAdvertised(":11881", ""); err != nil || !strings.HasSuffix(got, ":11881") || strings.HasPrefix(got, ":") {
		t.Errorf("bound to all: %q, %v", got, err)
	}
	if _, err := gossipAdvertised("11881", ""); err == nil {
		t.Error("an address without a host is taken")
	}
}

func TestMeshKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	key, other := strings.Repeat("0f", 32), strings.Repeat("1e", 32)
	for content, want := range map[string]int{
		key + "\n":                  1,
		other + "\n" + key:          2, // while one replaces the other
		"not hexadecimal":           0,
		"0f0f":                      0,
		"":                          0,
		strings.Repeat(key+"\n", 9): 0,
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		keys, err := readMeshKeys(path)
		if len(keys) != want || (err == nil) != (want > 0) || err != nil && content != "" && strings.Contains(err.Error(), content) {
			t.Errorf("%q: %d keys, %v", content, len(keys), err)
		}
		if want == 2 && keys[0][0] != 0x1e {
			t.Error("the first line is not the first key")
		}
	}
	if _, err := readMeshKeys(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a file that is not there is a key")
	}
}

// What is missing is said at once, and a gateway needs nothing that concerns a runtime.
func TestValidate(t *testing.T) {
	gateway := Config{
		Namespace: "default", Mesh: DefaultMesh, HostID: "g", RuntimeType: RuntimeNone, StateDir: "/s", MeshKeyFile: "/key",
		GRPCAddress: ":1", RESTAddress: ":2", PeerAddress: ":3", GossipAddress: ":4", MaxMessageBytes: 1, WaitingBudgetBytes: 1,
	}
	if err := gateway.Validate(); err != nil {
		t.Errorf("a gateway: %v", err)
	}
	for want, change := range map[string]func(*Config){
		"--mesh-key-file":      func(c *Config) { c.MeshKeyFile = "" },
		"--peer-address":       func(c *Config) { c.PeerAddress = "" },
		"--gossip-address":     func(c *Config) { c.GossipAddress = "" },
		"--capacity-bytes":     func(c *Config) { c.RuntimeType = "" },
		"--serving-runtime":    func(c *Config) { c.RuntimeType = "" },
		"--models-dir":         func(c *Config) { c.RuntimeType = "fake" },
		"--advertise-address":  func(c *Config) { c.AdvertiseAddress = "host.example" },
		"--copy-concurrency":   func(c *Config) { c.CopyConcurrency = -1 },
		"--waiting-budget":     func(c *Config) { c.WaitingBudgetBytes = 0 },
		"--ca-file":            func(c *Config) { c.CAFile = "/ca" },
		"--token-file":         func(c *Config) { c.TokenFile = "/token" },
		"--controller":         func(c *Config) { c.CAFile, c.TokenFile = "/ca", "/token" },
		"--peers-dns needs":    func(c *Config) { c.PeersDNS, c.MeshKeyFile = "peers", "" },
		"--tls-key-file":       func(c *Config) { c.TLS.CertFile = "/cert" },
		"--tls-client-auth":    func(c *Config) { c.TLS = tlsfiles.Config{CertFile: "/c", KeyFile: "/k", ClientAuth: "mutual"} },
		"--tls-cert-file":      func(c *Config) { c.TLS.ClientAuth = tlsfiles.Require },
		"--runtime-management": func(c *Config) { c.RuntimeType = "fake" },
	} {
		c := gateway
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want something of %s", err, want)
		}
	}
}

func TestPeersDNSTakesThePortOfGossip(t *testing.T) {
	for name, want := range map[string]string{
		"":                      "",
		"peers.models.svc":      "peers.models.svc:11881",
		"peers.models.svc:4711": "peers.models.svc:4711",
	} {
		if got, err := peersDNS(name, "0.0.0.0:11881"); err != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", name, got, err, want)
		}
	}
}
