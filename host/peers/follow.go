package peers

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/wasmesh/wasmesh/host/peers/gossip"
	"github.com/wasmesh/wasmesh/host/peers/link"
	"github.com/wasmesh/wasmesh/host/peers/residency"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
)

const (
	// A host that gossip lists is tried again quickly: it has just come, or comes back. Any other is tried with the
	// seeds.
	firstRetry = 50 * time.Millisecond
	lastRetry  = time.Second
	// dialTimeout is for the connection alone.
	dialTimeout = time.Second
	// maxAttempts are made at once, so that a host that joins many is not late for all of them.
	maxAttempts = 8
)

var (
	errReplaced = errors.New("the host has started anew")
	errSelf     = errors.New("the address is this host's own")
)

// follow is the goroutine of one host: it keeps a link to it for as long as the host is known.
func (p *Peers) follow(ctx context.Context, h *host) {
	wait := time.Duration(0)
	for ctx.Err() == nil {
		p.mu.Lock()
		address, expected := h.address()
		p.mu.Unlock()
		var err error
		var stood bool
		if address != "" {
			select {
			case p.attempts <- struct{}{}:
				stood, err = p.attempt(ctx, h, address)
			case <-ctx.Done():
			}
		}
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, errReplaced):
			wait = 0
			continue
		case address == "" || !expected:
			wait = seedInterval
		case stood:
			wait = firstRetry
		default:
			wait = min(max(2*wait, firstRetry), lastRetry)
		}
		// Those that lost each other at one moment do not all come back at one.
		wait = wait/2 + rand.N(wait/2)
		select {
		case <-h.wake:
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// attempt connects to the host and follows it until that ends; stood says that it was live. It gives back the slot that the
// caller has taken of attempts, when the host is live or the attempt has failed.
func (p *Peers) attempt(ctx context.Context, h *host, address string) (stood bool, err error) {
	conn, err := p.connect(address)
	if err != nil {
		<-p.attempts
		return false, err
	}
	defer conn.Close()
	ctx, breakOff := context.WithCancelCause(ctx)
	defer breakOff(nil)
	in := &intake{peers: p, host: h, address: address, attempt: &attempt{conn: conn, breakOff: breakOff}}
	in.settled = sync.OnceFunc(func() { <-p.attempts })
	defer in.settled()
	p.mu.Lock()
	h.attempt = in.attempt
	p.mu.Unlock()
	follower := link.Follower{Hello: p.links.Hello(), Meter: p.metrics.meter(), Stalled: p.stalled}
	err = follower.Follow(ctx, peerv1.NewPeerServiceClient(conn), in)
	p.lost(h, in, err)
	return in.live, err
}

func (p *Peers) connect(address string) (*grpc.ClientConn, error) {
	conn, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithContextDialer(p.dial), grpc.WithNoProxy(),
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithPerRPCCredentials(credentials(p.token)),
		grpc.WithReadBufferSize(bufferSize), grpc.WithWriteBufferSize(bufferSize), grpc.WithSharedWriteBuffer(true),
		grpc.WithInitialWindowSize(streamWindow), grpc.WithInitialConnWindowSize(connectionWindow),
		grpc.WithDisableServiceConfig(), grpc.WithDisableRetry(), grpc.WithIdleTimeout(0),
		grpc.WithUnaryInterceptor(gone),
	)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", address, err)
	}
	return conn, nil
}

// dial gives up soon on an address where nobody is: a host that is only busy has a kernel that takes the connection.
func (p *Peers) dial(ctx context.Context, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	return p.config.Dial(ctx, address)
}

// gone makes a call that ended because the link did say what it is: the host is not there, and not that the caller gave up.
func gone(ctx context.Context, method string, request, answer any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
	err := invoke(ctx, method, request, answer, conn, options...)
	if status.Code(err) == codes.Canceled && ctx.Err() == nil {
		return status.Error(codes.Unavailable, "the connection to the host was lost")
	}
	return err
}

// lost takes the host out: first of the View, then of the Table.
func (p *Peers) lost(h *host, in *intake, err error) {
	p.mu.Lock()
	h.tried = true
	left := errors.Is(err, link.ErrLeft)
	if h.attempt == in.attempt {
		h.attempt = nil
		if !in.attempt.replaced {
			if in.live {
				h.live, h.client, h.absentSince = false, nil, time.Now()
			}
			// Gossip had said so before, or the host itself says it.
			h.departed = h.departed || left || in.live && !h.listed && h.wasListed
		}
	}
	p.rebuild()
	p.mu.Unlock()
	if in.live {
		p.tableMu.Lock()
		changed := p.table.Drop(h.id)
		p.tableMu.Unlock()
		p.notifier.copiesChanged(changed)
		p.log.Info("host is not live any more", "host", h.id, "epoch", in.attempt.epoch, "error", err)
	} else if p.ctx.Err() == nil {
		p.log.Debug("no link to host", "host", h.id, "address", in.address, "error", err)
	}
}

