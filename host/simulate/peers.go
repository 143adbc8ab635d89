package simulate

import (
	"time"

	"github.com/wasmesh/wasmesh/host/lifecycle/machine"
	"github.com/wasmesh/wasmesh/host/members"
	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/host/peers/residency"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// As in packages peers and mesh.
const (
	// figuresPause is the least time between two messages of figures.
	figuresPause = 500 * time.Millisecond
	// publishPause lets changes of one moment travel together.
	publishPause = 500 * time.Microsecond
	// refresh is how often a View is made anew for the figures of others.
	refresh = 100 * time.Millisecond
	// beatPause is how often followers are told what they should have by now.
	beatPause = 500 * time.Millisecond
	// logged is how many changes a log remembers.
	logged = 256
	// syncPatience is how long a host waits to know what all others hold before it decides all the same.
	syncPatience = 3 * time.Second
	// warmingFor is how long a host counts as having just come.
	warmingFor = time.Minute
)

// peers is what a host knows of the others, and what it tells them, as package peers has it.
type peers struct {
	host  *host
	log   *residency.Log
	table *residency.Table
	view  *members.View
	// own is what this host last said of itself: its own view has no newer figures than the others'.
	own members.Member
	// known are the other hosts that are live here, by index, with what they said last.
	known []*members.Member
	// failures of entries that have failed, by model and host.
	failures map[failed]*syncv1.Failure
	// followers are the connections over which others follow this host's log.
	followers []*conn
	sequence  uint64
	// pending: a flush is planned.
	pending, figuresPending bool
	figuresSent             time.Duration
	// stale: figures have come that are not in the View.
	stale             bool
	arbiter, draining bool
}

type failed struct {
	key  uint64
	host string
}

// delta is a message of residency.
type delta struct {
	after    uint64
	entries  []residency.Entry
	stamp    residency.Stamp
	failures map[uint64]*syncv1.Failure
}

func newPeers(h *host) *peers {
	p := &peers{
		host: h, log: residency.NewLog(logged), table: residency.NewTable(), known: make([]*members.Member, len(h.world.hosts)),
		failures: map[failed]*syncv1.Failure{},
	}
	entries, stamp := p.log.Snapshot()
	if _, err := p.table.Replace(h.spec.Name, h.epoch, entries, stamp); err != nil {
		h.world.broken("%s: %v", h.spec.Name, err)
	}
	p.own = p.self()
	p.rebuild()
	return p
}

func (p *peers) start() {
	h := p.host
	for _, c := range h.conns {
		if c != nil && !c.to.absent() {
			h.plan(h.dice.between(20*time.Millisecond, 200*time.Millisecond), c.dial)
		}
	}
	// Others hear of a new host by gossip.
	for _, other := range h.world.hosts {
		if other != h && other.up {
			other.plan(h.dice.between(50*time.Millisecond, 600*time.Millisecond), other.conns[h.index].dial)
		}
	}
	h.every(figuresPause, p.figuresChanged)
	h.plan(syncPatience, func() { p.becomeArbiter() })
	h.plan(warmingFor, p.figuresChanged)
}

// becomeArbiter has this host decide where models go from now on.
func (p *peers) becomeArbiter() {
	if !p.arbiter {
		p.arbiter = true
		p.publishFigures() // Flags do not wait.
	}
}

// self is this host as it describes itself.
func (p *peers) self() members.Member {
	h := p.host
	p.sequence++
	m := members.Member{
		ID: h.spec.Name, Epoch: h.epoch, Runtime: servingRuntime, Zone: h.spec.Zone, PeerAddress: h.spec.Name,
		Started: start.Add(h.started + h.skew), Live: true, Gateway: h.spec.Gateway, Draining: p.draining,
		Warming: h.world.clock.now-h.started < warmingFor, Arbiter: p.arbiter && !h.spec.Gateway, RuntimeReady: h.runtime.up,
		Catalog: &syncv1.Version{Sequence: uint64(h.applied)},
	}
	if h.spec.Gateway {
		m.Runtime = ""
		m.Figures.Sequence = p.sequence
		return m
	}
	ledger, stats := h.exec.machine.Ledger(), h.exec.machine.Stats()
	memory := ledger.Stats()
	m.Figures = members.Figures{
		Sequence: p.sequence, Free: ledger.Free(), Capacity: memory.Capacity, Reclaim: h.exec.worth.Reclaim, Oldest: memory.Oldest,
		LoadsQueued: stats.Queued, LoadsRunning: stats.Running, InFlight: memory.InFlight, Waiting: stats.Waiting,
		Copies: memory.Copies, Rate: h.exec.worth.Rate,
	}
	return m
}

// rebuild makes a View of what is known, and has everybody look at it.
func (p *peers) rebuild() {
	hosts := make([]members.Member, 0, len(p.known)+1)
	for i, known := range p.known {
		switch {
		case i == p.host.index:
			hosts = append(hosts, p.own)
		case known != nil:
			hosts = append(hosts, *known)
		}
	}
	p.stale = false
	p.view = members.NewView(p.host.spec.Name, hosts)
	if p.host.mesh != nil {
		p.host.mesh.viewChanged()
	}
}

// figuresChanged tells the others of this host, now or when the pause since the last time is over.
func (p *peers) figuresChanged() {
	if p.figuresPending {
		return
	}
	p.figuresPending = true
	h := p.host
	wait := max(p.figuresSent+figuresPause-h.world.clock.now, 0)
	h.plan(wait, func() {
		p.figuresPending = false
		p.publishFigures()
	})
}

// publishFigures tells the others of this host if there is anything new.
func (p *peers) publishFigures() {
	said := p.self()
	if saysTheSame(said, p.own) {
		return
	}
	p.figuresSent = p.host.world.clock.now
	p.own = said
	p.rebuild()
	for _, c := range p.followers {
		c.deliver(true, func() { c.from.peers.hear(c.to, said) })
	}
}

// saysTheSame reports whether two messages of figures differ in nothing but their number.
func saysTheSame(a, b members.Member) bool {
	a.Figures.Sequence, b.Figures.Sequence = 0, 0
	return a.Figures == b.Figures && a.Draining == b.Draining && a.Warming == b.Warming && a.Arbiter == b.Arbiter &&
		a.RuntimeReady == b.RuntimeReady && a.Catalog.GetSequence() == b.Catalog.GetSequence()
}

// hear takes in what another host says of itself.
func (p *peers) hear(other *host, said members.Member) {
	known := p.known[other.index]
	if known == nil || known.Epoch != said.Epoch {
		return
	}
	p.known[other.index] = &said
	switch h := p.host; {
	case flagsDiffer(*known, said):
		p.rebuild()
	case !p.stale:
		p.stale = true
		h.plan(refresh-(h.world.clock.now-h.started)%refresh, func() {
			if p.stale {
				p.rebuild()
			}
		})
	}
}

// flagsDiffer: more than numbers has changed.
func flagsDiffer(a, b members.Member) bool {
	return a.Draining != b.Draining || a.Warming != b.Warming || a.Arbiter != b.Arbiter || a.RuntimeReady != b.RuntimeReady
}

// publish takes in what has become of a model here.
func (p *peers) publish(pub machine.Publish) {
	h := p.host
	entry := residency.Entry{Key: pub.Key, State: stateOf(pub.State), Size: pub.Size[modelcache.HostMemory]}
	if pub.Offered {
		entry.State = residency.Absent
	}
	if !pub.LastUsed.IsZero() && pub.State == machine.Loaded {
		entry.Used = uint32(pub.LastUsed.Unix() / residency.UsedUnit)
	}
	own := failed{pub.Key, h.spec.Name}
	delete(p.failures, own)
	if entry.State == residency.Failed {
		p.failures[own] = failureOf(pub.Failure)
	}
	if entry.State == residency.Loaded {
		p.figuresChanged()
	}
	before := p.log.Stamp()
	if !p.log.Set(entry) {
		return
	}
	entries, stamp, _ := p.log.Since(before.Sequence)
	changed, err := p.table.Advance(h.spec.Name, h.epoch, before.Sequence, entries, stamp)
	if err != nil {
		h.world.broken("%s does not follow its own log: %v", h.spec.Name, err)
	}
	h.mesh.copiesChanged(changed)
	if !p.pending {
		p.pending = true
		h.plan(publishPause, p.flush)
	}
}

// flush sends the followers what they do not have yet.
func (p *peers) flush() {
	p.pending = false
	for _, c := range p.followers {
		entries, stamp, ok := p.log.Since(c.sent)
		if !ok {
			p.snapshot(c)
			continue
		}
		d := delta{after: c.sent, entries: entries, stamp: stamp, failures: p.ownFailures(entries)}
		c.sent = stamp.Sequence
		if w := p.host.world.network.wire(p.host, c.from); w.lose > 0 {
			w.lose--
			p.host.note("lost a message to", c.from.spec.Name, int64(d.after))
			continue
		}
		c.deliver(true, func() { c.from.peers.advance(c, d) })
	}
}

func (p *peers) ownFailures(entries []residency.Entry) map[uint64]*syncv1.Failure {
	var failures map[uint64]*syncv1.Failure
	for _, e := range entries {
		if e.State == residency.Failed {
			if failures == nil {
				failures = map[uint64]*syncv1.Failure{}
			}
			failures[e.Key] = p.failures[failed{e.Key, p.host.spec.Name}]
		}
	}
	return failures
}

// follow starts to tell another host what this one holds; the connection has just opened.
func (p *peers) follow(c *conn) {
	p.followers = append(p.followers, c)
	p.snapshot(c)
	number := c.number
	life := p.host.life
	// Beats: only what was lost makes them matter.
	var beat func()
	beat = func() {
		if c.number != number || p.host.life != life {
			return
		}
		stamp := p.log.Stamp()
		if c.sent == stamp.Sequence {
			epoch := p.host.epoch
			c.deliver(true, func() {
				if !c.from.peers.table.Matches(p.host.spec.Name, epoch, stamp) {
					c.from.peers.resync(c)
				}
			})
		}
		p.host.plan(beatPause, beat)
	}
	if p.host.world.beats {
		p.host.plan(beatPause, beat)
	}
}

func (p *peers) unfollow(c *conn) {
	for i, other := range p.followers {
		if other == c {
			p.followers = append(p.followers[:i:i], p.followers[i+1:]...)
			return
		}
	}
}

// snapshot sends a follower everything.
func (p *peers) snapshot(c *conn) {
	entries, stamp := p.log.Snapshot()
	c.sent = stamp.Sequence
	d := delta{entries: entries, stamp: stamp, failures: p.ownFailures(entries)}
	said := p.self()
	c.deliver(true, func() { c.from.peers.replace(c, said, d) })
}

// replace takes in a snapshot: from now on the other host is live here.
func (p *peers) replace(c *conn, said members.Member, d delta) {
	changed, err := p.table.Replace(said.ID, said.Epoch, d.entries, d.stamp)
	if err != nil {
		p.host.world.broken("%s refuses the snapshot of %s: %v", p.host.spec.Name, said.ID, err)
		return
	}
	c.synced = true
	p.learn(said.ID, d)
	p.known[c.to.index] = &said
	p.host.note("follows", said.ID, int64(d.stamp.Sequence))
	p.rebuild()
	p.host.mesh.copiesChanged(changed)
	if !p.arbiter && p.syncedWithAll() {
		p.becomeArbiter()
	}
}

func (p *peers) syncedWithAll() bool {
	for _, c := range p.host.conns {
		if c != nil && !c.to.absent() && !c.synced {
			return false
		}
	}
	return true
}

// advance takes in changes; when they do not fit, a snapshot is asked for.
func (p *peers) advance(c *conn, d delta) {
	if !c.synced {
		return
	}
	changed, err := p.table.Advance(c.to.spec.Name, c.to.epoch, d.after, d.entries, d.stamp)
	if err != nil {
		p.resync(c)
		return
	}
	p.learn(c.to.spec.Name, d)
	p.host.mesh.copiesChanged(changed)
}

func (p *peers) resync(c *conn) {
	p.host.world.stats.Resyncs++
	p.host.note("asks for a snapshot of", c.to.spec.Name, 0)
	c.deliver(false, func() { c.to.peers.snapshot(c) })
}

func (p *peers) learn(host string, d delta) {
	for _, e := range d.entries {
		if e.State == residency.Failed {
			p.failures[failed{e.Key, host}] = d.failures[e.Key]
		} else {
			delete(p.failures, failed{e.Key, host})
		}
	}
}

// lost forgets a host whose connection broke.
func (p *peers) lost(other *host) {
	p.host.note("lost", other.spec.Name, 0)
	p.known[other.index] = nil
	p.rebuild()
	p.host.mesh.copiesChanged(p.table.Drop(other.spec.Name))
}

func stateOf(s machine.State) residency.State {
	switch s {
	case machine.Queued, machine.Estimating:
		return residency.Queued
	case machine.Pulling, machine.Loading, machine.Sizing:
		return residency.Loading
	case machine.Loaded:
		return residency.Loaded
	case machine.Draining:
		return residency.Draining
	case machine.Failed:
		return residency.Failed
	}
	return residency.Absent
}

func failureOf(f *machine.Failure) *syncv1.Failure {
	if f == nil {
		return nil
	}
	return &syncv1.Failure{
		Reason: f.Reason, Message: f.Message, TimeMs: f.Time.UnixMilli(), RetryAtMs: f.RetryAt.UnixMilli(), Attempts: uint32(f.Attempts),
	}
}
