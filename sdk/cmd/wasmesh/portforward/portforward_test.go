package portforward_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	kubectl "k8s.io/client-go/tools/portforward"

	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/portforward"
	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/portforward/portforwardtest"
)

var pod = portforward.Pod{Namespace: "models", Name: "a-0", Port: 11882}

// apiServer is the subresource over TLS, for whoever has the token.
type apiServer struct {
	dial func(portforward.Pod) (net.Conn, error)
	// refuses answers a request instead, when it answers true.
	refuses func(http.ResponseWriter, *http.Request) bool
	// hijacked gets the connections that are forwarded on; may be nil.
	hijacked chan net.Conn
}

// start answers how to reach it.
func (s apiServer) start(t *testing.T) *rest.Config {
	t.Helper()
	mux := http.NewServeMux()
	handler := portforwardtest.Handler(s.dial)
	mux.HandleFunc(portforwardtest.Pattern, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			forbid(w)
		} else if s.refuses == nil || !s.refuses(w, r) {
			handler.ServeHTTP(w, r)
		}
	})
	server := httptest.NewUnstartedServer(mux)
	server.EnableHTTP2 = true // as API servers have it
	server.Config.ConnState = func(c net.Conn, state http.ConnState) {
		if state == http.StateHijacked && s.hijacked != nil {
			s.hijacked <- c
		}
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	return &rest.Config{Host: server.URL, BearerToken: "secret", TLSClientConfig: rest.TLSClientConfig{Insecure: true}}
}

func forbid(w http.ResponseWriter) {
	w.WriteHeader(http.StatusForbidden)
	io.WriteString(w, `{"apiVersion":"v1","kind":"Status","status":"Failure","reason":"Forbidden","code":403,"message":"pods \"a-0\" is forbidden"}`)
}

func isWebSocket(r *http.Request) bool { return r.Header.Get("Upgrade") == "websocket" }

// ways to a pod, by what the API server refuses.
var ways = map[string]func(http.ResponseWriter, *http.Request) bool{
	"WebSocket": func(w http.ResponseWriter, r *http.Request) bool {
		if !isWebSocket(r) {
			forbid(w)
		}
		return !isWebSocket(r)
	},
	"no WebSockets": func(w http.ResponseWriter, r *http.Request) bool {
		if isWebSocket(r) {
			http.Error(w, "unknown protocol", http.StatusBadRequest)
		}
		return isWebSocket(r)
	},
	"a role with create only": func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodGet {
			forbid(w)
		}
		return r.Method == http.MethodGet
	},
}

// pipe answers connections whose other end is served by a goroutine.
func pipe(serve func(net.Conn)) func(portforward.Pod) (net.Conn, error) {
	return func(portforward.Pod) (net.Conn, error) {
		near, far := net.Pipe()
		go func() {
			defer far.Close()
			serve(far)
		}()
		return near, nil
	}
}

func echo(c net.Conn) { _, _ = io.Copy(c, c) }

func dial(t *testing.T, config *rest.Config) net.Conn {
	t.Helper()
	conn, err := portforward.Dial(t.Context(), config, pod)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestBytesArriveAsTheyWereSent(t *testing.T) {
	for name, refuses := range ways {
		t.Run(name, func(t *testing.T) {
			asked := make(chan portforward.Pod, 1)
			conn := dial(t, apiServer{refuses: refuses, dial: func(p portforward.Pod) (net.Conn, error) {
				asked <- p
				return pipe(echo)(p)
			}}.start(t))
			if got := <-asked; got != pod {
				t.Errorf("forwarded to %v", got)
			}
			sent := make([]byte, 100<<10)
			_, _ = rand.Read(sent)
			written := make(chan error, 1)
			go func() {
				_, err := conn.Write(sent[:1])
				if err == nil {
					_, err = conn.Write(sent[1:])
				}
				written <- err
			}()
			got := make([]byte, len(sent))
			if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, sent) {
				t.Errorf("error %v, equal %v", err, bytes.Equal(got, sent))
			}
			if err := <-written; err != nil {
				t.Error(err)
			}
			if err := conn.Close(); err != nil {
				t.Error(err)
			}
			if _, err := conn.Read(got); err == nil {
				t.Error("it reads after it was closed")
			}
		})
	}
}

