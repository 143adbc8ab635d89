// Package peerstest is a network in memory, for tests of hosts that talk to each other, also within testing/synctest: it
// waits in no way that a bubble does not know, never on a real clock or socket. Between any two hosts it can be cut, so
// that everything is silently held up or lost, and a host can be killed, so that its connections are reset.
//
// It takes memberlist's place of sockets with channels that drop what does not fit: memberlist's own transport for tests
// blocks, and two hosts that send to each other then wait for ever.
package peerstest

import (
	"context"
	"fmt"
	"net"
	"sync"
	"syscall"
)

// Network connects hosts by IP address.
type Network struct {
	mu    sync.Mutex
	hosts map[string]*Host
	cuts  map[[2]string]bool
	pipes map[*pipe]struct{}
}

// NewNetwork makes one without hosts.
func NewNetwork() *Network {
	return &Network{hosts: map[string]*Host{}, cuts: map[[2]string]bool{}, pipes: map[*pipe]struct{}{}}
}

func pair(a, b string) [2]string {
	if a > b {
		a, b = b, a
	}
	return [2]string{a, b}
}

// Host answers the one at this IP address, which is there from now on, and again when it was killed.
func (n *Network) Host(ip string) *Host {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := &Host{network: n, ip: ip, listeners: map[string]*listener{}, gossips: map[string]*Gossip{}}
	n.hosts[ip] = h
	return h
}

// Cut holds up what goes between two hosts, in silence: connections stand, and nothing arrives.
func (n *Network) Cut(a, b string) { n.setCut(a, b, true) }

// Heal ends a Cut. What was held up on connections arrives; packets are lost.
func (n *Network) Heal(a, b string) { n.setCut(a, b, false) }

func (n *Network) setCut(a, b string, cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cuts[pair(a, b)] == cut {
		return
	}
	if cut {
		n.cuts[pair(a, b)] = true
	} else {
		delete(n.cuts, pair(a, b))
	}
	for p := range n.pipes {
		if p.ends == pair(a, b) {
			p.hold(cut)
		}
	}
}

// Split cuts every host of one side from every one of the other.
func (n *Network) Split(one, other []string) {
	for _, a := range one {
		for _, b := range other {
			n.Cut(a, b)
		}
	}
}

// HealAll ends all cuts.
func (n *Network) HealAll() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.cuts)
	for p := range n.pipes {
		p.hold(false)
	}
}

// Kill resets all connections of a host and has nobody answer there.
func (n *Network) Kill(ip string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if h := n.hosts[ip]; h != nil {
		delete(n.hosts, ip)
	}
	for p := range n.pipes {
		if p.ends[0] == ip || p.ends[1] == ip {
			p.fail(syscall.ECONNRESET)
			delete(n.pipes, p)
		}
	}
}

// reach answers the host, nil for one that is not there; held: nothing arrives there now.
func (n *Network) reach(from, to string) (h *Host, held bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.hosts[to], n.cuts[pair(from, to)]
}

// dial connects to a listener, unless the way is cut: then it waits for ctx.
func (n *Network) dial(ctx context.Context, from, address string) (net.Conn, error) {
	ip, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	h, held := n.reach(from, ip)
	if held {
		<-ctx.Done()
		return nil, fmt.Errorf("dial %s: %w", address, ctx.Err())
	}
	if h == nil {
		return nil, fmt.Errorf("dial %s: %w", address, syscall.ECONNREFUSED)
	}
	return h.accept(ctx, from, address)
}

// connect makes a connection, and remembers it for cuts.
func (n *Network) connect(from, to net.Addr, a, b string) (net.Conn, net.Conn) {
	p := newPipe(pair(a, b))
	n.mu.Lock()
	defer n.mu.Unlock()
	n.pipes[p] = struct{}{}
	p.gone = func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.pipes, p)
	}
	p.hold(n.cuts[p.ends])
	return &conn{pipe: p, in: p.b, out: p.a, local: from, remote: to}, &conn{pipe: p, in: p.a, out: p.b, local: to, remote: from}
}
