package forward

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxConns bounds the connections to one server. More than one, so that a burst on one does not hold up the rest;
	// few, because each costs the server a reader.
	maxConns = 4
	// streamsPerConn is the load at which another connection is opened.
	streamsPerConn = 64
	// dialTimeout is for a server on this machine or in this pod network.
	dialTimeout = 5 * time.Second
	// unsettledStreams is how many calls a connection gets before the server has said how many it takes. net/http would not
	// notice that it takes more for a call that waits for its turn, nor let any other by: one of a burst of requests that wait
	// for a load would hold up all that come after it.
	unsettledStreams = 100
	// streamWindow is what the server may send on one call ahead of the reader, plenty within a machine. connWindow is
	// large enough for a thousand callers that do not read at all without holding up the others.
	streamWindow = 64 << 10
	connWindow   = 1024 * streamWindow
	// peerPing: a peer that has said nothing for so long is asked whether it lives, and has as long to answer; then its
	// connections are broken. Who is in the mesh is found out faster, and elsewhere (package peers): this is for calls
	// that are under way when a peer goes silent.
	peerPing = 2 * time.Second
)

// errPoolClosed ends requests after Close.
var errPoolClosed = errors.New("the forwarder is closed")

// pool holds the connections to one address.
type pool struct {
	address string
	// peer: the server is another host, of the id host.
	peer      bool
	host      string
	transport *http.Transport

	mu    sync.Mutex
	conns []*conn
	// held are the calls that wait at a peer.
	held map[*hold]struct{}
	// hangUp ends the dial under way; nil when none is.
	hangUp context.CancelFunc
	closed bool
	// changed is closed, and replaced, when those that wait for a connection should look again.
	changed chan struct{}
}

// conn is one HTTP/2 connection. The fields are guarded by the pool's mu.
type conn struct {
	*http.ClientConn
	// heard is set by the server's first byte. Before it nobody has taken the connection: it stands in the kernel's
	// queue of a server that may be dead.
	heard *atomic.Bool
	calls int
	// settled is set when the server has said that it takes more than unsettledStreams.
	settled bool
	// retired is set when the connection takes no more calls; the last one closes it.
	retired bool
}

// newPool makes one without connections. peerTLS is Config.PeerTLS.
func newPool(target Target, peerTLS func(host string) *tls.Config) *pool {
	dial := dialer{network: "tcp", endpoint: target.Address}
	if path, ok := strings.CutPrefix(target.Address, "unix:"); ok {
		dial.network, dial.endpoint = "unix", strings.TrimPrefix(path, "//")
	}
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	settings := &http.HTTP2Config{MaxReceiveBufferPerConnection: connWindow, MaxReceiveBufferPerStream: streamWindow}
	if target.Peer {
		settings.SendPingTimeout, settings.PingTimeout = peerPing, peerPing
		if peerTLS != nil {
			dial.secure = peerTLS(target.Host)
		}
	}
	return &pool{
		address: target.Address,
		peer:    target.Peer,
		host:    target.Host,
		held:    make(map[*hold]struct{}),
		changed: make(chan struct{}),
		transport: &http.Transport{
			Protocols:          &protocols,
			DisableCompression: true,
			HTTP2:              settings,
			// The request's deadline bounds how long it waits for a peer to ask for its body.
			ExpectContinueTimeout: math.MaxInt64,
			DialContext:           dial.connect,
		},
	}
}

// take returns a connection for one call, to be given back with give. The least busy one is taken; a new one is
// dialled when all are busy and there is room.
func (p *pool) take(ctx context.Context) (*conn, error) {
	for {
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			return nil, errPoolClosed
		}
		best := p.leastBusy()
		mayDial := p.hangUp == nil && len(p.conns) < maxConns
		if best != nil && (best.calls < streamsPerConn || !mayDial) {
			best.calls++
			p.mu.Unlock()
			return best, nil
		}
		if mayDial {
			dialing, cancel := context.WithTimeout(ctx, dialTimeout)
			p.hangUp = cancel
			p.mu.Unlock()
			return p.dial(dialing)
		}
		changed := p.changed
		p.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// leastBusy forgets connections that are closed and returns the one with the fewest calls that takes another, or nil.
func (p *pool) leastBusy() (best *conn) {
	p.conns = slices.DeleteFunc(p.conns, func(c *conn) bool { return c.Err() != nil })
	for _, c := range p.conns {
		if (c.settled || c.calls < unsettledStreams) && (best == nil || c.calls < best.calls) {
			best = c
		}
	}
	return best
}

// wake has those that wait for a connection look again. p.mu is held.
func (p *pool) wake() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// dial opens a connection for the caller, who has set p.hangUp.
func (p *pool) dial(ctx context.Context) (*conn, error) {
	heard := new(atomic.Bool)
	// The transport wants a host and port; DialContext knows better.
	client, err := p.transport.NewClientConn(context.WithValue(ctx, heardKey{}, heard), "http", "model-server:80")
	c := &conn{ClientConn: client, heard: heard, calls: 1}
	if err = p.dialled(c, err); err != nil {
		return nil, err
	}
	client.SetStateHook(func(*http.ClientConn) { p.settle(c) })
	return c, nil
}

// dialled takes the connection in, unless err says that there is none.
func (p *pool) dialled(c *conn, err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hangUp()
	p.hangUp = nil
	p.wake()
	if err != nil {
		return fmt.Errorf("connect to %s: %w", p.address, err)
	}
	if p.closed {
		c.Close()
		return errPoolClosed
	}
	p.conns = append(p.conns, c)
	return nil
}

// settle looks whether the server has said how many calls it takes, on every change of the connection until it has.
func (p *pool) settle(c *conn) {
	if c.Available() <= unsettledStreams {
		return
	}
	c.SetStateHook(nil)
	p.mu.Lock()
	defer p.mu.Unlock()
	c.settled = true
	p.wake()
}

// give returns a connection after a call.
func (p *pool) give(c *conn) {
	p.mu.Lock()
	c.calls--
	last := c.retired && c.calls == 0
	if c.calls == unsettledStreams-1 && !c.settled {
		p.wake()
	}
	p.mu.Unlock()
	if last {
		c.Close()
	}
}

// retire takes c out of the pool; its calls go on.
func (p *pool) retire(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.retired = true
	p.conns = slices.DeleteFunc(p.conns, func(other *conn) bool { return other == c })
}

// keep has forget break off a call that waits at the peer. False: the peer is forgotten already.
func (p *pool) keep(h *hold) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.held[h] = struct{}{}
	return true
}

func (p *pool) drop(h *hold) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.held, h)
}

// forget takes no more calls, ends those that wait, and closes connections as they become idle.
func (p *pool) forget() {
	p.mu.Lock()
	p.closed = true
	var idle []*conn
	for _, c := range p.conns {
		c.retired = true
		if c.calls == 0 {
			idle = append(idle, c)
		}
	}
	p.conns = nil
	p.wake()
	if p.hangUp != nil {
		p.hangUp()
	}
	for h := range p.held {
		h.breakOff()
	}
	p.mu.Unlock()
	for _, c := range idle {
		c.Close()
	}
}

// idle reports whether no call and no dial is under way.
func (p *pool) idle() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	busy := slices.ContainsFunc(p.conns, func(c *conn) bool { return c.calls > 0 })
	return !busy && p.hangUp == nil
}

// close ends every connection; calls on them are interrupted.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	conns := p.conns
	p.conns = nil
	p.wake()
	p.mu.Unlock()
	for _, c := range conns {
		c.Close()
	}
}
