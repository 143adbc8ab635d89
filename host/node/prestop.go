package node

import (
	"cmp"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/wasmesh/wasmesh/host/mesh"
)

// prestopHandler answers the kubelet before it stops a runtime's container, so that the runtime outlives the drain: when this
// host has drained and unloaded, or should have. The kubelet runs the hooks of all containers at once and signals a
// container after its own, so this host may hear of its end here first; then it begins.
func (n *node) prestopHandler() http.Handler {
	var first sync.Once
	mux := http.NewServeMux()
	mux.HandleFunc("GET /prestop", func(w http.ResponseWriter, r *http.Request) {
		first.Do(func() {
			n.logger.Info("the runtime is about to be stopped: leaving", "answer_within", n.drainDeadline())
			close(n.asked)
		})
		// The page's bounds are for other pages. One that cannot be lifted breaks this answer off, and with it the wait.
		answer := http.NewResponseController(w)
		_, _ = answer.SetReadDeadline(time.Time{}), answer.SetWriteDeadline(time.Time{})
		patience := time.NewTimer(n.drainDeadline())
		defer patience.Stop()
		select {
		case <-n.unloaded:
			fmt.Fprintln(w, "drained and unloaded")
		case <-patience.C:
			n.logger.Warn("not drained in time: the runtime is stopped with models in it")
			fmt.Fprintln(w, "not drained in time")
		case <-r.Context().Done():
		}
	})
	return mux
}

// prestopMargin is short of the 30 s that a pod is given beyond handing over and the grace: then the runtime has a moment
// to end by itself.
const prestopMargin = 25 * time.Second

// drainDeadline is how long an answer waits at most. Leaving takes longer only when requests in flight do not end.
func (n *node) drainDeadline() time.Duration {
	return cmp.Or(n.config.HandoverTimeout, mesh.DefaultDrainTimeout) + n.config.DrainGrace + prestopMargin
}
