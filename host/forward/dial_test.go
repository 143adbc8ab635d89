package forward

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wasmesh/wasmesh/host/identity/identitytest"
)

// peerListener is a peer over TLS that lets in whom it will, and answers every call with status OK.
func peerListener(t *testing.T, certificate tls.Certificate, verify func(tls.ConnectionState) error) (address string, answered *atomic.Int32) {
	t.Helper()
	raw, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	answered = new(atomic.Int32)
	var protocols http.Protocols
	protocols.SetHTTP2(true)
	server := &http.Server{Protocols: &protocols, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		answered.Add(1)
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Grpc-Status", "0")
	})}
	go server.Serve(tls.NewListener(raw, &tls.Config{
		Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2"}, ClientAuth: tls.RequestClientCert, VerifyConnection: verify,
	}))
	t.Cleanup(func() { server.Close() })
	return raw.Addr().String(), answered
}

// A peer that does not take this host's certificate says so only after our side of the handshake is done and the request is
// on its way: it was not served, and goes elsewhere.
func TestAPeerThatRefusesOurCertificateHasSeenNothing(t *testing.T) {
	own := selfSigned(t)
	var refuses atomic.Bool
	address, answered := peerListener(t, own, func(tls.ConnectionState) error {
		if refuses.Load() {
			return errors.New("not this one")
		}
		return nil
	})
	dialled := make(chan string, 10)
	f := New(Config{MaxMessageBytes: 1 << 20, PeerTLS: func(host string) *tls.Config {
		dialled <- host
		return &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}, Certificates: []tls.Certificate{own}}
	}})
	defer f.Close()
	done := make(chan error, 1)
	call := func(host string) error {
		open(t.Context(), f, Target{Address: address, Peer: true, Host: host}, done)
		return <-done
	}
	if err := call("pod-1"); err != nil || answered.Load() != 1 {
		t.Fatalf("a peer: %v", err)
	}
	// The address goes to another pod: nothing of the one before is used for it.
	if err := call("pod-2"); err != nil || <-dialled != "pod-1" || <-dialled != "pod-2" {
		t.Errorf("another peer at the address: %v", err)
	}
	f.Forget(address)
	refuses.Store(true)
	err := call("pod-2")
	if unsent, ok := errors.AsType[*Unsent](err); !ok || unsent.Peer != address {
		t.Errorf("refused: %v", err)
	}
	if answered.Load() != 2 {
		t.Errorf("%d calls came through", answered.Load())
	}
}

// Whoever answers over TLS without HTTP/2 is no host.
func TestAPeerSpeaksHTTP2(t *testing.T) {
	own := selfSigned(t)
	raw, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){}}
	go server.Serve(tls.NewListener(raw, &tls.Config{Certificates: []tls.Certificate{own}}))
	defer server.Close()
	f := New(Config{MaxMessageBytes: 1 << 20, PeerTLS: func(string) *tls.Config {
		return &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}
	}})
	defer f.Close()
	done := make(chan error, 1)
	open(t.Context(), f, Target{Address: raw.Addr().String(), Peer: true}, done)
	err = <-done
	if _, ok := errors.AsType[*Unsent](err); !ok || !strings.Contains(err.Error(), "HTTP/2") {
		t.Errorf("got %v", err)
	}
}

func selfSigned(t testing.TB) tls.Certificate {
	t.Helper()
	authority, err := identitytest.New("mesh")
	if err != nil {
		t.Fatal(err)
	}
	own, err := authority.Pair("spiffe://wasmesh/ns/models/host/pod-1", time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return own
}

// BenchmarkPeer is a call to another host on a connection that stands, in plain text and over TLS.
func BenchmarkPeer(b *testing.B) {
	own := selfSigned(b)
	for name, secure := range map[string]func(string) *tls.Config{
		"plain": nil,
		"tls": func(string) *tls.Config {
			return &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}, Certificates: []tls.Certificate{own}}
		},
	} {
		b.Run(name, func(b *testing.B) {
			raw, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			var listener net.Listener = raw
			if secure != nil {
				listener = tls.NewListener(raw, &tls.Config{Certificates: []tls.Certificate{own}, NextProtos: []string{"h2"}})
			}
			var protocols http.Protocols
			protocols.SetHTTP2(true)
			protocols.SetUnencryptedHTTP2(true)
			server := &http.Server{Protocols: &protocols, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				w.Header().Set("Content-Type", "application/grpc")
				w.Header().Set("Grpc-Status", "0")
			})}
			go server.Serve(listener)
			defer server.Close()
			f := New(Config{MaxMessageBytes: 1 << 20, PeerTLS: secure})
			defer f.Close()
			message := append([]byte{0, 0, 0, 4, 0}, make([]byte, 1024)...)
			for b.Loop() {
				body := BytesBody(message)
				stream, err := f.Open(b.Context(), Target{Address: raw.Addr().String(), Peer: true}, Head{Method: "s/m", Metadata: http.Header{}, ModelID: "m", Body: body})
				if err != nil {
					b.Fatal(err)
				}
				stream.Close()
				body.Close()
			}
		})
	}
}
