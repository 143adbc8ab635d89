package peers

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"google.golang.org/grpc"

	"github.com/wasmesh/wasmesh/host/members"
	"github.com/wasmesh/wasmesh/host/peers/gossip"
	"github.com/wasmesh/wasmesh/host/peers/link"
	"github.com/wasmesh/wasmesh/host/peers/residency"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

const (
	// syncedAfter is when a host stops waiting for those that do not answer before it counts as one that knows what all
	// hold.
	syncedAfter = 3 * time.Second
	// keptFailures bounds the failures that are remembered of other hosts.
	keptFailures = 16384
	// refresh is how often readers see new figures of others, at most: each of many hosts sends some twice a second, and
	// a View is made anew for them.
	refresh = 100 * time.Millisecond
	// showing is the least time between two Views, except when a host has gone.
	showing = 10 * time.Millisecond
	// housekeeping is how often, in refreshes, it is looked whether somebody has been absent for long.
	housekeeping = 10
	// late is a refresh that took too long to come for the machine not to be overloaded. What is heard passes through
	// several goroutines, each of which waits as long for its turn.
	late = 2 * refresh
	// asking is how often, in refreshes, others are asked about followers that are not known.
	asking = 5
)

// Peers is this host's part of the mesh. Make it with New, and Run it.
type Peers struct {
	config  Config
	deps    Deps
	log     *slog.Logger
	metrics *metrics
	// tokens are of the keys of the mesh, of which the first is used.
	tokens    atomic.Pointer[[]string]
	publisher *link.Publisher
	links     *link.Server
	server    *grpc.Server
	gossip    *gossip.Gossip
	notifier  *notifier
	failures  *lru.Cache[failureKey, *syncv1.Failure]

	// ticked and wasLate are when the last refresh was, and the last late one, in nanoseconds.
	ticked, wasLate atomic.Int64
	// attempts are the links that are being made.
	attempts chan struct{}

	// ctx ends, and wg is waited for, when Run returns.
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	// superseded holds the first reason for this host to exit.
	superseded chan error
	synced     chan struct{}

	// mu guards who is there.
	mu      sync.Mutex
	hosts   map[string]*host
	seeds   seeds
	closed  bool
	isReady bool // synced is closed
	stale   bool // figures have come that are not in the View
	unseen  bool // the View is to be made anew, when enough time has passed since it was last shown
	shown   time.Time
	dirty   chan struct{} // unseen has been set

	// now is what readers see; written under mu.
	now atomic.Pointer[present]

	// tableMu is held by whoever writes the table. ownMu keeps what is published and what the table has of this host in
	// one order, and is taken first.
	tableMu sync.Mutex
	table   *residency.Table
	ownMu   sync.Mutex
	own     uint64 // sequence of this host's log that the table has
}

type failureKey struct {
	host string
	key  uint64
}

// present is the mesh at one moment.
type present struct {
	view    *members.View
	clients map[string]peerv1.PeerServiceClient
}

