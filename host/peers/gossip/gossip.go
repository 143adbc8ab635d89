package gossip

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// Intervals. Links tell who is alive; gossip has to be quick only about who has come, and sure about who has gone.
const (
	// probeInterval and probeTimeout: a host that is gone is suspected after a few probes and dead some seconds later; one
	// that is only busy is not, for every suspicion is told to all and denied before all.
	probeInterval = time.Second
	probeTimeout  = 500 * time.Millisecond
	// gossipInterval: a newcomer is known to all after a few rounds.
	gossipInterval = 100 * time.Millisecond
	// pushPullInterval mends what gossip has lost; memberlist stretches it in meshes of more than 32.
	pushPullInterval = 15 * time.Second
	// deadTime is for how long a dead host is still told that it is, in case it is not, and remembered.
	deadTime = 15 * time.Second
	// leaving is how long the word that this host leaves has to reach the others, some rounds of gossip.
	leaving = 5 * gossipInterval
)

// Config is how a Gossip takes part.
type Config struct {
	// Label names the mesh: messages of another are refused.
	Label string
	// Key has 16, 24 or 32 bytes.
	Key []byte
	// Node is this start of this host; its Name and GossipAddress are filled in.
	Node Node
	// Bind and Advertise are peers.Config's GossipAddress and GossipAdvertise.
	Bind, Advertise string
	// Transport in place of sockets; nil binds.
	Transport memberlist.Transport
	Events    Events
	// Refused and Traffic count; they may be called by any goroutine.
	Refused func(Refusal)
	Traffic func(direction string, bytes int)
	Logger  *slog.Logger
}

// Gossip takes part until it is closed.
type Gossip struct {
	config    Config
	list      *memberlist.Memberlist
	inspector *inspector
	keyring   *memberlist.Keyring
	directory *directory
	self      Node

	// mu guards closed, and that memberlist is told to leave only before it is shut down, or it panics.
	mu      sync.Mutex
	closed  bool
	closing chan struct{}
}

// New joins nobody yet, but may be joined.
func New(config Config) (*Gossip, error) {
	var nonce [8]byte
	rand.Read(nonce[:])
	config.Node.Name = nameOf(config.Node.ID, config.Node.Epoch, binary.BigEndian.Uint64(nonce[:]))
	meta, err := config.Node.encode()
	if err != nil {
		return nil, fmt.Errorf("gossip: %w", err)
	}
	in, err := newInspector(config.Label, config.Key)
	if err != nil {
		return nil, err
	}
	transport := config.Transport
	if transport == nil {
		if transport, err = newSocket(config.Bind, config.Logger); err != nil {
			return nil, err
		}
	}
	g := &Gossip{
		config: config, inspector: in, self: config.Node, directory: newDirectory(config.Node, config.Events), closing: make(chan struct{}),
	}
	settings, err := g.settings(meta)
	if err == nil {
		g.keyring, err = memberlist.NewKeyring(nil, config.Key)
		settings.Keyring = g.keyring
	}
	if err != nil {
		return nil, errors.Join(err, transport.Shutdown())
	}
	settings.Transport = newGuard(transport, in, g.refused, config.Traffic)
	if g.list, err = memberlist.Create(settings); err != nil {
		return nil, errors.Join(fmt.Errorf("gossip: %w", err), settings.Transport.Shutdown())
	}
	g.self.GossipAddress = g.list.LocalNode().Address()
	return g, nil
}

func (g *Gossip) settings(meta []byte) (*memberlist.Config, error) {
	c := memberlist.DefaultLANConfig()
	c.Name, c.Label = g.self.Name, g.config.Label
	c.TCPTimeout = streamTimeout
	c.ProbeInterval, c.ProbeTimeout = probeInterval, probeTimeout
	c.GossipInterval, c.GossipToTheDeadTime = gossipInterval, deadTime
	c.PushPullInterval = pushPullInterval
	// Messages are small, and what is compressed cannot be bounded before it is taken apart.
	c.EnableCompression = false
	c.Logger = log.New(debugWriter{g.config.Logger}, "", 0)
	c.BindPort, c.AdvertiseAddr, c.AdvertisePort = 0, "", 0
	delegates := &delegates{gossip: g, meta: meta}
	c.Delegate, c.Alive, c.Events = delegates, delegates, delegates
	if g.config.Advertise == "" {
		return c, nil
	}
	host, port, err := net.SplitHostPort(g.config.Advertise)
	if err != nil {
		return nil, fmt.Errorf("gossip address to advertise: %w", err)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("gossip address to advertise: port %q: %w", port, err)
	}
	c.AdvertiseAddr, c.AdvertisePort = host, int(number)
	return c, nil
}

