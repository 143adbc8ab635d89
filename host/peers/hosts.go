package peers

import (
	"context"
	"slices"
	"time"

	"google.golang.org/grpc"

	"github.com/wasmesh/wasmesh/host/members"
	"github.com/wasmesh/wasmesh/host/peers/gossip"
	"github.com/wasmesh/wasmesh/host/peers/link"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
)

const (
	// absentFor is how long a host that cannot be reached stays in the View, unless gossip too says that it has gone.
	absentFor = 30 * time.Second
	// maxHosts bounds who is known.
	maxHosts = gossip.MaxHosts
)

// host is another one, as far as it is known. Guarded by Peers.mu. Its goroutine, in follow.go, ends when it is forgotten.
type host struct {
	id string
	// node is what gossip says, or said last, if it wasListed.
	node      gossip.Node
	listed    bool
	wasListed bool
	// seed is the address for hosts that somebody said is its; empty for none.
	seed string
	// departed: it has told us itself that it leaves, or gossip that it is gone; until somebody new has its id.
	departed bool

	// The link: the attempt that stands or is being made.
	attempt *attempt
	live    bool
	// greeting is what the host last said who it is, figures how it does, of the present attempt or the last.
	greeting *peerv1.LinkHello
	figures  *peerv1.Figures
	client   peerv1.PeerServiceClient
	// tried: an attempt has succeeded or failed.
	tried bool
	// absentSince is when it was last live, or first listed.
	absentSince time.Time

	forget context.CancelFunc
	wake   chan struct{}
}

// attempt is one connection to a host.
type attempt struct {
	conn     *grpc.ClientConn
	breakOff context.CancelCauseFunc
	// epoch is what the host greeted with.
	epoch uint64
	// replaced: nothing of this attempt counts any more.
	replaced bool
}

// address is where to reach the host, and whether somebody who should know says that it is there.
func (h *host) address() (address string, expected bool) {
	if h.listed {
		return h.node.PeerAddress, !h.departed
	}
	return h.seed, false
}

// poke has its goroutine try at once.
func (h *host) poke() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// shown: it is part of the View.
func (h *host) shown(now time.Time) bool {
	if h.live {
		return true
	}
	return !h.departed && (h.listed || h.greeting != nil) && now.Sub(h.absentSince) < absentFor
}

// find answers the host of this id, known from now on; nil when there are too many, or Run has ended. Under mu.
func (p *Peers) find(id string) *host {
	if h := p.hosts[id]; h != nil {
		return h
	}
	if p.closed || len(p.hosts) >= maxHosts {
		return nil
	}
	h := &host{id: id, wake: make(chan struct{}, 1), absentSince: time.Now()}
	ctx, forget := context.WithCancel(p.ctx)
	h.forget = forget
	p.hosts[id] = h
	p.wg.Go(func() { p.follow(ctx, h) })
	return h
}

// listed is what gossip tells Peers. Its calls come with memberlist's lock held.
type listed Peers

// Listed implements gossip.Events.
func (l *listed) Listed(n gossip.Node) {
	p := (*Peers)(l)
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.find(n.ID)
	if h == nil {
		return
	}
	if h.node.Name != n.Name {
		h.departed = false
		if !h.live {
			h.absentSince = time.Now()
		}
		if h.greeting != nil && h.greeting.GetEpoch() != n.Epoch && n.Epoch > h.greeting.GetEpoch() {
			p.replace(h)
		}
	}
	h.node, h.listed, h.wasListed = n, true, true
	h.poke()
	p.changed()
}

// Unlisted implements gossip.Events. A link that stands knows better, until it too breaks.
func (l *listed) Unlisted(id string) {
	p := (*Peers)(l)
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.hosts[id]
	if h == nil {
		return
	}
	// Whoever is listed next is somebody new, be it the same start that was thought dead.
	h.listed, h.node.Name = false, ""
	if !h.live {
		h.departed = true
	}
	p.changed()
}

// Superseded implements gossip.Events.
func (l *listed) Superseded(by gossip.Node) { (*Peers)(l).supersede(by) }

// replace ends what is known of a former start of the host. Under mu.
func (p *Peers) replace(h *host) {
	h.live, h.client, h.greeting, h.figures = false, nil, nil, nil
	h.absentSince = time.Now()
	if h.attempt != nil {
		h.attempt.replaced = true
		h.attempt.breakOff(errReplaced)
	}
}

