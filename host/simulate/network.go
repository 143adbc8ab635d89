package simulate

import (
	"errors"
	"time"
)

// Delays of the network.
const (
	// wireLeast and wireMost bound what a message takes one way, and lateMost what one in lateOnceIn takes.
	wireLeast  = 100 * time.Microsecond
	wireMost   = time.Millisecond
	lateMost   = 30 * time.Millisecond
	lateOnceIn = 100
	// silence is how long nothing comes through before a connection is taken for dead: two beats.
	silence = time.Second
	// dialPause is the pause between two attempts to reach a host, and dialTimeout the end of one.
	dialPause   = 500 * time.Millisecond
	dialTimeout = time.Second
)

// errLost ends the calls of a connection that broke.
var errLost = errors.New("the connection to the host was lost")

// wire is one direction between two hosts. What goes over it arrives in order.
type wire struct {
	dice dice
	// cuts in force; while there are any, messages wait in held.
	cuts int
	held []func()
	// last is when the message before arrives.
	last time.Duration
	// lose is how many residency messages are to be lost.
	lose int
}

// wire is the way from one host to another.
func (n *network) wire(from, to *host) *wire { return &n.wires[from.index][to.index] }

// network is the wires between all pairs of hosts, by index.
type network struct {
	clock *clock
	hosts []*host
	wires [][]wire
}

func newNetwork(c *clock, seed uint64, hosts []*host) network {
	n := network{clock: c, hosts: hosts, wires: make([][]wire, len(hosts))}
	for i, from := range hosts {
		n.wires[i] = make([]wire, len(hosts))
		for j, to := range hosts {
			n.wires[i][j].dice = newDice(seed, "wire", from.spec.Name, to.spec.Name)
		}
	}
	return n
}

// send has a message arrive later. Whether anybody is there to take it is for arrive to find out.
func (n *network) send(from, to *host, arrive func()) {
	w := &n.wires[from.index][to.index]
	if w.cuts > 0 {
		w.held = append(w.held, arrive)
		return
	}
	delay := w.dice.between(wireLeast, wireMost)
	if w.dice.chance(lateOnceIn) {
		delay = w.dice.between(wireMost, lateMost)
	}
	w.last = max(w.last, n.clock.now+delay+from.slow.network+to.slow.network)
	n.clock.after(w.last-n.clock.now, arrive)
}

// cut stops both directions between two hosts; connections that are silent for too long break. mend takes one cut back:
// what was held comes through now, as retransmissions do.
func (n *network) cut(a, b *host) {
	n.wires[a.index][b.index].cuts++
	n.wires[b.index][a.index].cuts++
	n.clock.after(silence, func() { n.breakSilent(a, b) })
}

func (n *network) mend(a, b *host) {
	for _, w := range []struct{ from, to *host }{{a, b}, {b, a}} {
		wire := &n.wires[w.from.index][w.to.index]
		wire.cuts--
		if wire.cuts > 0 {
			continue
		}
		held := wire.held
		wire.held = nil
		for _, arrive := range held {
			n.send(w.from, w.to, arrive)
		}
	}
}

// silent reports whether nothing has come through between the hosts of late.
func (n *network) silent(a, b *host) bool {
	return n.wires[a.index][b.index].cuts > 0 || a.hung > 0 || b.hung > 0
}

// breakSilent breaks the connections between two hosts if still nothing comes through. A cut that was mended and made
// again within the time is taken for one: connections may break a little early, as they do.
func (n *network) breakSilent(a, b *host) {
	if !n.silent(a, b) {
		return
	}
	a.conns[b.index].lose()
	b.conns[a.index].lose()
}

// isolate is breakSilent of one host towards all others.
func (n *network) isolate(h *host) {
	for _, other := range n.hosts {
		if other != h {
			n.breakSilent(h, other)
		}
	}
}
