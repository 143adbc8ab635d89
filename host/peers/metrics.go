package peers

import (
	"fmt"
	"runtime/debug"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wasmesh/wasmesh/host/members"
	"github.com/wasmesh/wasmesh/host/peers/gossip"
	"github.com/wasmesh/wasmesh/host/peers/link"
)

// refusedToken: a call without the key of the mesh. The other reasons are those of gossip and link, which share names.
const refusedToken = "token"

type metrics struct {
	peers                     *prometheus.GaugeVec
	refusals                  *prometheus.CounterVec
	gossipBytes               *prometheus.CounterVec
	gossipMessages            *prometheus.CounterVec
	residencyBytes            *prometheus.CounterVec
	residencyMessages         *prometheus.CounterVec
	snapshots                 prometheus.Counter
	gossipIn, gossipOut       traffic
	residencyIn, residencyOut traffic
}

// traffic is one direction of bytes and messages.
type traffic struct{ bytes, messages prometheus.Counter }

func (t traffic) add(bytes int) {
	t.bytes.Add(float64(bytes))
	t.messages.Inc()
}

func newMetrics(registry prometheus.Registerer) (*metrics, error) {
	vector := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
	}
	m := &metrics{
		peers: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "wasmesh_peers", Help: "Other hosts of the mesh: live ones are connected and known, absent ones ought to be.",
		}, []string{"state"}),
		refusals: vector("wasmesh_peer_refused_total",
			"Messages, calls and hosts that were not taken in: another key, another mesh, no token, malformed, oversized, or an id that another has.", "reason"),
		gossipBytes:       vector("wasmesh_gossip_bytes_total", "Bytes of gossip, encrypted, without headers of UDP and TCP.", "direction"),
		gossipMessages:    vector("wasmesh_gossip_messages_total", "Packets, and reads and writes of streams, of gossip.", "direction"),
		residencyBytes:    vector("wasmesh_residency_bytes_total", "Bytes of messages between hosts about what they hold and how they do.", "direction"),
		residencyMessages: vector("wasmesh_residency_messages_total", "Messages between hosts about what they hold and how they do.", "direction"),
		snapshots: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "wasmesh_residency_snapshots_total", Help: "Times that this host has sent all that it holds to another."}),
	}
	m.gossipIn = traffic{m.gossipBytes.WithLabelValues(gossip.In), m.gossipMessages.WithLabelValues(gossip.In)}
	m.gossipOut = traffic{m.gossipBytes.WithLabelValues(gossip.Out), m.gossipMessages.WithLabelValues(gossip.Out)}
	m.residencyIn = traffic{m.residencyBytes.WithLabelValues(link.In), m.residencyMessages.WithLabelValues(link.In)}
	m.residencyOut = traffic{m.residencyBytes.WithLabelValues(link.Out), m.residencyMessages.WithLabelValues(link.Out)}
	for _, reason := range []string{
		string(gossip.RefusedKey), string(gossip.RefusedMesh), refusedToken, string(gossip.RefusedMalformed),
		string(gossip.RefusedOversized), string(gossip.RefusedIdentity),
	} {
		m.refusals.WithLabelValues(reason)
	}
	if registry == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.peers, m.refusals, m.gossipBytes, m.gossipMessages, m.residencyBytes, m.residencyMessages, m.snapshots} {
		if err := registry.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics of peers: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) refused(reason string) { m.refusals.WithLabelValues(reason).Inc() }

func (m *metrics) gossip(direction string, bytes int) {
	if direction == gossip.In {
		m.gossipIn.add(bytes)
	} else {
		m.gossipOut.add(bytes)
	}
}

func (m *metrics) meter() link.Meter {
	return link.Meter{
		Message: func(direction string, bytes int) {
			if direction == link.In {
				m.residencyIn.add(bytes)
			} else {
				m.residencyOut.add(bytes)
			}
		},
		Snapshot: m.snapshots.Inc,
		Refused:  func(reason link.Refusal) { m.refused(string(reason)) },
	}
}

func (m *metrics) count(view *members.View) {
	live, absent := 0, 0
	for i := range view.All() {
		if member := &view.All()[i]; member == view.Self() {
			continue
		} else if member.Live {
			live++
		} else {
			absent++
		}
	}
	m.peers.WithLabelValues("live").Set(float64(live))
	m.peers.WithLabelValues("absent").Set(float64(absent))
}

// stack is where a panic came from.
func stack() string { return string(debug.Stack()) }
