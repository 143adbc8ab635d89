package peers

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// calls goes over the connection of a link, for as long as the host is live: calls that are under way when it is silent
// end, though the connection stands in case that it is heard again.
type calls struct {
	conn *grpc.ClientConn
	live context.Context
}

// bound answers a context that ends with ctx or when the host is not live any more; release it.
func (c *calls) bound(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(c.live, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}

// Invoke implements grpc.ClientConnInterface. A call that ended because the host is not live says that, and not that the
// caller gave up.
func (c *calls) Invoke(ctx context.Context, method string, request, answer any, options ...grpc.CallOption) error {
	call, release := c.bound(ctx)
	defer release()
	err := c.conn.Invoke(call, method, request, answer, options...)
	if status.Code(err) == codes.Canceled && ctx.Err() == nil {
		return status.Error(codes.Unavailable, "the connection to the host was lost")
	}
	return err
}

// NewStream implements grpc.ClientConnInterface.
func (c *calls) NewStream(ctx context.Context, what *grpc.StreamDesc, method string, options ...grpc.CallOption) (grpc.ClientStream, error) {
	call, release := c.bound(ctx)
	stream, err := c.conn.NewStream(call, what, method, options...)
	if err != nil {
		release()
		return nil, err
	}
	context.AfterFunc(stream.Context(), release)
	return stream, nil
}
