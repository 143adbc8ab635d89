package tlsfiles

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wasmesh/wasmesh/host/identity/identitytest"
	"github.com/wasmesh/wasmesh/sdk/meshcert"
)

func newAuthority(t *testing.T, name string) *identitytest.Authority {
	t.Helper()
	a, err := identitytest.New(name)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// pair writes a certificate of the authority with its key.
func pair(t *testing.T, a *identitytest.Authority, c Config) {
	t.Helper()
	made, err := a.Pair("spiffe://server", time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if err := identitytest.Write(made, c.CertFile, c.KeyFile); err != nil {
		t.Fatal(err)
	}
}

func files(t *testing.T, auth string) Config {
	dir := t.TempDir()
	return Config{
		CertFile: filepath.Join(dir, "tls.crt"), KeyFile: filepath.Join(dir, "tls.key"), ClientCAFile: filepath.Join(dir, "ca.crt"), ClientAuth: auth,
	}
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// client connects and reads until the server closes; nil: it was let in.
func client(t *testing.T, f *Files, trusts *identitytest.Authority, own *tls.Certificate) error {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	done := make(chan error, 1)
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			defer conn.Close()
			err = tls.Server(conn, f.ServerConfig("h2")).HandshakeContext(t.Context())
		}
		done <- err
	}()
	settings := &tls.Config{ServerName: "localhost", NextProtos: []string{"h2"}, RootCAs: meshcert.Pool([]*x509.Certificate{trusts.Cert})}
	if own != nil {
		settings.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return own, nil }
	}
	conn, err := tls.Dial("tcp", listener.Addr().String(), settings)
	if err != nil {
		<-done
		return err
	}
	defer conn.Close()
	return <-done
}

func TestWhoIsLetIn(t *testing.T) {
	serving, clients, foreign := newAuthority(t, "serving"), newAuthority(t, "clients"), newAuthority(t, "foreign")
	certificate := func(a *identitytest.Authority, until time.Time) *tls.Certificate {
		own, err := a.Pair("spiffe://client", until)
		if err != nil {
			t.Fatal(err)
		}
		return &own
	}
	soon := time.Now().Add(time.Hour)
	for auth, want := range map[string][4]bool{ // none, ours, of another authority, ended
		None: {true, true, true, true}, Optional: {true, true, false, false}, Require: {false, true, false, false},
	} {
		config := files(t, auth)
		pair(t, serving, config)
		write(t, config.ClientCAFile, clients.PEM())
		f, err := Open(config, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		for i, own := range []*tls.Certificate{nil, certificate(clients, soon), certificate(foreign, soon), certificate(clients, time.Now().Add(-time.Minute))} {
			if err := client(t, f, serving, own); (err == nil) != want[i] {
				t.Errorf("%s, client %d: %v", auth, i, err)
			}
		}
	}
}

// A renewed certificate is in use from the next handshake on; files that do not fit together leave the last ones in use.
func TestFilesThatChange(t *testing.T) {
	first, second := newAuthority(t, "first"), newAuthority(t, "second")
	config := files(t, "")
	config.ClientCAFile = ""
	pair(t, first, config)
	var logged strings.Builder
	f, err := Open(config, slog.New(slog.NewTextHandler(&logged, nil)))
	if err != nil {
		t.Fatal(err)
	}
	later := func() { f.looked = time.Time{} }
	if err := client(t, f, first, nil); err != nil {
		t.Fatal(err)
	}
	other := files(t, "")
	pair(t, second, other)
	half, err := os.ReadFile(other.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	write(t, config.KeyFile, half)
	later()
	if err := client(t, f, first, nil); err != nil || !strings.Contains(logged.String(), "last good ones stay") {
		t.Errorf("in the middle of a change: %v; %s", err, logged.String())
	}
	pair(t, second, config)
	later()
	if err := client(t, f, second, nil); err != nil {
		t.Errorf("after the change: %v", err)
	}
	if err := client(t, f, first, nil); err == nil {
		t.Error("the certificate of before is still shown")
	}
	if err := os.Remove(config.CertFile); err != nil {
		t.Fatal(err)
	}
	later()
	if err := client(t, f, second, nil); err != nil {
		t.Errorf("without the file: %v", err)
	}
	if strings.Contains(logged.String(), "PRIVATE") {
		t.Error("a key is in the log")
	}
}

// Without --tls-client-ca-file clients need a certificate of the server's own file, which then is its own authority. The
// authorities of a chain are not taken for that: whoever they have given a certificate would get in.
func TestAuthoritiesOfClientsByDefault(t *testing.T) {
	authority := newAuthority(t, "an authority of many")
	config := files(t, Require)
	config.ClientCAFile = ""
	pair(t, authority, config)
	if _, err := Open(config, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "--tls-client-ca-file") {
		t.Errorf("a certificate of somebody else's authority: %v", err)
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	authority := newAuthority(t, "serving")
	for want, change := range map[string]func(*Config){
		"read TLS certificate":  func(c *Config) { c.CertFile += "x" },
		"read TLS key":          func(c *Config) { c.KeyFile += "x" },
		"read authorities":      func(c *Config) { c.ClientCAFile += "x" },
		"there is no PEM":       func(c *Config) { c.ClientCAFile = c.KeyFile },
		"TLS certificate":       func(c *Config) { c.CertFile = c.KeyFile },
		"--tls-client-auth":     func(c *Config) { c.ClientAuth = "mutual" },
		"given together or not": func(c *Config) { c.KeyFile = "" },
	} {
		config := files(t, Require)
		pair(t, authority, config)
		write(t, config.ClientCAFile, authority.PEM())
		change(&config)
		if _, err := Open(config, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
