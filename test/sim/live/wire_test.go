package live

import (
	"context"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/wasmesh/wasmesh/host/peers/peerstest"
)

// weather is what the network does to everybody beyond cuts: how much gossip is lost, and how slow hosts' lines are.
type weather struct {
	mu   sync.Mutex // guards below
	loss float64
	slow map[string]time.Duration // by IP address
	dice *rand.Rand
}

func (w *weather) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

func (w *weather) loses() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.loss > 0 && w.dice.Float64() < w.loss
}

func (w *weather) delay(a, b string) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return max(w.slow[a], w.slow[b])
}

// lossy is gossip of which some is dropped.
type lossy struct {
	*peerstest.Gossip
	weather *weather
}

var _ memberlist.Transport = (*lossy)(nil)

// WriteTo implements memberlist.Transport.
func (l *lossy) WriteTo(b []byte, to string) (time.Time, error) {
	if l.weather.loses() {
		return time.Now(), nil
	}
	return l.Gossip.WriteTo(b, to)
}

// slowConn has what comes arrive later, while one of its ends is slow. It is the reader who waits: writers hold locks, for
// which others would wait in a way that a bubble does not take for waiting.
type slowConn struct {
	net.Conn
	weather *weather
	a, b    string
}

// Read implements net.Conn.
func (c *slowConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if d := c.weather.delay(c.a, c.b); d > 0 {
		time.Sleep(d)
	}
	return n, err
}

// slowListener is the other end of a dialer.
type slowListener struct {
	net.Listener
	weather *weather
}

// Accept implements net.Listener.
func (l *slowListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &slowConn{conn, l.weather, ipOf(conn.LocalAddr().String()), ipOf(conn.RemoteAddr().String())}, nil
}

func ipOf(address string) string {
	ip, _, _ := net.SplitHostPort(address) // of addresses that peerstest made
	return ip
}

// dialer makes connections from this host, for calls and requests to peers.
func (w *weather) dialer(from string, dial func(context.Context, string) (net.Conn, error)) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, address string) (net.Conn, error) {
		conn, err := dial(ctx, address)
		if err != nil {
			return nil, err
		}
		return &slowConn{conn, w, from, ipOf(address)}, nil
	}
}
