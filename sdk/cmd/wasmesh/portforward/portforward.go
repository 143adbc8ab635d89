// Package portforward opens connections to ports inside pods, through the API server, as `kubectl port-forward` does. The
// command line reaches the controller and the hosts of a cluster with it; nothing listens on this machine.
//
// The protocol is client-go's: SPDY in a WebSocket, and SPDY alone where the API server, or a proxy before it, has no
// WebSocket for it, or where the caller's role has the verb create on pods/portforward but not get. Here is what client-go
// leaves to its callers: a pair of streams as a net.Conn, and a context for the opening.
//
// Whoever opened a connection owns it and closes it. The requests carry the credentials of the rest.Config, whatever they
// are, and go through its proxy.
package portforward

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"
)

// openTimeout bounds what ctx does not: a TLS handshake and two hops, on a network that is far away, take less.
const openTimeout = 30 * time.Second

// Pod is a port of one pod.
type Pod struct {
	Namespace, Name string
	// Port that a container listens on, also when only on its loopback.
	Port int32
}

// String is for messages.
func (p Pod) String() string { return fmt.Sprintf("port %d of pod %s/%s", p.Port, p.Namespace, p.Name) }

// Dial opens one connection. ctx bounds the opening only. The error wraps an *errors.StatusError of apimachinery when the
// API server refused; that nobody listens on the port shows in the first Read, with what the kubelet says of it.
func Dial(ctx context.Context, config *rest.Config, pod Pod) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	type result struct {
		conn *conn
		err  error
	}
	opened := make(chan result)
	// client-go does not look at a context once it has connected, so whoever gives up leaves this behind: it ends with the
	// time that its connection and its streams may take.
	go func() {
		conn, err := open(ctx, config, pod)
		select {
		case opened <- result{conn, err}:
		case <-ctx.Done():
			if err == nil {
				_ = conn.Close() // Nobody wants it any more.
			}
		}
	}()
	var err error
	select {
	case r := <-opened:
		if r.err == nil {
			return r.conn, nil
		}
		err = r.err
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	return nil, fmt.Errorf("open %v: %w", pod, err)
}

func open(ctx context.Context, config *rest.Config, pod Pod) (*conn, error) {
	connection, err := connect(ctx, config, pod)
	if err != nil {
		return nil, err
	}
	c, err := newConn(connection, pod)
	if err != nil {
		_ = connection.Close() // The error is why.
		return nil, err
	}
	return c, nil
}

// connect is what kubectl does: a WebSocket, and SPDY when there is none to be had.
func connect(ctx context.Context, config *rest.Config, pod Pod) (httpstream.Connection, error) {
	config = rest.CopyConfig(config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return bounded{ctx, next} })
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, err
	}
	target := base.JoinPath("api", "v1", "namespaces", pod.Namespace, "pods", pod.Name, "portforward")
	tunnel, err := portforward.NewSPDYOverWebsocketDialerForStreaming(target, config)
	if err != nil {
		return nil, err
	}
	transport, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		return nil, err
	}
	plain := spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: transport}, http.MethodPost, target)
	var refusal error // of the WebSocket
	connection, protocol, err := portforward.NewFallbackDialerForStreaming(tunnel, plain, func(err error) bool {
		if failure, ok := errors.AsType[*httpstream.UpgradeFailureError](err); ok {
			refusal = failure.Cause
		}
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	}).Dial(portforward.PortForwardProtocolV1Name)
	if err != nil {
		// The dialer of SPDY keeps a Status's message only.
		if status, ok := errors.AsType[*apierrors.StatusError](refusal); ok {
			err = status
		}
		return nil, err
	}
	if protocol != portforward.PortForwardProtocolV1Name {
		_ = connection.Close() // The error is why.
		return nil, fmt.Errorf("the API server speaks %q, not %s", protocol, portforward.PortForwardProtocolV1Name)
	}
	return connection, nil
}

// bounded gives requests the context that client-go's dialers do not take.
type bounded struct {
	ctx  context.Context
	next http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	return b.next.RoundTrip(r.WithContext(b.ctx))
}

// newConn opens the pair of streams that is a connection.
func newConn(connection httpstream.Connection, pod Pod) (*conn, error) {
	stream := func(kind string) (httpstream.Stream, error) {
		return connection.CreateStream(http.Header{
			corev1.StreamType: {kind}, corev1.PortHeader: {strconv.Itoa(int(pod.Port))}, corev1.PortForwardRequestIDHeader: {"0"},
		})
	}
	failure, err := stream(corev1.StreamTypeError)
	if err != nil {
		return nil, err
	}
	if err := failure.Close(); err != nil { // Only the kubelet writes to it.
		return nil, err
	}
	data, err := stream(corev1.StreamTypeData)
	if err != nil {
		return nil, err
	}
	return wrap(connection, failure, data, pod), nil
}
