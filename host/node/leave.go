package node

import (
	"context"
	"time"

	"github.com/wasmesh/wasmesh/host/ingress"
)

const (
	// finishTimeout is how long requests in flight may take to finish when the host was drained: nobody waits for it.
	finishTimeout = 30 * time.Second
	// leaveTimeout bounds telling the others, and leavePause is how long they have to act on it before the listener for
	// them closes: what they send meanwhile is sent elsewhere, instead of breaking with its connection.
	leaveTimeout = time.Second
	leavePause   = 500 * time.Millisecond
	// wantedAgain is how often a host that only waits for clients looks whether there is anything left to ask it for.
	wantedAgain = 100 * time.Millisecond
)

// running are the parts at work.
type running struct {
	failures chan error
	// together is nil for a host that is alone, executor for a gateway.
	policy, mesh, together, executor, client *part
	// key is nil for a host that is alone, identity in plain text.
	key, identity *part
	servers       []*part
}

// run starts the parts, waits for the end of ctx, the controller's wish or the first failure, and stops them in the order
// of the package's doc.
func (n *node) run(ctx context.Context) error {
	r := n.start(ctx)
	var failure error
	handover := false
	select {
	case <-ctx.Done():
		close(n.leaving)
		handover, failure = n.signalled(ctx, r)
	case timeout := <-n.drains:
		close(n.leaving)
		if n.config.HandoverOnSignal {
			ctx = context.WithoutCancel(ctx) // A signal wants what is under way.
		}
		handover = true
		failure = n.handOver(ctx, r, timeout)
		// Cut short, the host ends as for the signal.
		handover = handover && ctx.Err() == nil
	case failure = <-r.failures:
		close(n.leaving)
	}
	n.logger.Info("stopping", "failure", failure)
	n.stop(r, handover && failure == nil)
	return failure
}

// signalled hands over if that is wanted of a signal.
func (n *node) signalled(ctx context.Context, r *running) (handover bool, failure error) {
	if handover = n.config.HandoverOnSignal && !n.config.Alone(); handover {
		failure = n.handOver(context.WithoutCancel(ctx), r, 0)
	}
	return handover, failure
}

func (n *node) start(ctx context.Context) *running {
	n.ran = true
	r := &running{failures: make(chan error, 16)}
	if n.identity != nil {
		r.identity = begin(r.failures, n.identity.Run)
		n.awaitCertificate(ctx)
	}
	r.policy = begin(r.failures, n.policies.Run)
	r.mesh = begin(r.failures, n.mesh.Run)
	if n.together != nil {
		r.together = begin(r.failures, n.together.Run)
		r.key = begin(r.failures, func(ctx context.Context) error { return n.followKey(ctx, lookAtKey) })
		r.servers = append(r.servers, begin(r.failures, func(context.Context) error { return n.server.ServePeers(n.securePeer(n.peer)) }))
	}
	if n.executor != nil {
		r.executor = begin(r.failures, n.executor.Run)
	}
	r.client = begin(r.failures, n.client.Run)
	r.servers = append(r.servers,
		begin(r.failures, func(context.Context) error {
			return n.server.ServeGRPC(n.secureClient(n.grpc, ingress.GRPCProtocols()))
		}),
		begin(r.failures, func(context.Context) error {
			return n.server.ServeREST(n.secureClient(n.rest, ingress.RESTProtocols()))
		}))
	for _, p := range n.pages {
		r.servers = append(r.servers, begin(r.failures, p.serve))
	}
	return r
}

// handOver has others load the copies in use, then serves on while clients find other hosts. A failure of a part, or the
// end of ctx, cuts it short.
func (n *node) handOver(ctx context.Context, r *running, timeout time.Duration) (failure error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.mesh.HandOver(ctx, timeout)
		if ctx.Err() != nil {
			return
		}
		n.logger.Info("not ready any more; serving on while clients find other hosts", "for", n.config.DrainGrace)
		n.server.Drain()
		n.mesh.Closing()
		n.grace(ctx)
	}()
	select {
	case <-done:
	case failure = <-r.failures:
		cancel()
		<-done
	}
	return failure
}

// grace returns when clients have had the time to find other hosts, or have nothing to look for: a mesh without any name
// to ask for is one that is taken down, such as with its namespace, whose end waits for its pods.
func (n *node) grace(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, n.config.DrainGrace)
	defer cancel()
	again := time.NewTicker(wantedAgain)
	defer again.Stop()
	for n.named() {
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
	}
	n.logger.Info("nothing is declared in this mesh any more: nobody is waited for")
}

// named reports whether there is a name that a request can ask for, as far as this host has been told.
func (n *node) named() bool {
	table := n.client.Table()
	if !table.Complete() {
		return true
	}
	for range table.Aliases {
		return true
	}
	for range table.Models {
		return true
	}
	return false
}

// stop ends all parts.
func (n *node) stop(r *running, handedOver bool) {
	within := n.config.DrainTimeout
	if handedOver {
		within = max(within, finishTimeout)
	}
	if r.together != nil && !r.together.ended() {
		n.leave(handedOver)
	}
	draining, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	if err := n.server.Shutdown(draining); err != nil {
		n.logger.Warn("requests in flight did not finish in time", "within", within)
	}
	if r.executor != nil {
		r.executor.end()
	}
	close(n.unloaded)
	for _, p := range []*part{r.mesh, r.key, r.together, r.policy, r.client, r.identity} {
		if p != nil {
			p.end()
		}
	}
	for _, p := range n.pages {
		p.close()
	}
	for _, server := range r.servers {
		server.end()
	}
}

// leave has the others drop this host: from then on they send nothing here.
func (n *node) leave(handedOver bool) {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	if err := n.peers.Leave(ctx); err != nil {
		n.logger.Warn("others find out by themselves that this host leaves", "error", err)
	}
	if handedOver {
		time.Sleep(leavePause)
	}
}
