package gossip

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	// streamTimeout bounds every exchange of lists: a LAN's, with room for a busy machine.
	streamTimeout = 2 * time.Second
	// maxStreams are inspected at once; more wait in the listener's queue. memberlist itself takes 128.
	maxStreams = 32
	// packetQueue is what waits for memberlist; beyond it packets are lost, as they may be anywhere.
	packetQueue = 256
)

// Direction of traffic.
const (
	In  = "in"
	Out = "out"
)

// guard is a transport that lets only well formed messages of this mesh through to memberlist, and counts.
type guard struct {
	inner     memberlist.Transport
	inspector *inspector
	refused   func(error)
	traffic   func(direction string, bytes int)

	packets chan *memberlist.Packet
	streams chan net.Conn
	slots   chan struct{}
	stop    chan struct{}
	once    sync.Once
	wg      sync.WaitGroup
}

var _ memberlist.Transport = (*guard)(nil)

func newGuard(inner memberlist.Transport, in *inspector, refused func(error), traffic func(string, int)) *guard {
	g := &guard{
		inner: inner, inspector: in, refused: refused, traffic: traffic,
		packets: make(chan *memberlist.Packet, packetQueue), streams: make(chan net.Conn),
		slots: make(chan struct{}, maxStreams), stop: make(chan struct{}),
	}
	g.wg.Go(g.forwardPackets)
	g.wg.Go(g.forwardStreams)
	return g
}

func (g *guard) forwardPackets() {
	for {
		select {
		case packet := <-g.inner.PacketCh():
			g.traffic(In, len(packet.Buf))
			if err := g.inspector.packet(packet.Buf); err != nil {
				g.refused(err)
				continue
			}
			select {
			case g.packets <- packet:
			default:
			}
		case <-g.stop:
			return
		}
	}
}

func (g *guard) forwardStreams() {
	for {
		select {
		case g.slots <- struct{}{}:
		case <-g.stop:
			return
		}
		select {
		case conn := <-g.inner.StreamCh():
			g.wg.Go(func() {
				defer func() { <-g.slots }()
				g.admit(conn)
			})
		case <-g.stop:
			return
		}
	}
}

// admit reads the one message with which a stream begins, and hands the stream on with it.
func (g *guard) admit(conn net.Conn) {
	// What does not end by itself ends with the guard.
	done := make(chan struct{})
	defer close(done)
	g.wg.Go(func() {
		select {
		case <-g.stop:
			conn.Close()
		case <-done:
		}
	})
	counted := &countedConn{Conn: conn, traffic: g.traffic}
	admitted, err := g.first(counted)
	if err != nil {
		conn.Close()
		if err != io.EOF {
			g.refused(err)
		}
		return
	}
	select {
	case g.streams <- admitted:
	case <-g.stop:
		conn.Close()
	}
}

func (g *guard) first(conn net.Conn) (net.Conn, error) {
	if err := conn.SetDeadline(time.Now().Add(streamTimeout)); err != nil {
		return nil, err
	}
	header, err := g.inspector.labelOf(conn)
	if err != nil {
		return nil, err
	}
	message, err := g.inspector.message(conn)
	if err != nil {
		return nil, err
	}
	return &admittedConn{Conn: conn, rest: bytes.NewReader(append(header, message...))}, nil
}

// FinalAdvertiseAddr implements memberlist.Transport.
func (g *guard) FinalAdvertiseAddr(ip string, port int) (net.IP, int, error) {
	return g.inner.FinalAdvertiseAddr(ip, port)
}

// WriteTo implements memberlist.Transport.
func (g *guard) WriteTo(b []byte, address string) (time.Time, error) {
	g.traffic(Out, len(b))
	return g.inner.WriteTo(b, address)
}

// PacketCh implements memberlist.Transport.
func (g *guard) PacketCh() <-chan *memberlist.Packet { return g.packets }

// StreamCh implements memberlist.Transport.
func (g *guard) StreamCh() <-chan net.Conn { return g.streams }

// DialTimeout implements memberlist.Transport.
func (g *guard) DialTimeout(address string, timeout time.Duration) (net.Conn, error) {
	conn, err := g.inner.DialTimeout(address, min(timeout, streamTimeout))
	if err != nil {
		return nil, err
	}
	return &answeredConn{Conn: &countedConn{Conn: conn, traffic: g.traffic}, guard: g}, nil
}

// Shutdown implements memberlist.Transport.
func (g *guard) Shutdown() error {
	var err error
	g.once.Do(func() {
		err = g.inner.Shutdown()
		close(g.stop)
		g.wg.Wait()
	})
	return err
}

// countedConn counts what passes.
type countedConn struct {
	net.Conn
	traffic func(string, int)
}

func (c *countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.traffic(In, n)
	return n, err
}

func (c *countedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.traffic(Out, n)
	return n, err
}

// admittedConn is a stream of which nothing is read but what was inspected.
type admittedConn struct {
	net.Conn
	rest *bytes.Reader
}

func (c *admittedConn) Read(b []byte) (int, error) { return c.rest.Read(b) }

// answeredConn is a stream of ours, of which nothing is read but one answer that is well formed.
type answeredConn struct {
	net.Conn
	guard *guard
	rest  *bytes.Reader
}

func (c *answeredConn) Read(b []byte) (int, error) {
	if c.rest == nil {
		message, err := c.guard.inspector.message(c.Conn)
		if err != nil {
			c.guard.refused(err)
			return 0, err
		}
		c.rest = bytes.NewReader(message)
	}
	return c.rest.Read(b)
}

// refusalOf answers why, and false for what went wrong by itself: a connection that broke.
func refusalOf(err error) (Refusal, bool) {
	var r *refusal
	if errors.As(err, &r) {
		return r.reason, true
	}
	return "", false
}
