package forward

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync/atomic"
)

// errNoHTTP2: whoever answers is no host of this mesh.
var errNoHTTP2 = errors.New("the server does not speak HTTP/2 over TLS")

// heardKey carries a conn's heard to the dialer.
type heardKey struct{}

// dialer makes the connections of one pool.
type dialer struct {
	network, endpoint string
	// secure is nil for plain text.
	secure *tls.Config
}

// connect is http.Transport's DialContext. TLS is made here, below what the transport takes for plain HTTP/2, so that the
// first byte that counts as heard is one that the server sent after it had taken this host's certificate: it refuses one
// only after our side of the handshake is done.
func (d dialer) connect(ctx context.Context, _, _ string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, d.network, d.endpoint)
	if err != nil {
		return nil, err
	}
	if d.secure != nil {
		secured := tls.Client(conn, d.secure)
		if err = secured.HandshakeContext(ctx); err == nil && secured.ConnectionState().NegotiatedProtocol == "" {
			err = errNoHTTP2
		}
		if err != nil {
			conn.Close()
			return nil, err
		}
		conn = secured
	}
	heard, _ := ctx.Value(heardKey{}).(*atomic.Bool)
	return &listeningConn{conn, heard}, nil
}

// listeningConn notes that the server has said something.
type listeningConn struct {
	net.Conn
	heard *atomic.Bool
}

func (c *listeningConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.heard.Store(true)
	}
	return n, err
}
