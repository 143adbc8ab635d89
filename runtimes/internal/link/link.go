// Package link is one gRPC connection between an adapter and its inference server. Beside carrying calls it knows
// whether the connection broke since the adapter last looked: a server that was killed and is back within a millisecond
// has still lost its models, and nothing but the connection tells.
//
// Invariant: every connection that ends after Arm makes WaitLost answer, however fast another one replaces it.
// Each adapter of runtimes/ that speaks gRPC owns one Link.
package link

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
)

// Reconnecting is a local matter: grpc's own back-off grows to two minutes, during which a restarted server would stand
// idle.
const (
	reconnectMin   = 50 * time.Millisecond
	reconnectMax   = time.Second
	connectTimeout = 5 * time.Second
)

// Link is a client connection. It is safe for concurrent use.
type Link struct {
	*grpc.ClientConn
	address string
	state   *connections
}

// Dial makes a Link to "host:port" or "unix:/path". It does not wait for the server: the first call connects. The
// connection is kept however long it is idle.
func Dial(address string) (*Link, error) {
	if address == "" {
		return nil, fmt.Errorf("dial inference server: the address is empty")
	}
	target := address
	if !strings.HasPrefix(address, "unix:") {
		// One address, one connection: a resolver could open several and drop the losers, which would look like a loss.
		target = "passthrough:///" + address
	}
	state := newConnections()
	conn, err := grpc.NewClient(target,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithNoProxy(),
		grpc.WithIdleTimeout(0),
		grpc.WithStatsHandler(state),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: reconnectMin, Multiplier: 1.6, Jitter: 0.2, MaxDelay: reconnectMax},
			MinConnectTimeout: connectTimeout,
		}))
	if err != nil {
		return nil, fmt.Errorf("dial inference server at %s: %w", address, err)
	}
	return &Link{ClientConn: conn, address: address, state: state}, nil
}

// Address is the address that was dialled, for messages.
func (l *Link) Address() string { return l.address }

// Arm forgets losses up to now.
func (l *Link) Arm() { l.state.arm() }

// Connection names the connection that stands now; ok is false when there is none. What was learned of the server holds
// while the number stays the same.
func (l *Link) Connection() (number uint64, ok bool) { return l.state.current() }

// WaitLost answers nil as soon as no connection stands or one has ended since Arm, or ctx.Err().
func (l *Link) WaitLost(ctx context.Context) error {
	select {
	case <-l.state.lossSinceArm():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
