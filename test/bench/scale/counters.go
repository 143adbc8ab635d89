package scale

import (
	"fmt"
	"io"
	"slices"
	"syscall"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/wasmesh/wasmesh/host/peers/link"
)

// counters are what all hosts have sent, together.
type counters struct {
	residencyBytes, residencyMessages, gossipBytes, gossipMessages, snapshots float64
	// processor is the time of all of them, seconds.
	processor float64
}

func (c *cluster) counters() (sum counters) {
	for _, h := range c.hosts {
		families, err := h.registry.Gather()
		if err != nil {
			continue
		}
		for _, family := range families {
			into := map[string]*float64{
				"wasmesh_residency_bytes_total": &sum.residencyBytes, "wasmesh_residency_messages_total": &sum.residencyMessages,
				"wasmesh_gossip_bytes_total": &sum.gossipBytes, "wasmesh_gossip_messages_total": &sum.gossipMessages,
				"wasmesh_residency_snapshots_total": &sum.snapshots,
			}[family.GetName()]
			if into == nil {
				continue
			}
			for _, metric := range family.GetMetric() {
				if sentBy(metric) {
					*into += metric.GetCounter().GetValue()
				}
			}
		}
	}
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err == nil {
		sum.processor = time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
	}
	return sum
}

// sentBy: the metric counts what its host sent, and not what it received.
func sentBy(metric *dto.Metric) bool {
	return !slices.ContainsFunc(metric.GetLabel(), func(label *dto.LabelPair) bool {
		return label.GetName() == "direction" && label.GetValue() != link.Out
	})
}

func (c counters) minus(o counters) counters {
	return counters{
		c.residencyBytes - o.residencyBytes, c.residencyMessages - o.residencyMessages, c.gossipBytes - o.gossipBytes,
		c.gossipMessages - o.gossipMessages, c.snapshots - o.snapshots, c.processor - o.processor,
	}
}

func (c counters) over(n float64) counters {
	return counters{
		c.residencyBytes / n, c.residencyMessages / n, c.gossipBytes / n, c.gossipMessages / n, c.snapshots / n, c.processor / n,
	}
}

func say(w io.Writer, when string, c counters) {
	fmt.Fprintf(w, "%s, sent per host and second: residency %.0f bytes in %.1f messages, gossip %.0f bytes in %.1f messages; %.1f ms of processor\n",
		when, c.residencyBytes, c.residencyMessages, c.gossipBytes, c.gossipMessages, c.processor*1000)
}
