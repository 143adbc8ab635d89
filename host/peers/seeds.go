package peers

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/wasmesh/wasmesh/host/peers/gossip"
	"github.com/wasmesh/wasmesh/host/statefile"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

const (
	// seedInterval is how often who should be there and is not is tried again, for ever: two halves of a mesh that have
	// declared each other dead find together by nothing else.
	seedInterval = 5 * time.Second
	// maxSeeds bounds those that are told, maxSaved those that are remembered without.
	maxSeeds = gossip.MaxHosts
	maxSaved = 256
	// maxJoins are made at once. Each takes up to two seconds when nobody answers. One that succeeds makes most of the
	// others needless, so there are few, and no two hosts begin with the same.
	maxJoins = 4
	// maxAddresses of a name that stands for many.
	maxAddresses = 64
	lookupTime   = 2 * time.Second
	// maxStrangers are asked about at once, each maxAsked times. Gossip reaches nearly everybody in a few rounds, and the
	// rest when lists are exchanged the next time, which may be half a minute; somebody who is linked to should not wait.
	maxStrangers = 64
	maxAsked     = 4

	savedFile = "peers.pb"
)

// seeds are who may be there. Guarded by Peers.mu.
type seeds struct {
	told    []Seed
	isTold  bool
	saved   []Seed // were listed by gossip, in this run or one before; the latest first
	unsaved bool   // saved differs from what is on disk
	// joins are the addresses that have been tried, true while one is being tried.
	joins map[string]bool
	wake  chan struct{}
	over  bool // this host has left
	// strangers follow this host and are known to others, but gossip has not come through yet: how often others are
	// still to be asked about them.
	strangers map[string]int
}

func newSeeds() seeds {
	return seeds{joins: map[string]bool{}, wake: make(chan struct{}, 1), strangers: map[string]int{}}
}

// attempted: all that were told have been tried, and somebody did tell.
func (s *seeds) attempted() bool {
	if !s.isTold {
		return false
	}
	for _, seed := range s.told {
		if trying, tried := s.joins[seed.Gossip]; seed.Gossip != "" && (trying || !tried) {
			return false
		}
	}
	return true
}

// SetSeeds says which hosts there should be, as the controller knows them; this host may be among them. They are tried at
// once, and each five seconds while they are absent.
func (p *Peers) SetSeeds(told []Seed) {
	told = slices.DeleteFunc(slices.Clone(told), func(s Seed) bool { return s.ID == p.config.HostID })
	told = told[:min(len(told), maxSeeds)]
	p.mu.Lock()
	p.seeds.told, p.seeds.isTold = told, true
	addresses := make(map[string]string, len(told))
	for _, s := range told {
		if gossip.ValidID(s.ID) && gossip.ValidAddress(s.Peer) {
			addresses[s.ID] = s.Peer
		}
	}
	for id, h := range p.hosts {
		if addresses[id] == "" {
			h.seed = ""
		}
	}
	for id, address := range addresses {
		if h := p.find(id); h != nil && h.seed != address {
			h.seed = address
			h.poke()
		}
	}
	p.rebuild()
	p.mu.Unlock()
	p.seedsNow()
}

// meetStranger is told of a follower that is not known. Under mu.
func (p *Peers) meetStranger(id string) {
	if _, asked := p.seeds.strangers[id]; !asked && len(p.seeds.strangers) < maxStrangers {
		p.seeds.strangers[id] = maxAsked
	}
}

// toAsk is the gossip of somebody who may know the strangers there are; empty when there are none. Under mu.
func (p *Peers) toAsk() string {
	for id, left := range p.seeds.strangers {
		if h := p.hosts[id]; h != nil && h.listed || left == 0 {
			delete(p.seeds.strangers, id)
			continue
		}
		p.seeds.strangers[id]--
	}
	if len(p.seeds.strangers) == 0 || p.seeds.over || p.stalled() {
		return ""
	}
	for _, h := range p.hosts { // in no order: another one each time
		if h.listed && h.live {
			return h.node.GossipAddress
		}
	}
	return ""
}

func (p *Peers) seedsNow() {
	select {
	case p.seeds.wake <- struct{}{}:
	default:
	}
}

// join is the goroutine that tries seeds.
func (p *Peers) join(ctx context.Context) {
	ticks := time.NewTicker(seedInterval)
	defer ticks.Stop()
	slots := make(chan struct{}, maxJoins)
	for {
		for _, s := range p.absent() {
			p.wg.Go(func() {
				select {
				case slots <- struct{}{}:
					p.joinSeed(ctx, s)
					<-slots
				case <-ctx.Done():
				}
				p.mu.Lock()
				p.seeds.joins[s.Gossip] = false
				p.checkSynced()
				p.mu.Unlock()
			})
		}
		select {
		case <-ticks.C:
		case <-p.seeds.wake:
		case <-ctx.Done():
			return
		}
	}
}