// forgetAbsent drops those of whom nobody says that they are there. Under mu.
func (p *Peers) forgetAbsent(now time.Time) {
	for id, h := range p.hosts {
		if !h.listed && h.seed == "" && !h.shown(now) {
			h.forget()
			delete(p.hosts, id)
		}
	}
	p.rebuild()
}

// changed has readers and the Listener see who is there now: at once, or when as much time has passed as should between
// two Views, for many hosts may come together and each View costs as much as there are. That a host has gone does not
// wait: see rebuild. Under mu.
func (p *Peers) changed() {
	if time.Since(p.shown) >= showing {
		p.rebuild()
		return
	}
	p.unseen = true
	select {
	case p.dirty <- struct{}{}:
	default:
	}
}

// show is the goroutine that makes up for changes that had to wait.
func (p *Peers) show(ctx context.Context) {
	for {
		select {
		case <-p.dirty:
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(showing):
		case <-ctx.Done():
			return
		}
		p.mu.Lock()
		if p.unseen {
			p.rebuild()
		}
		p.mu.Unlock()
	}
}

// rebuild makes readers and the Listener see who is there now. Under mu.
func (p *Peers) rebuild() {
	now := time.Now()
	p.stale, p.unseen, p.shown = false, false, now
	ids := make([]string, 0, len(p.hosts)+1)
	for id, h := range p.hosts {
		if h.shown(now) {
			ids = append(ids, id)
		}
	}
	// Members are large, so they are made in the order in which a View has them.
	ids = append(ids, p.config.HostID)
	slices.Sort(ids)
	hosts := make([]members.Member, 0, len(ids))
	clients := make(map[string]peerv1.PeerServiceClient, len(ids))
	for _, id := range ids {
		m, figures := p.memberOf(id)
		if figures != nil {
			link.Describe(&m, figures)
		}
		hosts = append(hosts, m)
		if h := p.hosts[id]; h != nil && h.live {
			clients[id] = h.client
		}
	}
	view := members.NewView(p.config.HostID, hosts)
	if old := p.now.Load(); old == nil || !slices.Equal(old.view.All(), view.All()) {
		p.now.Store(&present{view: view, clients: clients})
		p.metrics.count(view)
		p.notifier.membersChanged()
	}
	p.checkSynced()
}

// memberOf is a host, this one perhaps, and what it last said of itself. Under mu.
func (p *Peers) memberOf(id string) (members.Member, *peerv1.Figures) {
	if id == p.config.HostID {
		m := memberOf(id, p.config.node(), nil)
		m.Live = true
		return m, p.publisher.Figures()
	}
	h := p.hosts[id]
	m := memberOf(id, h.node, h.greeting)
	m.Live = h.live
	return m, h.figures
}

// memberOf takes what the host said itself over what gossip says, unless that is of a later start.
func memberOf(id string, n gossip.Node, hello *peerv1.LinkHello) members.Member {
	m := members.Member{
		ID: id, Epoch: n.Epoch, Runtime: n.Runtime, Zone: n.Zone, Gateway: n.Gateway,
		PeerAddress: n.PeerAddress, GRPCAddress: n.GRPCAddress, RESTAddress: n.RESTAddress, Started: time.UnixMilli(n.Started),
	}
	if hello != nil && hello.GetEpoch() >= n.Epoch {
		m.Epoch, m.Runtime, m.Zone, m.Gateway = hello.GetEpoch(), hello.GetRuntime(), hello.GetZone(), hello.GetGateway()
		m.GRPCAddress, m.RESTAddress = hello.GetGrpcAddress(), hello.GetRestAddress()
		m.Started = time.UnixMilli(hello.GetStartedMs())
	}
	return m
}

// checkSynced: everybody of whom is known has been taken in, or could not be reached. Under mu.
func (p *Peers) checkSynced() {
	if p.isReady || !p.seeds.attempted() {
		return
	}
	for _, h := range p.hosts {
		if !h.live && !h.tried && !h.departed {
			return
		}
	}
	p.declareSynced()
}

func (p *Peers) declareSynced() {
	if !p.isReady {
		p.isReady = true
		close(p.synced)
	}
}
