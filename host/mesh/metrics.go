package mesh

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wasmesh/wasmesh/host/arbiter"
	"github.com/wasmesh/wasmesh/host/lifecycle/machine"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
)

type metrics struct {
	places       *prometheus.CounterVec
	placeSeconds prometheus.Histogram
	reservations *prometheus.CounterVec
	historyLost  prometheus.Counter
	drainCopies  *prometheus.GaugeVec
}

func newMetrics(registry prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		places: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wasmesh_places_total", Help: "Questions to arbiters where a model goes, by purpose and what came of them.",
		}, []string{"purpose", "result"}),
		placeSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "wasmesh_place_seconds", Help: "Time until an arbiter had decided.",
			Buckets: []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2},
		}),
		reservations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "wasmesh_reservations_total", Help: "Loads that arbiters asked of this host, by purpose and its answer.",
		}, []string{"purpose", "result"}),
		historyLost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "wasmesh_history_lost_total", Help: "Records of the use of models that came faster than they could be told.",
		}),
		drainCopies: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "wasmesh_drain_copies", Help: "Copies that this host has to hand over before it leaves, by how far they are.",
		}, []string{"state"}),
	}
	for _, c := range []prometheus.Collector{m.places, m.placeSeconds, m.reservations, m.historyLost, m.drainCopies} {
		if err := registry.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics of the mesh: %w", err)
		}
	}
	return m, nil
}

// label is a reason in lower case, without what they all begin with.
func label(reason peerv1.UnplacedReason) string {
	const prefix = len("UNPLACED_REASON_")
	if name, known := peerv1.UnplacedReason_name[int32(reason)]; known && len(name) > prefix {
		return name[prefix:]
	}
	return "UNKNOWN"
}

func (m *metrics) asked(purpose policyabi.Purpose, result arbiter.Result, decided bool, took time.Duration) {
	said := "NO_ANSWER"
	switch {
	case result.Placed != nil && result.Placed.Already:
		said = "ALREADY"
	case result.Placed != nil:
		said = "PLACED"
	case result.Unplaced != nil && result.Unplaced.Reason != peerv1.UnplacedReason_UNPLACED_REASON_UNSPECIFIED:
		said = label(result.Unplaced.Reason)
	}
	m.places.WithLabelValues(purpose.String(), said).Inc()
	if decided {
		m.placeSeconds.Observe(took.Seconds())
	}
}

func (m *metrics) reserved(purpose policyabi.Purpose, reserved machine.Reserved) {
	said := "GRANTED"
	if !reserved.Granted {
		said = label(reserved.Reason)
	}
	m.reservations.WithLabelValues(purpose.String(), said).Inc()
}
