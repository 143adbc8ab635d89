package peerstest

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/memberlist"
)

// Host is what one host sees of the Network.
type Host struct {
	network *Network
	ip      string

	mu        sync.Mutex
	listeners map[string]*listener
	gossips   map[string]*Gossip
}

// Dial is a peers.Config's.
func (h *Host) Dial(ctx context.Context, address string) (net.Conn, error) {
	if self, _ := h.network.reach(h.ip, h.ip); self != h {
		return nil, fmt.Errorf("dial %s: %w", address, syscall.ENETUNREACH) // this host was killed
	}
	return h.network.dial(ctx, h.ip, address)
}

// Listen takes connections to this port of the host.
func (h *Host) Listen(port int) net.Listener {
	l := &listener{host: h, address: address(h.ip, port), conns: make(chan net.Conn, 128), done: make(chan struct{})}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.listeners[l.address.String()] = l
	return l
}

func (h *Host) accept(ctx context.Context, from, to string) (net.Conn, error) {
	h.mu.Lock()
	l, g := h.listeners[to], h.gossips[to]
	h.mu.Unlock()
	ours, theirs := h.network.connect(address(from, 40000), tcpAddress(to), from, h.ip)
	conns, done := chan net.Conn(nil), chan struct{}(nil)
	switch {
	case l != nil:
		conns, done = l.conns, l.done
	case g != nil:
		conns, done = g.streams, g.done
	}
	why := error(syscall.ECONNREFUSED)
	if conns != nil {
		select {
		case conns <- theirs:
			return ours, nil
		case <-done:
		case <-ctx.Done():
			why = ctx.Err()
		}
	}
	ours.Close()
	theirs.Close()
	return nil, fmt.Errorf("dial %s: %w", to, why)
}

func address(ip string, port int) *net.TCPAddr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: port} }

func tcpAddress(hostPort string) *net.TCPAddr {
	ip, port, _ := net.SplitHostPort(hostPort)
	number, _ := strconv.Atoi(port)
	return address(ip, number)
}

type listener struct {
	host    *Host
	address *net.TCPAddr
	conns   chan net.Conn
	done    chan struct{}
	once    sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *listener) Addr() net.Addr { return l.address }

func (l *listener) Close() error {
	l.once.Do(func() {
		close(l.done)
		l.host.mu.Lock()
		defer l.host.mu.Unlock()
		delete(l.host.listeners, l.address.String())
	})
	return nil
}

// Gossip is a memberlist.Transport.
type Gossip struct {
	host    *Host
	address *net.TCPAddr
	packets chan *memberlist.Packet
	streams chan net.Conn
	done    chan struct{}
	once    sync.Once
}

var _ memberlist.Transport = (*Gossip)(nil)

// Gossip takes gossip on this port of the host.
func (h *Host) Gossip(port int) *Gossip {
	g := &Gossip{
		host: h, address: address(h.ip, port), packets: make(chan *memberlist.Packet, 256), streams: make(chan net.Conn, 32),
		done: make(chan struct{}),
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.gossips[g.address.String()] = g
	return g
}

// FinalAdvertiseAddr implements memberlist.Transport.
func (g *Gossip) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return g.address.IP.To4(), g.address.Port, nil
}

// WriteTo implements memberlist.Transport. What cannot arrive is lost.
func (g *Gossip) WriteTo(b []byte, to string) (time.Time, error) {
	now := time.Now()
	ip, _, err := net.SplitHostPort(to)
	if err != nil {
		return now, err
	}
	h, held := g.host.network.reach(g.host.ip, ip)
	self, _ := g.host.network.reach(g.host.ip, g.host.ip)
	if h == nil || held || self != g.host {
		return now, nil
	}
	h.mu.Lock()
	target := h.gossips[to]
	h.mu.Unlock()
	if target == nil {
		return now, nil
	}
	select {
	case target.packets <- &memberlist.Packet{Buf: append([]byte(nil), b...), From: g.address, Timestamp: now}:
	default:
	}
	return now, nil
}

// PacketCh implements memberlist.Transport.
func (g *Gossip) PacketCh() <-chan *memberlist.Packet { return g.packets }

// DialTimeout implements memberlist.Transport.
func (g *Gossip) DialTimeout(to string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return g.host.Dial(ctx, to)
}

// StreamCh implements memberlist.Transport.
func (g *Gossip) StreamCh() <-chan net.Conn { return g.streams }

// Shutdown implements memberlist.Transport.
func (g *Gossip) Shutdown() error {
	g.once.Do(func() {
		close(g.done)
		g.host.mu.Lock()
		defer g.host.mu.Unlock()
		delete(g.host.gossips, g.address.String())
	})
	return nil
}