// New binds gossip, and can be joined from then on; Run must be called, for it ends what New began.
func New(config Config, deps Deps) (*Peers, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	metrics, err := newMetrics(deps.Metrics)
	if err != nil {
		return nil, err
	}
	failures, err := lru.New[failureKey, *syncv1.Failure](keptFailures)
	if err != nil {
		return nil, err
	}
	p := &Peers{
		config: config, deps: deps, log: deps.Logger, metrics: metrics, failures: failures,
		publisher: link.NewPublisher(), notifier: newNotifier(),
		attempts: make(chan struct{}, maxAttempts), superseded: make(chan error, 1), synced: make(chan struct{}),
		dirty: make(chan struct{}, 1), hosts: map[string]*host{}, seeds: newSeeds(), table: residency.NewTable(),
	}
	p.tokens.Store(&[]string{tokenOf(config.Key, config.Mesh, config.Namespace)})
	if p.config.Dial == nil {
		p.config.Dial = dialTCP
	}
	if p.config.Lookup == nil {
		p.config.Lookup = net.DefaultResolver.LookupHost
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.links = link.NewServer(p.publisher, config.hello(), p.admit, metrics.meter(), p.stalled)
	p.server = p.newServer()
	if _, err := p.table.Replace(config.HostID, config.Epoch, nil, residency.Stamp{}); err != nil {
		return nil, err
	}
	p.rebuild()
	p.gossip, err = gossip.New(gossip.Config{
		Label: config.Mesh + "/" + config.Namespace, Key: config.Key, Node: config.node(),
		Bind: config.GossipAddress, Advertise: config.GossipAdvertise, Transport: config.Transport, Events: (*listed)(p),
		Refused: func(reason gossip.Refusal) { metrics.refused(string(reason)) }, Traffic: metrics.gossip, Logger: deps.Logger,
	})
	if err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

// Run takes part in the mesh until ctx ends, which is no error, or another host takes this one's place: ErrSuperseded.
func (p *Peers) Run(ctx context.Context) error {
	p.restore()
	p.ticked.Store(time.Now().UnixNano())
	p.wg.Go(func() { p.tell(p.ctx) })
	p.wg.Go(func() { p.show(p.ctx) })
	p.wg.Go(func() { p.join(p.ctx) })
	p.wg.Go(func() { p.keepHouse(p.ctx) })
	p.notifier.membersChanged()
	var err error
	select {
	case <-ctx.Done():
	case err = <-p.superseded:
		p.log.Error("leaving the mesh", "error", err)
	}
	p.stop()
	return err
}

func (p *Peers) stop() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.cancel()
	if p.gossip != nil {
		if err := p.gossip.Close(); err != nil {
			p.log.Warn("close gossip", "error", err)
		}
	}
	p.wg.Wait()
}

// Leave tells the others that this host goes for good: they drop it at once. It is still to be stopped, by Run's ctx.
func (p *Peers) Leave(ctx context.Context) error {
	p.mu.Lock()
	p.seeds.over = true
	p.mu.Unlock()
	p.links.Leave()
	return p.gossip.Leave(ctx)
}

// supersede ends Run.
func (p *Peers) supersede(by gossip.Node) {
	select {
	case p.superseded <- fmt.Errorf("%w (host %s, epoch %d at %s; this one has epoch %d)", ErrSuperseded, by.ID, by.Epoch, by.PeerAddress, p.config.Epoch):
	default:
	}
}

// View is the mesh now.
func (p *Peers) View() *members.View { return p.now.Load().view }

// Table is what all live hosts hold, this one included.
func (p *Peers) Table() *residency.Table { return p.table }

// GossipAddress is where others reach the gossip of this host.
func (p *Peers) GossipAddress() string { return p.gossip.Self().GossipAddress }

// Server answers other hosts: PeerService, and nothing without the token. It refuses everything after Run; whoever serves
// it ends what is under way, by closing its connections.
func (p *Peers) Server() *grpc.Server { return p.server }

// Synced is closed when this host knows what all others hold that answer, or has waited for three seconds.
func (p *Peers) Synced() <-chan struct{} { return p.synced }

// Publish says what has become of a model on this host, and why if it failed. It is in the Table when Publish returns,
// and on its way to all followers.
func (p *Peers) Publish(entry residency.Entry, failure *syncv1.Failure) {
	p.ownMu.Lock()
	defer p.ownMu.Unlock()
	if !p.publisher.Publish(entry, failure) {
		return
	}
	entries, stamp, ok := p.publisher.Since(p.own)
	if !ok {
		return // not for one change
	}
	p.tableMu.Lock()
	changed, err := p.table.Advance(p.config.HostID, p.config.Epoch, p.own, entries, stamp)
	p.tableMu.Unlock()
	if err != nil {
		p.log.Error("own residency does not fit together", "error", err)
		return
	}
	p.own = stamp.Sequence
	if failure != nil {
		changed = append(changed, entry.Key)
	}
	p.notifier.copiesChanged(changed)
}

// PublishFigures says how this host does. It keeps figures. Their sequence is set unless it is higher than all before.
func (p *Peers) PublishFigures(figures *peerv1.Figures) {
	p.publisher.PublishFigures(figures)
	p.mu.Lock()
	p.rebuild()
	p.mu.Unlock()
}

// Failure is why a model is in state Failed on a host; nil when that is not known, or not so.
func (p *Peers) Failure(key uint64, host string) *syncv1.Failure {
	if host == p.config.HostID {
		return p.publisher.Failure(key)
	}
	failure, _ := p.failures.Peek(failureKey{host, key})
	return failure
}

// Client calls a host, over the connection of its link. The error is a *NotLiveError.
func (p *Peers) Client(host string) (peerv1.PeerServiceClient, error) {
	if client := p.now.Load().clients[host]; client != nil {
		return client, nil
	}
	return nil, &NotLiveError{Host: host}
}

// keepHouse ends waiting: for those that do not answer, for those that have been absent for long, and of figures.
func (p *Peers) keepHouse(ctx context.Context) {
	ticks := time.NewTicker(refresh)
	defer ticks.Stop()
	patience := time.After(syncedAfter)
	for n := 1; ; n++ {
		select {
		case <-ticks.C:
			p.tick(time.Now())
			p.mu.Lock()
			if n%housekeeping == 0 {
				p.forgetAbsent(time.Now())
			} else if p.stale {
				p.rebuild()
			}
			ask := ""
			if n%asking == 0 {
				ask = p.toAsk()
			}
			p.mu.Unlock()
			if ask != "" {
				p.wg.Go(func() { p.askAround(ask) })
			}
			if n%housekeeping == 0 {
				p.save()
			}
		case <-patience:
			p.mu.Lock()
			p.declareSynced()
			p.mu.Unlock()
		case <-ctx.Done():
			return
		}
	}
}

// tick is told that a refresh has come, and notes if that took long.
func (p *Peers) tick(now time.Time) {
	if last := p.ticked.Swap(now.UnixNano()); last != 0 && now.UnixNano()-last > int64(late) {
		p.wasLate.Store(now.UnixNano())
	}
}

// stalled reports whether this host did not get to run for a while, just now or until just before.
func (p *Peers) stalled() bool {
	now := time.Now().UnixNano()
	return now-p.ticked.Load() > int64(late) || now-p.wasLate.Load() < int64(link.Silence)
}

// askAround exchanges what is known with somebody who is already known.
func (p *Peers) askAround(address string) {
	if err := p.gossip.Join(address); err != nil {
		p.log.Debug("asking about a follower", "of", address, "error", err)
	}
}

func dialTCP(ctx context.Context, address string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "tcp", address)
}