// intake takes in what one link brings. It is used by the link's goroutine only.
type intake struct {
	peers   *Peers
	host    *host
	address string
	attempt *attempt
	settled func() // gives back the slot of attempts
	live    bool
}

// Greeted implements link.Sink.
func (in *intake) Greeted(hello *peerv1.LinkHello) error {
	p := in.peers
	refuse := func(reason link.Refusal, format string, args ...any) error {
		return &link.RefusedError{Reason: reason, Why: fmt.Sprintf(format, args...)}
	}
	if hello.GetMesh() != p.config.Mesh || hello.GetNamespace() != p.config.Namespace {
		return refuse(link.RefusedMesh, "%s is a host of mesh %s/%s", in.address, hello.GetMesh(), hello.GetNamespace())
	}
	if hello.GetHostId() == p.config.HostID {
		if p.meetNamesake(hello, in.address) {
			return errSelf
		}
		return refuse(link.RefusedIdentity, "%s has the id of this host", in.address)
	}
	if hello.GetHostId() != in.host.id {
		return refuse(link.RefusedIdentity, "%s is host %q, not %s", in.address, hello.GetHostId(), in.host.id)
	}
	if !gossip.ValidName(hello.GetRuntime()) || !gossip.ValidName(hello.GetZone()) ||
		!gossip.ValidOptionalAddress(hello.GetGrpcAddress()) || !gossip.ValidOptionalAddress(hello.GetRestAddress()) {
		return refuse(link.RefusedMalformed, "greeting of host %s", in.host.id)
	}
	in.attempt.epoch = hello.GetEpoch()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch h := in.host; {
	case in.attempt.replaced:
		return errReplaced
	case h.listed && hello.GetEpoch() < h.node.Epoch:
		return refuse(link.RefusedIdentity, "%s is still a former start of host %s", in.address, h.id)
	case h.greeting != nil && hello.GetEpoch() != h.greeting.GetEpoch():
		h.figures = nil
		h.departed = false
		h.greeting = hello
	default:
		h.greeting = hello
	}
	return nil
}

// Replace implements link.Sink. With the first snapshot the host becomes live.
func (in *intake) Replace(entries []residency.Entry, failures []link.Failure, stamp residency.Stamp) error {
	p, h := in.peers, in.host
	p.tableMu.Lock()
	changed, err := p.table.Replace(h.id, in.attempt.epoch, entries, stamp)
	p.tableMu.Unlock()
	if err != nil {
		return err
	}
	first := !in.live
	in.live = true
	in.settled()
	if first {
		p.mu.Lock()
		if !in.attempt.replaced {
			h.live, h.tried, h.departed = true, true, false
			h.client = peerv1.NewPeerServiceClient(in.attempt.conn)
		}
		p.rebuild()
		gossipless := !h.listed
		p.mu.Unlock()
		p.log.Info("host is live", "host", h.id, "epoch", in.attempt.epoch, "address", in.address, "copies", len(entries))
		if gossipless {
			p.seedsNow()
		}
	}
	in.remember(failures, changed)
	return nil
}

// Advance implements link.Sink.
func (in *intake) Advance(after uint64, entries []residency.Entry, failures []link.Failure, stamp residency.Stamp) error {
	p := in.peers
	p.tableMu.Lock()
	changed, err := p.table.Advance(in.host.id, in.attempt.epoch, after, entries, stamp)
	p.tableMu.Unlock()
	if err == nil {
		in.remember(failures, changed)
	}
	return err
}

func (in *intake) remember(failures []link.Failure, changed []uint64) {
	for _, f := range failures {
		in.peers.failures.Add(failureKey{in.host.id, f.Key}, f.Failure)
		changed = append(changed, f.Key)
	}
	in.peers.notifier.copiesChanged(changed)
}

// Matches implements link.Sink.
func (in *intake) Matches(stamp residency.Stamp) bool {
	in.peers.tableMu.Lock()
	defer in.peers.tableMu.Unlock()
	return in.peers.table.Matches(in.host.id, in.attempt.epoch, stamp)
}

// Described implements link.Sink.
func (in *intake) Described(figures *peerv1.Figures) {
	p, h := in.peers, in.host
	p.mu.Lock()
	defer p.mu.Unlock()
	if in.attempt.replaced || h.figures != nil && figures.GetSequence() <= h.figures.GetSequence() {
		return
	}
	urgent := h.figures == nil || flagsDiffer(h.figures, figures)
	h.figures = figures
	if urgent {
		p.rebuild()
	} else {
		p.stale = true
	}
}

// flagsDiffer: more than numbers has changed.
func flagsDiffer(a, b *peerv1.Figures) bool {
	return a.GetDraining() != b.GetDraining() || a.GetWarming() != b.GetWarming() || a.GetArbiter() != b.GetArbiter() ||
		a.GetRuntimeReady() != b.GetRuntimeReady()
}