// SetKeys encrypts with the first key from now on, and opens what is encrypted with any: while all hosts change from one to
// another, both are accepted. Keys are as Config.Key.
func (g *Gossip) SetKeys(keys [][]byte) error {
	if len(keys) == 0 {
		return errors.New("gossip: no key")
	}
	for _, key := range keys {
		if err := g.keyring.AddKey(key); err != nil {
			return fmt.Errorf("gossip: %w", err)
		}
	}
	if err := g.inspector.accept(keys); err != nil {
		return err
	}
	if err := g.keyring.UseKey(keys[0]); err != nil {
		return fmt.Errorf("gossip: %w", err)
	}
	for _, key := range g.keyring.GetKeys() {
		if slices.ContainsFunc(keys, func(kept []byte) bool { return bytes.Equal(kept, key) }) {
			continue
		}
		if err := g.keyring.RemoveKey(key); err != nil {
			return fmt.Errorf("gossip: %w", err)
		}
	}
	return nil
}

// Self is this start of this host, with its name and the address at which others reach its gossip.
func (g *Gossip) Self() Node { return g.self }

// Join exchanges what is known with the host at this address, "host:port" with an IP address. It takes seconds when
// nobody answers.
func (g *Gossip) Join(address string) error {
	_, err := g.list.Join([]string{address})
	if err != nil {
		return fmt.Errorf("join %s: %w", address, err)
	}
	return nil
}

// Leave tells the others that this host leaves for good, and gives them a moment to hear it, until ctx ends at most, or
// nobody is left. After Close it does nothing.
func (g *Gossip) Leave(ctx context.Context) error {
	if !g.sayGoodbye() {
		return nil
	}
	ticks := time.NewTicker(gossipInterval / 4)
	defer ticks.Stop()
	patience := time.NewTimer(leaving)
	defer patience.Stop()
	for g.directory.len() > 0 {
		select {
		case <-ticks.C:
		case <-patience.C:
			return nil
		case <-g.closing:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("leave the mesh: %w", ctx.Err())
		}
	}
	return nil
}

// sayGoodbye hands memberlist the word; false when it takes none any more. memberlist itself would wait until it has been
// sent so and so often, which in a mesh that all leave never happens, and calls that an error.
func (g *Gossip) sayGoodbye() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	_ = g.list.Leave(time.Millisecond)
	return true
}

// Close ends it. memberlist's goroutines end within streamTimeout.
func (g *Gossip) Close() error {
	g.mu.Lock()
	if !g.closed {
		g.closed = true
		close(g.closing)
	}
	g.mu.Unlock()
	return g.list.Shutdown()
}

func (g *Gossip) refused(err error) {
	if reason, ok := refusalOf(err); ok {
		g.config.Refused(reason)
		g.config.Logger.Debug("gossip refused", "reason", string(reason), "error", err)
	}
}

// delegates is what memberlist asks and tells.
type delegates struct {
	gossip *Gossip
	meta   []byte
}

// NodeMeta implements memberlist.Delegate.
func (d *delegates) NodeMeta(int) []byte { return d.meta }

// NotifyMsg implements memberlist.Delegate: messages of other kinds are refused before.
func (d *delegates) NotifyMsg([]byte) {}

// GetBroadcasts implements memberlist.Delegate.
func (d *delegates) GetBroadcasts(int, int) [][]byte { return nil }

// LocalState implements memberlist.Delegate.
func (d *delegates) LocalState(bool) []byte { return nil }

// MergeRemoteState implements memberlist.Delegate.
func (d *delegates) MergeRemoteState([]byte, bool) {}

// NotifyAlive implements memberlist.AliveDelegate: an error keeps the node out.
func (d *delegates) NotifyAlive(n *memberlist.Node) error {
	if n.Name == d.gossip.self.Name {
		return nil
	}
	node, err := described(n)
	if err != nil {
		d.gossip.config.Refused(RefusedMalformed)
		return err
	}
	if known := d.gossip.directory.has(node); !known && d.gossip.directory.len() >= MaxHosts {
		d.gossip.config.Refused(RefusedOversized)
		return fmt.Errorf("%d hosts are known already", MaxHosts)
	} else if !known && node.ID == d.gossip.self.ID {
		d.gossip.config.Refused(RefusedIdentity)
	}
	return nil
}

// NotifyJoin implements memberlist.EventDelegate.
func (d *delegates) NotifyJoin(n *memberlist.Node) { d.NotifyUpdate(n) }

// NotifyUpdate implements memberlist.EventDelegate.
func (d *delegates) NotifyUpdate(n *memberlist.Node) {
	if n.Name == d.gossip.self.Name {
		return
	}
	if node, err := described(n); err == nil {
		d.gossip.directory.alive(node)
	}
}

// NotifyLeave implements memberlist.EventDelegate.
func (d *delegates) NotifyLeave(n *memberlist.Node) {
	if node, err := described(n); err == nil {
		d.gossip.directory.gone(node.ID, n.Name)
	}
}

// debugWriter makes log records of memberlist's lines.
type debugWriter struct{ log *slog.Logger }

func (w debugWriter) Write(line []byte) (int, error) {
	w.log.Debug(strings.TrimSpace(string(line)))
	return len(line), nil
}
