// Package scale runs the part of a host that knows the others, package host/peers, sixty-four times in one process over
// real sockets of the loopback, and counts what they say to each other: at rest, under steady change, and when one more
// joins. Requests and runtimes are left out: what a host costs its neighbours does not depend on them.
package scale

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"

	"github.com/wasmesh/wasmesh/host/members"
	"github.com/wasmesh/wasmesh/host/peers"
	"github.com/wasmesh/wasmesh/host/peers/residency"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// Config of a run.
type Config struct {
	// Hosts and Copies are of the whole mesh.
	Hosts, Copies int
	// Window is how long each state is watched.
	Window time.Duration
	Out    io.Writer
}

// host is one member.
type host struct {
	id       string
	peers    *peers.Peers
	registry *prometheus.Registry
	listener net.Listener
	leave    context.CancelFunc
	server   *grpc.Server
}

// silent takes no part in placing: nobody asks.
type silent struct {
	peerv1.UnimplementedPeerServiceServer
}

// deaf is told of changes and does nothing: the tables are looked at.
type deaf struct{}

func (deaf) MembersChanged(*members.View) {}
func (deaf) CopiesChanged([]uint64)       {}

type cluster struct {
	config Config
	dir    string
	hosts  []*host
	ended  sync.WaitGroup
	once   sync.Once
}

