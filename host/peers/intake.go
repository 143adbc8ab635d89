package peers

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/wasmesh/wasmesh/host/peers/gossip"
	"github.com/wasmesh/wasmesh/host/peers/link"
	"github.com/wasmesh/wasmesh/host/peers/residency"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
)

// intake takes in what one link brings. Its methods are not called concurrently.
type intake struct {
	peers   *Peers
	host    *host
	address string
	attempt *attempt
	settled func() // gives back the slot of attempts
	// live: it has been, since a first snapshot; but not while it is fallen.
	live, fallen bool
	// stamp is of the last that was taken in, and aside what that is while the host is fallen.
	stamp residency.Stamp
	aside []residency.Entry
	// endCalls ends those to the host, when it is live no more.
	endCalls context.CancelFunc
}

// Greeted implements link.Sink.
func (in *intake) Greeted(hello *peerv1.LinkHello) error {
	p := in.peers
	refuse := func(reason link.Refusal, format string, args ...any) error {
		return &link.RefusedError{Reason: reason, Why: fmt.Sprintf(format, args...)}
	}
	if hello.GetMesh() != p.config.Mesh || hello.GetNamespace() != p.config.Namespace {
		return refuse(link.RefusedMesh, "%s is a host of mesh %s/%s", in.address, hello.GetMesh(), hello.GetNamespace())
	}
	if hello.GetHostId() == p.config.HostID {
		if p.meetNamesake(hello, in.address) {
			return errSelf
		}
		return refuse(link.RefusedIdentity, "%s has the id of this host", in.address)
	}
	if hello.GetHostId() != in.host.id {
		return refuse(link.RefusedIdentity, "%s is host %q, not %s", in.address, hello.GetHostId(), in.host.id)
	}
	if !gossip.ValidName(hello.GetRuntime()) || !gossip.ValidName(hello.GetZone()) ||
		!gossip.ValidOptionalAddress(hello.GetGrpcAddress()) || !gossip.ValidOptionalAddress(hello.GetRestAddress()) {
		return refuse(link.RefusedMalformed, "greeting of host %s", in.host.id)
	}
	in.attempt.epoch = hello.GetEpoch()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch h := in.host; {
	case in.attempt.replaced:
		return errReplaced
	case h.listed && hello.GetEpoch() < h.node.Epoch:
		return refuse(link.RefusedIdentity, "%s is still a former start of host %s", in.address, h.id)
	case h.greeting != nil && hello.GetEpoch() != h.greeting.GetEpoch():
		h.figures = nil
		h.departed = false
		h.greeting = hello
	default:
		h.greeting = hello
	}
	return nil
}

// Replace implements link.Sink. With the first snapshot the host becomes live.
func (in *intake) Replace(entries []residency.Entry, failures []link.Failure, stamp residency.Stamp) error {
	p := in.peers
	p.tableMu.Lock()
	changed, err := p.table.Replace(in.host.id, in.attempt.epoch, entries, stamp)
	p.tableMu.Unlock()
	if err != nil {
		return err
	}
	in.stamp = stamp
	if !in.live {
		in.live = true
		in.settled()
		if gossipless := in.enter(); gossipless {
			p.seedsNow()
		}
		p.log.Info("host is live", "peer", in.host.id, "epoch", in.attempt.epoch, "address", in.address, "copies", len(entries))
	}
	in.remember(failures, changed)
	return nil
}

// enter makes the host live. It says whether gossip does not know it.
func (in *intake) enter() (gossipless bool) {
	p, h := in.peers, in.host
	p.mu.Lock()
	defer p.mu.Unlock()
	if !in.attempt.replaced {
		ctx, end := context.WithCancel(context.Background())
		in.endCalls = end
		h.live, h.tried, h.departed = true, true, false
		h.client = peerv1.NewPeerServiceClient(&calls{conn: in.attempt.conn, live: ctx})
	}
	p.changed()
	return !h.listed
}

// depart takes a host that was live out: first of the View, then of the Table. It answers the keys of what it held.
func (in *intake) depart() []uint64 {
	p, h := in.peers, in.host
	p.mu.Lock()
	if !in.attempt.replaced {
		h.live, h.client, h.absentSince = false, nil, time.Now()
	}
	p.rebuild()
	p.mu.Unlock()
	if in.endCalls != nil {
		in.endCalls()
	}
	p.tableMu.Lock()
	defer p.tableMu.Unlock()
	return p.table.Drop(h.id)
}

// Fell implements link.Sink: the host is taken out, and what it held is kept aside.
func (in *intake) Fell() {
	p := in.peers
	in.fallen, in.aside = true, slices.Collect(p.table.Entries(in.host.id))
	p.notifier.copiesChanged(in.depart())
	p.log.Info("host is silent", "peer", in.host.id, "epoch", in.attempt.epoch)
}

// Rose implements link.Sink.
func (in *intake) Rose() error {
	p := in.peers
	p.mu.Lock()
	replaced := in.attempt.replaced
	p.mu.Unlock()
	if replaced {
		return errReplaced
	}
	p.tableMu.Lock()
	changed, err := p.table.Replace(in.host.id, in.attempt.epoch, in.aside, in.stamp)
	p.tableMu.Unlock()
	if err != nil {
		return err
	}
	in.fallen, in.aside = false, nil
	in.enter()
	p.notifier.copiesChanged(changed)
	p.log.Info("host is heard again", "peer", in.host.id, "epoch", in.attempt.epoch)
	return nil
}

// Advance implements link.Sink.
func (in *intake) Advance(after uint64, entries []residency.Entry, failures []link.Failure, stamp residency.Stamp) error {
	p := in.peers
	p.tableMu.Lock()
	changed, err := p.table.Advance(in.host.id, in.attempt.epoch, after, entries, stamp)
	p.tableMu.Unlock()
	if err != nil {
		return err
	}
	in.stamp = stamp
	in.remember(failures, changed)
	return nil
}

func (in *intake) remember(failures []link.Failure, changed []uint64) {
	for _, f := range failures {
		in.peers.failures.Add(failureKey{in.host.id, f.Key}, f.Failure)
		changed = append(changed, f.Key)
	}
	in.peers.notifier.copiesChanged(changed)
}

// Matches implements link.Sink.
func (in *intake) Matches(stamp residency.Stamp) bool {
	in.peers.tableMu.Lock()
	defer in.peers.tableMu.Unlock()
	return in.peers.table.Matches(in.host.id, in.attempt.epoch, stamp)
}

// Described implements link.Sink.
func (in *intake) Described(figures *peerv1.Figures) {
	p, h := in.peers, in.host
	p.mu.Lock()
	defer p.mu.Unlock()
	if in.attempt.replaced || h.figures != nil && figures.GetSequence() <= h.figures.GetSequence() {
		return
	}
	last := h.figures
	h.figures = figures
	switch {
	case !h.live:
		p.changed()
	case flagsDiffer(last, figures):
		p.rebuild()
	default:
		p.stale = true
	}
}

// flagsDiffer: more than numbers has changed.
func flagsDiffer(a, b *peerv1.Figures) bool {
	return a.GetDraining() != b.GetDraining() || a.GetWarming() != b.GetWarming() || a.GetArbiter() != b.GetArbiter() ||
		a.GetRuntimeReady() != b.GetRuntimeReady()
}
