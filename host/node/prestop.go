package node

import (
	"cmp"
	"fmt"
	"net/http"
	"time"

	"github.com/wasmesh/wasmesh/host/mesh"
)

// signalLag is far more than passes between the hook of one container of a pod and the signal to another.
const signalLag = 5 * time.Second

// prestopHandler answers the kubelet before it stops a runtime's container, so that the runtime outlives the drain: when this
// host has drained and unloaded, or should have. It does not make the host leave, a signal does: the kubelet ends all
// containers of a pod at once, and this one has no hook. Where no signal comes, the pod stays and the runtime alone is
// started again, as for a probe that failed.
func (n *node) prestopHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /prestop", func(w http.ResponseWriter, r *http.Request) {
		// The page's bounds are for other pages. One that cannot be lifted breaks this answer off, and with it the wait.
		answer := http.NewResponseController(w)
		_, _ = answer.SetReadDeadline(time.Time{}), answer.SetWriteDeadline(time.Time{})
		lag := time.NewTimer(signalLag)
		defer lag.Stop()
		select {
		case <-n.leaving:
		case <-lag.C:
			fmt.Fprintln(w, "this host stays")
			return
		case <-r.Context().Done():
			return
		}
		n.logger.Info("the runtime is about to be stopped", "answer_within", n.drainDeadline())
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