// Run measures and prints.
func Run(ctx context.Context, config Config) error {
	dir, err := os.MkdirTemp("", "wasmesh-scale-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	c := &cluster{config: config, dir: dir}
	defer c.stop()
	before := heap()
	started := time.Now()
	for range config.Hosts {
		if err := c.add(ctx); err != nil {
			return err
		}
	}
	if err := c.until(ctx, func() bool { return c.known(config.Hosts) }); err != nil {
		return fmt.Errorf("not all hosts know all others: %w", err)
	}
	formed, forming, pairs := time.Since(started), c.counters(), float64(config.Hosts*(config.Hosts-1))
	fmt.Fprintf(config.Out, "%d hosts know each other after %v, %.1f s of processor, %.0f snapshots for %.0f pairs\n", config.Hosts,
		formed.Round(10*time.Millisecond), forming.processor, forming.snapshots, pairs)
	connected := heap()

	each := config.Copies / config.Hosts
	started = time.Now()
	for n, h := range c.hosts {
		c.publish(h, n*each, each)
	}
	if err := c.until(ctx, func() bool { return c.converged(each * config.Hosts) }); err != nil {
		return fmt.Errorf("not all hosts know all copies: %w", err)
	}
	filled := time.Since(started)
	fmt.Fprintf(config.Out, "%d copies are known everywhere after %v, %.1f s of processor; a link takes %.0f KiB of heap and stacks on both sides\n",
		each*config.Hosts, filled.Round(10*time.Millisecond), c.counters().minus(forming).processor, (connected-before)/1024/pairs)

	rest, err := c.watch(ctx, func() {})
	if err != nil {
		return err
	}
	say(config.Out, "at rest", rest)
	tick := 0
	busy, err := c.watch(ctx, func() {
		// Each host loads or unloads one model a second: 64 changes a second, each known everywhere.
		tick++
		for n, h := range c.hosts {
			state := residency.Draining
			if tick%2 == 0 {
				state = residency.Loaded
			}
			h.peers.Publish(residency.Entry{Key: key(n * each), State: state, Size: 10 << 20}, nil)
		}
	})
	if err != nil {
		return err
	}
	say(config.Out, "one change a second on each host", busy)

	traffic := c.counters()
	started = time.Now()
	if err := c.add(ctx); err != nil {
		return err
	}
	newest := c.hosts[len(c.hosts)-1]
	c.publish(newest, config.Copies, each)
	if err := c.until(ctx, func() bool { return c.converged(each * (config.Hosts + 1)) }); err != nil {
		return fmt.Errorf("a host that joined is not known, or does not know: %w", err)
	}
	joined := time.Since(started)
	after := c.counters().minus(traffic)
	fmt.Fprintf(config.Out, "one more host with %d copies: it knows everything and everybody knows it after %v; meanwhile %.1f KiB of residency and %.1f KiB of gossip per host\n",
		each, joined.Round(10*time.Millisecond), after.residencyBytes/1024/float64(len(c.hosts)), after.gossipBytes/1024/float64(len(c.hosts)))
	tables := c.contents()
	c.stop()
	entry := bytesPerEntry(tables)
	fmt.Fprintf(config.Out, "the table of what all hosts hold takes %.1f bytes per copy\n", entry)
	fmt.Fprintf(config.Out, "figures: form_s=%.3f form_cpu_s=%.1f fill_s=%.3f join_s=%.3f rest_bytes_per_s=%.0f rest_messages_per_s=%.1f busy_bytes_per_s=%.0f busy_messages_per_s=%.1f gossip_bytes_per_s=%.0f rest_cpu_ms_per_s=%.1f entry_bytes=%.1f\n",
		formed.Seconds(), forming.processor, filled.Seconds(), joined.Seconds(), rest.residencyBytes+rest.gossipBytes, rest.residencyMessages+rest.gossipMessages,
		busy.residencyBytes+busy.gossipBytes, busy.residencyMessages+busy.gossipMessages, rest.gossipBytes, rest.processor*1000, entry)
	return nil
}

// contents are what the first host's table has of each.
func (c *cluster) contents() (all [][]residency.Entry) {
	for _, h := range c.hosts {
		all = append(all, slices.Collect(c.hosts[0].peers.Table().Entries(h.id)))
	}
	return all
}

// bytesPerEntry fills tables with what hosts hold and looks how the heap has grown; of the mesh itself nothing is left
// by then, or its connections would hide it.
func bytesPerEntry(hosts [][]residency.Entry) float64 {
	const tables = 64
	before, entries := heap(), 0
	var filled []*residency.Table
	for range tables {
		table := residency.NewTable()
		for n, held := range hosts {
			if _, err := table.Replace(fmt.Sprint("host-", n), 1, held, residency.Stamp{Sequence: 1, Digest: residency.DigestOf(held)}); err != nil {
				panic(err) // they come from a table
			}
		}
		filled, entries = append(filled, table), entries+table.Len()
	}
	grown := heap() - before
	runtime.KeepAlive(filled)
	return grown / float64(entries)
}

func (c *cluster) add(ctx context.Context) error {
	n := len(c.hosts)
	address := fmt.Sprintf("127.77.%d.%d", 1+n/200, 1+n%200)
	listener, err := net.Listen("tcp", address+":0")
	if err != nil {
		return err
	}
	h := &host{id: fmt.Sprintf("host-%03d", n), registry: prometheus.NewRegistry(), listener: listener}
	h.peers, err = peers.New(peers.Config{
		Mesh: "scale", Namespace: "default", HostID: h.id, Epoch: 1, Started: time.Now(), Runtime: "fake",
		PeerAddress: listener.Addr().String(), GRPCAddress: address + ":8033", RESTAddress: address + ":8008", GossipAddress: address + ":0",
		Key: make([]byte, peers.KeySize),
	}, peers.Deps{Listener: deaf{}, Handler: silent{}, Logger: slog.New(slog.DiscardHandler), Metrics: h.registry})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	server := h.peers.Server()
	c.ended.Go(func() { _ = server.Serve(listener) })
	c.ended.Go(func() { _ = h.peers.Run(ctx) })
	h.leave, h.server = cancel, server
	h.peers.PublishFigures(&peerv1.Figures{Capacity: &syncv1.Resources{HostMemoryBytes: 1 << 34}, RuntimeReady: true, Arbiter: true})
	if n > 0 {
		h.peers.SetSeeds([]peers.Seed{{ID: c.hosts[0].id, Peer: c.hosts[0].listener.Addr().String(), Gossip: c.hosts[0].peers.GossipAddress()}})
	}
	c.hosts = append(c.hosts, h)
	return nil
}

func (c *cluster) publish(h *host, from, n int) {
	for i := range n {
		h.peers.Publish(residency.Entry{Key: key(from + i), State: residency.Loaded, Size: 10 << 20, Used: 5_000_000}, nil)
	}
}

// key spreads numbers as hashes are spread.
func key(i int) uint64 {
	x := uint64(i+1) * 0x9e3779b97f4a7c15
	return x ^ x>>29
}

// known reports whether every host has so many live members in its view.
func (c *cluster) known(n int) bool {
	return !slices.ContainsFunc(c.hosts, func(h *host) bool {
		live := 0
		for _, m := range h.peers.View().All() {
			if m.Live {
				live++
			}
		}
		return live < n
	})
}

func (c *cluster) converged(copies int) bool {
	return !slices.ContainsFunc(c.hosts, func(h *host) bool { return h.peers.Table().Len() != copies })
}

func (c *cluster) until(ctx context.Context, done func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	for !done() {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// watch counts for a window, after a moment of calm, while change runs once a second.
func (c *cluster) watch(ctx context.Context, change func()) (counters, error) {
	change()
	select {
	case <-time.After(2 * time.Second):
	case <-ctx.Done():
		return counters{}, ctx.Err()
	}
	before, started := c.counters(), time.Now()
	for time.Since(started) < c.config.Window {
		change()
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return counters{}, ctx.Err()
		}
	}
	return c.counters().minus(before).over(time.Since(started).Seconds() * float64(len(c.hosts))), nil
}

// stop ends all hosts, as a mesh that is shut down does.
func (c *cluster) stop() {
	c.once.Do(func() {
		for _, h := range c.hosts {
			h.leave()
		}
		for _, h := range c.hosts {
			h.server.Stop()
		}
		c.ended.Wait()
		c.hosts = nil
	})
}

// heap is what is in use of it, and of stacks, bytes.
func heap() float64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return float64(stats.HeapAlloc + stats.StackInuse)
}
