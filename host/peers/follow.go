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
	transport "google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/wasmesh/wasmesh/host/peers/link"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
)

const (
	// A host that gossip lists is tried again quickly: it has just come, or comes back. Any other is tried with the
	// seeds.
	firstRetry = 50 * time.Millisecond
	lastRetry  = 2 * time.Second
	// steady is how long a link has to stand for the next one to be tried quickly again.
	steady = 5 * time.Second
	// dialTimeout is for the connection alone.
	dialTimeout = 3 * time.Second
	// maxAttempts are made at once, so that a host that joins many is not late for all of them; and on a machine that has
	// no time, where many start together, new ones do not keep those from succeeding that are under way. An attempt that
	// has taken slotTime, on a host that has time, waits for the other side, and holds up nobody any more.
	maxAttempts = 4
	slotTime    = 500 * time.Millisecond
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
		select {
		case <-h.wake:
		// Those that lost each other at one moment do not all come back at one.
		case <-time.After(wait/2 + rand.N(wait/2)):
		case <-ctx.Done():
		}
	}
}

// attempt connects to the host and follows it until that ends; stood says that it was live, and for long. It gives back the
// slot that the caller has taken of attempts.
func (p *Peers) attempt(ctx context.Context, h *host, address string) (stood bool, err error) {
	began := time.Now()
	late, inTime := context.WithCancel(p.ctx)
	settled := sync.OnceFunc(func() {
		inTime()
		<-p.attempts
	})
	defer settled()
	p.wg.Go(func() { p.releaseLate(late, settled) })
	conn, err := p.connect(address, h.id)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	ctx, breakOff := context.WithCancelCause(ctx)
	defer breakOff(nil)
	in := &intake{peers: p, host: h, address: address, attempt: &attempt{conn: conn, breakOff: breakOff}, settled: settled}
	p.mu.Lock()
	h.attempt = in.attempt
	p.mu.Unlock()
	follower := link.Follower{Hello: p.links.Hello(), Meter: p.metrics.meter(), Stalled: p.stalled}
	err = follower.Follow(ctx, peerv1.NewPeerServiceClient(conn), in)
	p.lost(h, in, err)
	return in.live && time.Since(began) > steady, err
}

// releaseLate calls settled when an attempt has taken so long that this host cannot be why, or returns with ctx.
func (p *Peers) releaseLate(ctx context.Context, settled func()) {
	ticks := time.NewTicker(slotTime)
	defer ticks.Stop()
	for {
		select {
		case <-ticks.C:
			if !p.stalled() {
				settled()
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

func (p *Peers) connect(address, host string) (*grpc.ClientConn, error) {
	security := insecure.NewCredentials()
	if p.config.PeerTLS != nil {
		security = transport.NewTLS(p.config.PeerTLS(host))
	}
	conn, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithContextDialer(p.dial), grpc.WithNoProxy(),
		grpc.WithTransportCredentials(security), grpc.WithPerRPCCredentials(credentials{p}),
		grpc.WithReadBufferSize(bufferSize), grpc.WithWriteBufferSize(bufferSize),
		grpc.WithInitialWindowSize(streamWindow), grpc.WithInitialConnWindowSize(connectionWindow),
		grpc.WithDisableServiceConfig(), grpc.WithDisableRetry(), grpc.WithIdleTimeout(0),
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

// lost is the end of an attempt.
func (p *Peers) lost(h *host, in *intake, err error) {
	left := errors.Is(err, link.ErrLeft)
	p.mu.Lock()
	h.tried = true
	if h.attempt == in.attempt {
		h.attempt = nil
		if !in.attempt.replaced {
			// Gossip had said so before, or the host itself says it.
			h.departed = h.departed || left || in.live && !h.listed && h.wasListed
		}
	}
	p.checkSynced()
	p.mu.Unlock()
	switch {
	case in.live && !in.fallen:
		p.notifier.copiesChanged(in.depart())
		p.log.Info("host is not live any more", "peer", h.id, "epoch", in.attempt.epoch, "error", err)
	case p.ctx.Err() == nil:
		p.mu.Lock()
		p.changed()
		p.mu.Unlock()
		p.log.Debug("no link to host", "peer", h.id, "address", in.address, "error", err)
	}
}
