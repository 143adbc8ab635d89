package scale

import (
	"fmt"
	"io"
)

// counters are what all hosts have sent, together.
type counters struct {
	residencyBytes, residencyMessages, gossipBytes float64
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
				"wasmesh_gossip_bytes_total": &sum.gossipBytes,
			}[family.GetName()]
			if into == nil {
				continue
			}
			for _, metric := range family.GetMetric() {
				for _, label := range metric.GetLabel() {
					if label.GetName() == "direction" && label.GetValue() == "sent" {
						*into += metric.GetCounter().GetValue()
					}
				}
			}
		}
	}
	return sum
}

func (c counters) minus(o counters) counters {
	return counters{c.residencyBytes - o.residencyBytes, c.residencyMessages - o.residencyMessages, c.gossipBytes - o.gossipBytes}
}

func (c counters) over(n float64) counters {
	return counters{c.residencyBytes / n, c.residencyMessages / n, c.gossipBytes / n}
}

func say(w io.Writer, when string, c counters) {
	fmt.Fprintf(w, "%s, sent per host and second: residency %.0f bytes in %.1f messages, gossip %.0f bytes\n",
		when, c.residencyBytes, c.residencyMessages, c.gossipBytes)
}
