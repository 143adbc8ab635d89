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
	stop     func()
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
	fmt.Fprintf(config.Out, "%d hosts know each other after %v\n", config.Hosts, time.Since(started).Round(10*time.Millisecond))
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
	entries := float64(each*config.Hosts) * float64(config.Hosts)
	fmt.Fprintf(config.Out, "%d copies are known everywhere after %v; heap %.0f MiB for connections, %.1f bytes per entry and host\n",
		each*config.Hosts, filled.Round(10*time.Millisecond), (connected-before)/(1<<20), (heap()-connected)/entries)

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
	fmt.Fprintf(config.Out, "figures: fill_s=%.3f join_s=%.3f rest_bytes_per_s=%.0f rest_messages_per_s=%.1f busy_bytes_per_s=%.0f gossip_bytes_per_s=%.0f\n",
		filled.Seconds(), joined.Seconds(), rest.residencyBytes+rest.gossipBytes, rest.residencyMessages, busy.residencyBytes+busy.gossipBytes, rest.gossipBytes)
	return nil
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
	h.stop = func() {
		cancel()
		server.Stop()
	}
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
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for !done() {
		select {
		case <-time.After(5 * time.Millisecond):
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

func (c *cluster) stop() {
	for _, h := range c.hosts {
		h.stop()
	}
	c.ended.Wait()
}

func heap() float64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return float64(stats.HeapAlloc)
}
