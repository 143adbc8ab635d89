package ingress

import (
	"context"
	"errors"
	"net/http"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/wasmesh/wasmesh/host/forward"
	"github.com/wasmesh/wasmesh/host/route"
)

const (
	// maxAttempts bounds how often one request is sent.
	maxAttempts = 8
	// firstPause is between the first two attempts; it doubles. All pauses together are 1.3 s: the port Models waits
	// for the server itself, so these only keep a misbehaving one from being hammered.
	firstPause = 10 * time.Millisecond
	// requestOverhead is the memory of a waiting request without its bytes: the goroutine and its stack, the HTTP/2
	// stream, the response writer's buffer, the header map.
	requestOverhead = 16 << 10
	// streamWindow is how much a client may send ahead of the reader; see newGRPCServer.
	streamWindow = 64 << 10
)

// request is one call on its way to a model.
type request struct {
	method    string
	name      string
	inMessage bool
	header    http.Header
	body      *forward.Body
	// window is what the client may have sent that is not in body yet.
	window int64
	// share counts a body that is wholly in memory, except while the request waits; nil for gRPC.
	share  *decodeShare
	record *record
}

// call is a request that the model server has begun to answer.
type call struct {
	*forward.Stream
	lease Lease
}

func (c *call) close() {
	c.Stream.Close()
	c.lease.Release()
}

// invoke finds a loaded copy for the request, waiting for it if need be, and forwards. It tries again while the server
// cannot have acted on the request, or says that it does not have the model.
func (s *Server) invoke(ctx context.Context, rq *request) (*call, error) {
	for attempt := 1; ; attempt++ {
		lease, err := s.acquire(ctx, rq, attempt == 1)
		if err != nil {
			return nil, err
		}
		if rq.record.invoked.IsZero() {
			rq.record.invoked = time.Now()
		}
		stream, err := s.forwarder.Open(ctx, lease.Target(), rq.head(lease))
		again := false
		switch {
		case err == nil:
			if again, err = s.forgotten(ctx, rq, lease, stream); !again && err == nil {
				return &call{stream, lease}, nil
			}
			stream.Close()
		default:
			if _, unsent := errors.AsType[*forward.Unsent](err); unsent {
				again = rq.body.Replayable()
				s.models.Suspect()
			}
		}
		lease.Release()
		if !again || attempt == maxAttempts {
			return nil, err
		}
		if err := pause(ctx, firstPause<<(attempt-1)); err != nil {
			return nil, err
		}
	}
}

func (rq *request) head(lease Lease) forward.Head {
	head := forward.Head{Method: rq.method, Metadata: rq.header, ModelID: lease.ModelID(), Body: rq.body}
	if rq.inMessage {
		head.Name = rq.name
	}
	return head
}

// errForgotten is for a request that cannot be sent again although its model is being reloaded.
var errForgotten = route.Errorf(route.NoHost, "the model server lost the model; it is being loaded again: retry")

// forgotten reports whether the answer means that the server lost the model, in which case the request is to be sent
// again. The error is for a request that can no longer be.
func (s *Server) forgotten(ctx context.Context, rq *request, lease Lease, stream *forward.Stream) (again bool, err error) {
	if !stream.TrailersOnly() || stream.Status().Code != codes.NotFound {
		return false, nil
	}
	if !s.models.Forgot(ctx, lease.ModelID()) {
		return false, nil
	}
	return rq.body.Replayable(), errForgotten
}

// acquire takes a lease on the model that the request names now. On the first attempt a loaded copy costs no wait.
func (s *Server) acquire(ctx context.Context, rq *request, first bool) (Lease, error) {
	resolved, err := s.resolve(rq.name)
	if err != nil {
		return nil, err
	}
	if first {
		if lease, ok := s.models.TryAcquire(resolved.ModelID); ok {
			return lease, nil
		}
	}
	cost := rq.cost()
	if err := s.budget.Take(cost); err != nil {
		err.RetryAfter = time.Second
		return nil, err
	}
	defer s.budget.Give(cost)
	s.metrics.waiting.Inc()
	defer s.metrics.waiting.Dec()
	rq.share.give()
	for {
		lease, err := s.models.Acquire(ctx, resolved.ModelID)
		if err == nil {
			if err := rq.share.take(ctx); err != nil {
				lease.Release()
				return nil, err
			}
			return lease, nil
		}
		gone, ok := errors.AsType[*route.Error](err)
		if !ok || gone.Outcome != route.UnknownModel {
			return nil, waitError(ctx, rq, err)
		}
		// The model was removed while the request waited; its alias may point elsewhere by now.
		next, unresolved := s.resolve(rq.name)
		if unresolved != nil {
			return nil, unresolved
		}
		if next.ModelID == resolved.ModelID {
			return nil, err
		}
		resolved = next
	}
}

// resolve finds the model behind a name, if this host can serve it.
func (s *Server) resolve(name string) (Resolved, error) {
	resolved, err := s.catalog.Resolve(name)
	switch {
	case err == nil && resolved.Reason != "":
		return Resolved{}, route.Errorf(route.LoadFailed, "model %s cannot be served: %s", name, resolved.Reason)
	case err == nil && resolved.NotHere != "":
		return Resolved{}, route.Errorf(route.NoHost, "model %s cannot be served here: %s", name, resolved.NotHere)
	case err == nil:
		return resolved, nil
	case err.Outcome == route.UnknownModel && !s.catalog.Ready():
		unsure := route.Errorf(route.NoHost, "this host has not received its catalog yet, so it cannot tell whether model %s exists; try again", name)
		unsure.RetryAfter = time.Second
		return Resolved{}, unsure
	default:
		return Resolved{}, err
	}
}

// cost is the memory that the request holds while it waits.
func (rq *request) cost() int64 {
	cost := int64(requestOverhead + rq.body.Held())
	if !rq.body.AtEnd() {
		cost += rq.window
	}
	for key, values := range rq.header {
		cost += int64(len(key))
		for _, value := range values {
			cost += int64(len(value))
		}
	}
	return cost
}

// waitError says what the deadline was spent on.
func waitError(ctx context.Context, rq *request, err error) error {
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
		return route.Errorf(route.DeadlineExceeded, "the deadline passed after %s while the request waited for model %s to be loaded",
			time.Since(rq.record.start).Round(time.Millisecond), rq.name)
	}
	return err
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
