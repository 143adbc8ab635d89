package portforward

import (
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"k8s.io/client-go/tools/portforward"
	"k8s.io/streaming/pkg/httpstream"
)

const (
	// maxChunk is how much one frame takes: as much as kubectl sends at once. SPDY has no larger ones than 16 MiB.
	maxChunk = 32 << 10
	// maxComplaint bounds what is kept of the kubelet's error.
	maxComplaint = 4 << 10
)

// conn is a connection to a port of a pod, alone on its connection to the API server.
type conn struct {
	pod        Pod
	connection httpstream.Connection
	data       httpstream.Stream
	// end is why nothing more comes, asked once data has ended.
	end func() error
}

func wrap(connection httpstream.Connection, failure, data httpstream.Stream, pod Pod) *conn {
	return &conn{pod: pod, connection: connection, data: data, end: sync.OnceValue(func() error {
		_ = data.Reset() // A kubelet ends the stream of errors when both directions of this one have ended.
		complaint, err := io.ReadAll(io.LimitReader(failure, maxComplaint))
		switch {
		case err != nil:
			return fmt.Errorf("read from %v: %w", pod, err)
		case len(complaint) > 0:
			return fmt.Errorf("read from %v: %s", pod, complaint)
		}
		select {
		case <-connection.CloseChan():
			return fmt.Errorf("read from %v: %w", pod, portforward.ErrLostConnectionToPod)
		default:
			return io.EOF
		}
	})}
}

// Read implements net.Conn. An end comes with what the kubelet complained of, if it did.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.data.Read(p)
	if err == io.EOF {
		return n, c.end()
	}
	return n, err
}

// Write implements net.Conn.
func (c *conn) Write(p []byte) (n int, err error) {
	for chunk := range slices.Chunk(p, maxChunk) {
		written, err := c.data.Write(chunk)
		n += written
		if err != nil {
			return n, fmt.Errorf("write to %v: %w", c.pod, err)
		}
	}
	return n, nil
}

// Close implements net.Conn. A Read that waits ends.
func (c *conn) Close() error { return c.connection.Close() }

// LocalAddr implements net.Conn.
func (c *conn) LocalAddr() net.Addr { return addr("local") }

// RemoteAddr implements net.Conn.
func (c *conn) RemoteAddr() net.Addr {
	return addr(fmt.Sprintf("%s.%s:%d", c.pod.Name, c.pod.Namespace, c.pod.Port))
}

// SetDeadline implements net.Conn: there is none, since a stream has none. Callers bound what they do by a context, and
// close.
func (c *conn) SetDeadline(time.Time) error { return os.ErrNoDeadline }

// SetReadDeadline implements net.Conn.
func (c *conn) SetReadDeadline(time.Time) error { return os.ErrNoDeadline }

// SetWriteDeadline implements net.Conn.
func (c *conn) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }

// addr names an end of a connection.
type addr string

// Network implements net.Addr.
func (addr) Network() string { return "portforward" }

// String implements net.Addr.
func (a addr) String() string { return string(a) }