// SPDY has no frame of more than 16 MiB, but a caller may write more in one piece.
func TestOneLongWrite(t *testing.T) {
	const long = 1<<24 + 1
	received := make(chan int64, 1)
	conn := dial(t, apiServer{dial: pipe(func(c net.Conn) {
		n, _ := io.CopyN(io.Discard, c, long)
		received <- n
	})}.start(t))
	if n, err := conn.Write(make([]byte, long)); n != long || err != nil {
		t.Fatalf("%d bytes were written, error %v", n, err)
	}
	if n := <-received; n != long {
		t.Errorf("%d bytes arrived", n)
	}
}

// What the pod ends, ends here.
func TestEndOfThePod(t *testing.T) {
	conn := dial(t, apiServer{dial: pipe(func(c net.Conn) { _, _ = io.WriteString(c, "bye") })}.start(t))
	if all, err := io.ReadAll(conn); err != nil || string(all) != "bye" {
		t.Errorf("%q, error %v", all, err)
	}
}

// A connection that breaks on the way is not taken for one that the pod ended.
func TestLost(t *testing.T) {
	for name, refuses := range ways {
		t.Run(name, func(t *testing.T) {
			s := apiServer{dial: pipe(echo), refuses: refuses, hijacked: make(chan net.Conn, 1)}
			conn := dial(t, s.start(t))
			if err := (<-s.hijacked).Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, kubectl.ErrLostConnectionToPod) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// Close ends a Read that waits, although there are no deadlines.
func TestCloseEndsARead(t *testing.T) {
	conn := dial(t, apiServer{dial: pipe(func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })}.start(t))
	ended := make(chan error, 1)
	go func() {
		_, err := conn.Read(make([]byte, 1))
		ended <- err
	}()
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil {
		t.Error("nothing was sent, and a byte was read")
	}
}

// A kubelet says on the stream of errors that nobody listens; every Read answers it.
func TestNobodyListens(t *testing.T) {
	for name, refuses := range ways {
		t.Run(name, func(t *testing.T) {
			conn := dial(t, apiServer{refuses: refuses, dial: func(portforward.Pod) (net.Conn, error) {
				return nil, errors.New("connection refused")
			}}.start(t))
			for range 2 {
				if _, err := conn.Read(make([]byte, 1)); err == nil || err.Error() != "read from port 11882 of pod models/a-0: connection refused" {
					t.Errorf("error %v", err)
				}
			}
		})
	}
}

func TestRefused(t *testing.T) {
	config := apiServer{}.start(t)
	config.BearerToken = "another"
	_, err := portforward.Dial(t.Context(), config, pod)
	if !apierrors.IsForbidden(err) || err.Error() != `open port 11882 of pod models/a-0: pods "a-0" is forbidden` {
		t.Errorf("error %v", err)
	}
}

// What is no API server is not taken for one, and what it says is passed on.
func TestOtherServers(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }))
	defer server.Close()
	_, err := portforward.Dial(t.Context(), &rest.Config{Host: server.URL}, pod)
	if err == nil || !strings.Contains(err.Error(), "hello") || !strings.Contains(err.Error(), "models/a-0") {
		t.Errorf("error %v", err)
	}
}

// The context bounds the opening, and nothing afterwards.
func TestContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	conn, err := portforward.Dial(ctx, apiServer{dial: pipe(echo)}.start(t), pod)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	cancel()
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		t.Error(err)
	}
}

// A server that never answers holds up nobody longer than the context does.
func TestSilence(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	config := &rest.Config{Host: "http://" + silent.Addr().String()}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = portforward.Dial(ctx, config, pod)
	if timeout, ok := errors.AsType[net.Error](err); !ok || !timeout.Timeout() {
		t.Errorf("error %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	if _, err := portforward.Dial(ctx, config, pod); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
