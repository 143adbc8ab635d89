// Package tlsfiles is the TLS of listeners for clients: a certificate and its key, and the authorities of clients'
// certificates, in files that somebody else renews.
//
// The files are read again when they have changed, at the next handshake: what does not fit together, as in the middle of a
// change, leaves the last good ones in use and is logged. Connections that stand are not touched.
//
// Package node opens a Files for the flags --tls-*, and wraps its gRPC and REST listeners with it.
package tlsfiles

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/wasmesh/wasmesh/sdk/meshcert"
)

// What is wanted of clients, Config.ClientAuth; ModelMesh's MM_TLS_CLIENT_AUTH has the same words.
const (
	// None: certificates of clients are not asked for.
	None = "none"
	// Optional: one that is given has to be of an authority.
	Optional = "optional"
	// Require: a client without one is refused.
	Require = "require"
)

// Config names the files. The zero value is plain text.
type Config struct {
	// CertFile and KeyFile are PEM, the server's own certificate first.
	CertFile, KeyFile string
	// ClientCAFile has the authorities of clients, PEM; empty: the certificate of CertFile if it is its own authority, as
	// in ModelMesh. No others of its chain: an authority of many would let them all in.
	ClientCAFile string
	// ClientAuth is None, Optional or Require; empty is None.
	ClientAuth string
}

// Enabled reports whether TLS is wanted.
func (c Config) Enabled() bool { return c.CertFile != "" }

// Check says what is wrong, without reading files.
func (c Config) Check() error {
	switch {
	case (c.CertFile == "") != (c.KeyFile == ""):
		return errors.New("--tls-cert-file and --tls-key-file are given together or not at all")
	case c.ClientAuth != "" && c.ClientAuth != None && c.ClientAuth != Optional && c.ClientAuth != Require:
		return fmt.Errorf("--tls-client-auth %q: one of none, optional, require", c.ClientAuth)
	case !c.Enabled() && (c.ClientCAFile != "" || c.wanted()):
		return errors.New("--tls-client-ca-file and --tls-client-auth need --tls-cert-file: without it clients speak plain text")
	}
	return nil
}

// wanted reports whether certificates of clients are asked for.
func (c Config) wanted() bool { return c.ClientAuth == Optional || c.ClientAuth == Require }

// lookEvery bounds how often handshakes look at the files. The kubelet takes longer to bring a change.
const lookEvery = time.Second

// Files are the files as they were read last. Its methods may be called from any goroutine.
type Files struct {
	config Config
	logger *slog.Logger

	mu      sync.Mutex
	looked  time.Time
	read    contents
	current *tls.Config
}

// contents are the bytes of the files.
type contents struct{ cert, key, clients []byte }

func (c contents) equal(o contents) bool {
	return bytes.Equal(c.cert, o.cert) && bytes.Equal(c.key, o.key) && bytes.Equal(c.clients, o.clients)
}

// Open reads the files for the first time: then they must be good.
func Open(config Config, logger *slog.Logger) (*Files, error) {
	if err := config.Check(); err != nil {
		return nil, err
	}
	f := &Files{config: config, logger: logger, looked: time.Now()}
	read, err := config.read()
	if err != nil {
		return nil, err
	}
	if f.current, err = config.parse(read); err != nil {
		return nil, err
	}
	f.read = read
	return f, nil
}

// ServerConfig answers handshakes with what the files hold then. protocols are those of ALPN, in order of preference.
func (f *Files) ServerConfig(protocols ...string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: protocols,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			config := f.now(time.Now()).Clone()
			config.NextProtos = protocols
			return config, nil
		},
	}
}

// now looks at the files unless that was done a moment ago.
func (f *Files) now(at time.Time) *tls.Config {
	f.mu.Lock()
	defer f.mu.Unlock()
	if at.Sub(f.looked) < lookEvery {
		return f.current
	}
	f.looked = at
	read, err := f.config.read()
	if err == nil && read.equal(f.read) {
		return f.current
	}
	var next *tls.Config
	if err == nil {
		next, err = f.config.parse(read)
	}
	if err != nil {
		f.logger.Warn("changed TLS files are unusable: the last good ones stay in use", "error", err)
		return f.current
	}
	f.read, f.current = read, next
	f.logger.Info("TLS files have changed and are in use", "certificate", f.config.CertFile, "until", next.Certificates[0].Leaf.NotAfter)
	return f.current
}

func (c Config) read() (read contents, err error) {
	if read.cert, err = os.ReadFile(c.CertFile); err != nil {
		return contents{}, fmt.Errorf("read TLS certificate: %w", err)
	}
	if read.key, err = os.ReadFile(c.KeyFile); err != nil {
		return contents{}, fmt.Errorf("read TLS key: %w", err)
	}
	if c.ClientCAFile == "" {
		read.clients = read.cert
		return read, nil
	}
	if read.clients, err = os.ReadFile(c.ClientCAFile); err != nil {
		return contents{}, fmt.Errorf("read authorities of clients: %w", err)
	}
	return read, nil
}

func (c Config) parse(read contents) (*tls.Config, error) {
	pair, err := tls.X509KeyPair(read.cert, read.key)
	if err != nil {
		return nil, fmt.Errorf("TLS certificate %s and key %s: %w", c.CertFile, c.KeyFile, err)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	if !c.wanted() {
		return config, nil
	}
	trusted, err := meshcert.Decode(read.clients)
	if err != nil {
		return nil, fmt.Errorf("authorities of clients in %s: %w", c.clientsFile(), err)
	}
	if c.ClientCAFile == "" {
		if trusted = slices.DeleteFunc(trusted, ofAnother); len(trusted) == 0 {
			return nil, fmt.Errorf("no certificate in %s is its own authority: say with --tls-client-ca-file whose clients are let in", c.CertFile)
		}
	}
	config.ClientCAs = meshcert.Pool(trusted)
	config.ClientAuth = tls.VerifyClientCertIfGiven
	if c.ClientAuth == Require {
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return config, nil
}

func (c Config) clientsFile() string {
	if c.ClientCAFile == "" {
		return c.CertFile
	}
	return c.ClientCAFile
}

// ofAnother reports whether somebody else has signed the certificate.
func ofAnother(cert *x509.Certificate) bool { return !bytes.Equal(cert.RawIssuer, cert.RawSubject) }
