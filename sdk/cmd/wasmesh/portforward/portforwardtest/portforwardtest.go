// Package portforwardtest is the pods/portforward subresource as an API server and a kubelet serve it together, for tests
// of whatever reaches pods: SPDY in a WebSocket, and SPDY alone.
package portforwardtest

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"

	"golang.org/x/net/websocket"
	corev1 "k8s.io/api/core/v1"
	constants "k8s.io/apimachinery/pkg/util/portforward"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"

	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/portforward"
)

// Patterns are where an http.ServeMux has the subresource: at an API server, and at a kubelet behind one.
const (
	Pattern        = "/api/v1/namespaces/{namespace}/pods/{name}/portforward"
	KubeletPattern = "/portForward/{namespace}/{name}"
)

// streamsWaiting is more than a client opens at once: the two of a connection.
const streamsWaiting = 2

// Handler serves the subresource: what comes for a pod's port goes to the connection that dial opens. It has to be served
// at one of the patterns.
func Handler(dial func(portforward.Pod) (net.Conn, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k := &kubelet{
			streams: make(chan opened, streamsWaiting), dial: dial,
			pod: portforward.Pod{Namespace: r.PathValue("namespace"), Name: r.PathValue("name")},
		}
		if r.Header.Get("Upgrade") == "websocket" {
			websocket.Server{Handshake: handshake, Handler: k.tunnel}.ServeHTTP(w, r)
			return
		}
		if _, err := httpstream.Handshake(r, w, []string{constants.PortForwardV1Name}); err != nil {
			return // It has been answered.
		}
		if connection := spdy.NewResponseUpgrader().UpgradeResponse(w, r, k.accept); connection != nil {
			k.serve(connection)
		}
	})
}

func handshake(config *websocket.Config, _ *http.Request) error {
	if !slices.Contains(config.Protocol, constants.WebsocketsSPDYTunnelingPortForwardV1) {
		return fmt.Errorf("protocols %v: want %s", config.Protocol, constants.WebsocketsSPDYTunnelingPortForwardV1)
	}
	config.Protocol = []string{constants.WebsocketsSPDYTunnelingPortForwardV1}
	return nil
}

// kubelet serves one connection.
type kubelet struct {
	streams chan opened
	dial    func(portforward.Pod) (net.Conn, error)
	pod     portforward.Pod
}

// opened is a stream that the client has asked for. It has it once replied is closed, and until then could not be told of
// its end.
type opened struct {
	httpstream.Stream
	replied <-chan struct{}
}

func (k *kubelet) accept(stream httpstream.Stream, replied <-chan struct{}) error {
	k.streams <- opened{stream, replied}
	return nil
}

func (k *kubelet) tunnel(ws *websocket.Conn) {
	ws.PayloadType = websocket.BinaryFrame
	connection, err := spdy.NewServerConnection(ws, k.accept)
	if err != nil {
		return // The client sees the end.
	}
	k.serve(connection)
}

// serve until the client leaves. A client opens the stream of errors first, then that of the data.
func (k *kubelet) serve(connection httpstream.Connection) {
	var forwarding sync.WaitGroup
	defer forwarding.Wait()
	defer func() { _ = connection.Close() }()
	var failure httpstream.Stream
	for {
		select {
		case <-connection.CloseChan():
			return
		case stream := <-k.streams:
			if stream.Headers().Get(corev1.StreamType) == corev1.StreamTypeError {
				failure = stream.Stream
				continue
			}
			of := failure
			forwarding.Go(func() {
				<-stream.replied
				if err := k.forward(stream.Stream); err != nil {
					_, _ = io.WriteString(of, err.Error()) // The client may have gone.
				}
				_ = of.Reset()
				_ = stream.Reset()
			})
		}
	}
}

// forward the data until one side ends.
func (k *kubelet) forward(data httpstream.Stream) error {
	port, err := strconv.ParseInt(data.Headers().Get(corev1.PortHeader), 10, 32)
	if err != nil {
		return err
	}
	pod := k.pod
	pod.Port = int32(port)
	target, err := k.dial(pod)
	if err != nil {
		return err
	}
	var copying sync.WaitGroup
	copying.Go(func() {
		_, _ = io.Copy(target, data)
		_ = target.Close()
	})
	_, _ = io.Copy(data, target)
	_ = data.Reset()
	copying.Wait()
	return nil
}