// absent are the seeds that gossip does not list and that are not being tried. From now on they are being tried.
func (p *Peers) absent() []Seed {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.seeds.over || p.stalled() && p.listedAny() {
		return nil // a host that has no time does not make itself more work, unless it is alone
	}
	candidates := slices.Concat(p.seeds.told, p.seeds.saved)
	for id, h := range p.hosts {
		// Its link stands, and gossip has lost it.
		if h.live && !h.listed && h.node.GossipAddress != "" {
			candidates = append(candidates, Seed{ID: id, Gossip: h.node.GossipAddress})
		}
	}
	if p.config.DNS != "" && p.incomplete() {
		candidates = append(candidates, Seed{Gossip: p.config.DNS})
	}
	known := p.gossipAddresses()
	joins := map[string]bool{}
	var absent []Seed
	for _, s := range candidates {
		if h := p.hosts[s.ID]; s.Gossip == "" || joins[s.Gossip] || h != nil && h.listed || known[s.Gossip] {
			if _, known := joins[s.Gossip]; !known { // It needs no trying, or no second one.
				joins[s.Gossip] = false
			}
			continue
		}
		joins[s.Gossip] = true
		if !p.seeds.joins[s.Gossip] {
			absent = append(absent, s)
		}
	}
	// Those that are still being tried stay so; what is no seed any more is forgotten.
	for address, trying := range p.seeds.joins {
		if trying {
			joins[address] = true
		}
	}
	p.seeds.joins = joins
	rand.Shuffle(len(absent), func(i, j int) { absent[i], absent[j] = absent[j], absent[i] })
	return absent
}

// incomplete: nobody is there, nobody has said who should be, or somebody who should be is not. Under mu.
func (p *Peers) incomplete() bool {
	if !p.seeds.isTold || !p.listedAny() {
		return true
	}
	for _, s := range p.seeds.told {
		if h := p.hosts[s.ID]; s.ID != "" && (h == nil || !h.listed) {
			return true
		}
	}
	return false
}

// listedAny: gossip knows somebody. Under mu.
func (p *Peers) listedAny() bool {
	for _, h := range p.hosts {
		if h.listed {
			return true
		}
	}
	return false
}

// gossipAddresses are those that need no joining: this host's own, and of who is listed. Under mu.
func (p *Peers) gossipAddresses() map[string]bool {
	known := map[string]bool{p.GossipAddress(): true}
	for _, h := range p.hosts {
		if h.listed {
			known[h.node.GossipAddress] = true
		}
	}
	return known
}

// joinSeed joins every address of a seed at which nobody is known.
func (p *Peers) joinSeed(ctx context.Context, s Seed) {
	name, port, err := net.SplitHostPort(s.Gossip)
	if err != nil {
		p.log.Debug("seed has no address", "seed", s.Gossip, "error", err)
		return
	}
	addresses := []string{s.Gossip}
	if net.ParseIP(name) == nil {
		lookup, cancel := context.WithTimeout(ctx, lookupTime)
		found, err := p.config.Lookup(lookup, name)
		cancel()
		if err != nil {
			p.log.Debug("seed has no address", "seed", s.Gossip, "error", err)
			return
		}
		// Those who ask at once do not all begin with the same.
		rand.Shuffle(len(found), func(i, j int) { found[i], found[j] = found[j], found[i] })
		addresses = addresses[:0]
		for _, ip := range found[:min(len(found), maxAddresses)] {
			addresses = append(addresses, net.JoinHostPort(ip, port))
		}
	}
	for _, address := range addresses {
		p.mu.Lock()
		known := p.gossipAddresses()[address]
		p.mu.Unlock()
		if known || ctx.Err() != nil {
			continue
		}
		if err := p.gossip.Join(address); err != nil {
			p.log.Debug("seed does not answer", "peer", s.ID, "seed", address, "error", err)
		}
	}
}

// rememberListed keeps who is listed, before those that were. Under mu.
func (p *Peers) rememberListed() {
	var saved []Seed
	for id, h := range p.hosts {
		if h.listed && h.node.GossipAddress != "" {
			saved = append(saved, Seed{ID: id, Gossip: h.node.GossipAddress})
		}
	}
	slices.SortFunc(saved, func(a, b Seed) int { return cmp.Compare(a.ID, b.ID) })
	for _, s := range p.seeds.saved {
		if h := p.hosts[s.ID]; (h == nil || !h.listed) && len(saved) < maxSaved {
			saved = append(saved, s)
		}
	}
	saved = saved[:min(len(saved), maxSaved)]
	if !slices.Equal(saved, p.seeds.saved) {
		p.seeds.saved, p.seeds.unsaved = saved, true
	}
}

// save keeps the peers of this run for the next.
func (p *Peers) save() {
	p.mu.Lock()
	p.rememberListed()
	if p.config.StateDir == "" || !p.seeds.unsaved {
		p.mu.Unlock()
		return
	}
	p.seeds.unsaved = false
	hosts := &syncv1.Hosts{}
	for _, s := range p.seeds.saved {
		hosts.Hosts = append(hosts.Hosts, &syncv1.Hosts_Host{Id: s.ID, GossipAddress: s.Gossip})
	}
	p.mu.Unlock()
	if err := statefile.Write(filepath.Join(p.config.StateDir, savedFile), hosts); err != nil {
		p.log.Warn("peers not kept on disk: after a restart without a controller this host will not find them", "error", err)
	}
}

// restore reads the peers of the run before.
func (p *Peers) restore() {
	if p.config.StateDir == "" {
		return
	}
	var hosts syncv1.Hosts
	if err := statefile.Read(filepath.Join(p.config.StateDir, savedFile), &hosts); err != nil {
		if !errors.Is(err, os.ErrNotExist) {
			p.log.Warn("peers on disk are unusable", "error", err)
		}
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, h := range hosts.GetHosts()[:min(len(hosts.GetHosts()), maxSaved)] {
		if gossip.ValidID(h.GetId()) && gossip.ValidAddress(h.GetGossipAddress()) && h.GetId() != p.config.HostID {
			p.seeds.saved = append(p.seeds.saved, Seed{ID: h.GetId(), Gossip: h.GetGossipAddress()})
		}
	}
}
