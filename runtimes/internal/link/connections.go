package link

import (
	"context"
	"sync"

	"google.golang.org/grpc/stats"
)

// connections follows transports as grpc reports them through its stats interface. Unlike the connectivity state,
// which can be sampled too late, it is told of each end exactly once; but possibly after the replacement has begun, so
// connections are numbered and a late end of an older one is not taken for the loss of the present one.
type connections struct {
	mu sync.Mutex
	// tagged is the number given out last, newest the number of the connection begun last.
	tagged, newest uint64
	// open: the newest connection has not ended.
	open bool
	// armed is newest as it was at arm; ends of older connections do not count.
	armed uint64
	// lost is closed by the first end that counts.
	lost chan struct{}
}

var _ stats.Handler = (*connections)(nil)

func newConnections() *connections {
	return &connections{lost: make(chan struct{})}
}

type numberKey struct{}

// TagConn gives a new connection its number.
func (c *connections) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tagged++
	return context.WithValue(ctx, numberKey{}, c.tagged)
}

// HandleConn notes the begin and the end of a connection.
func (c *connections) HandleConn(ctx context.Context, event stats.ConnStats) {
	number, _ := ctx.Value(numberKey{}).(uint64)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch event.(type) {
	case *stats.ConnBegin:
		c.newest, c.open = number, true
	case *stats.ConnEnd:
		if number == c.newest {
			c.open = false
		}
		if number >= c.armed {
			c.closeLost()
		}
	}
}

// TagRPC answers the context as it is: single calls do not matter here.
func (c *connections) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// HandleRPC does nothing.
func (c *connections) HandleRPC(context.Context, stats.RPCStats) {}

func (c *connections) arm() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.armed = c.newest
	select {
	case <-c.lost:
		c.lost = make(chan struct{})
	default:
	}
}

func (c *connections) current() (uint64, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.newest, c.open
}

func (c *connections) lossSinceArm() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.open {
		c.closeLost()
	}
	return c.lost
}

// closeLost needs mu.
func (c *connections) closeLost() {
	select {
	case <-c.lost:
	default:
		close(c.lost)
	}
}
