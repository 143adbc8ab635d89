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
	// maxAttempts bounds how often one request is sent; a Session ends earlier, or says why it does not.
	maxAttempts = route.MaxVisits
	// firstPause is between the first two attempts on this host's model server; it doubles. All pauses together are 1.3 s:
	// the port Models waits for the server itself, so these only keep a misbehaving one from being hammered.
	firstPause = 10 * time.Millisecond
	// requestOverhead is the memory of a waiting request without its bytes: two goroutines and their stacks, if it waits at a
	// peer, the HTTP/2 streams, the response writer's buffer, the header maps. TestAWaitingRequestIsCheap measures it.
	requestOverhead = 24 << 10
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

// call is a request that somebody has begun to answer.
type call struct {
	*forward.Stream
	lease Lease
}

func (c *call) close() {
	c.Stream.Close()
	c.lease.Release()
}

// endOf is how a call ended that was read to its end: as the model server wanted, or as a peer says.
func endOf(stream *forward.Stream) answer {
	end := served(stream.Status().Code)
	if outcome, ok := route.ParseOutcome(stream.Outcome()); ok {
		end.outcome = outcome
	}
	return end
}

// invoke finds a copy for the request, waiting for one if need be, and forwards. It tries again while nobody can have
// acted on the request: while whoever got it does not have the model, or did not get it.
func (s *Server) invoke(ctx context.Context, rq *request) (*call, error) {
	way := newWay(s, rq)
	defer way.end()
	for attempt := 1; ; attempt++ {
		lease, err := way.acquire(ctx)
		if err != nil {
			return nil, err
		}
		stream, why, err := s.send(ctx, rq, lease)
		if err == nil {
			if err = way.settle(ctx); err == nil {
				return &call{stream, lease}, nil
			}
			stream.Close()
		}
		waited := lease.Waits()
		lease.Release()
		if why == nil || attempt == maxAttempts {
			if waited {
				err = waitError(ctx, rq, err)
			}
			return nil, err
		}
		way.refused(lease, why)
		if lease.Local() {
			if err := pause(ctx, firstPause<<(attempt-1)); err != nil {
				return nil, err
			}
		}
	}
}

// send makes one attempt. err is how the request ends unless why is set: then nobody has acted on it, and it can be sent
// again.
func (s *Server) send(ctx context.Context, rq *request, lease Lease) (stream *forward.Stream, why *route.NotHere, err error) {
	if lease.Local() && rq.record.invoked.IsZero() {
		rq.record.invoked = time.Now()
	} else if !lease.Local() {
		rq.record.hops++
	}
	stream, err = s.forwarder.Open(ctx, lease.Target(), rq.head(lease))
	switch {
	case err != nil:
		if _, unsent := errors.AsType[*forward.Unsent](err); unsent {
			why = &route.NotHere{Reason: route.Unreachable}
			if lease.Local() { // Its server does not answer, but the host is there, and may wait for it.
				s.models.Suspect()
				why.Reason = route.Absent
			}
		}
	case lease.Local():
		if s.forgotten(ctx, s.models, lease, stream) {
			why, err = &route.NotHere{Reason: route.Absent}, errForgotten
		}
	default:
		why, err = turnedAway(stream)
	}
	if err != nil && stream != nil {
		stream.Close()
	}
	if !rq.body.Replayable() {
		why = nil
	}
	return stream, why, err
}

func (rq *request) head(lease Lease) forward.Head {
	head := forward.Head{Method: rq.method, Metadata: rq.header, ModelID: lease.ModelID(), Body: rq.body, Wait: lease.Waits()}
	if rq.inMessage {
		head.Name = rq.name
	}
	return head
}

// errForgotten is for a request that cannot be sent again although its model is being reloaded.
var errForgotten = route.Errorf(route.NoHost, "the model server lost the model; it is being loaded again: retry")

// forgotten reports whether the answer means that this host's server lost the model.
func (s *Server) forgotten(ctx context.Context, models forgetful, lease Lease, stream *forward.Stream) bool {
	return stream.TrailersOnly() && stream.Status().Code == codes.NotFound && models.Forgot(ctx, lease.ModelID())
}

// forgetful are Models and Here.
type forgetful interface {
	Forgot(ctx context.Context, modelID string) bool
}

// turnedAway is what a peer says that passed the request to nobody, and what the client hears if it cannot be sent again.
func turnedAway(stream *forward.Stream) (*route.NotHere, error) {
	value := stream.NotHere()
	if value == "" {
		return nil, nil
	}
	why, err := route.ParseNotHere(value)
	if err != nil {
		// A dialect of another version. This much is clear: the host did not serve it.
		why = &route.NotHere{Reason: route.Refused, Err: route.Errorf(route.Internal, "a host turned the request away: %v", err)}
	}
	if why.Err != nil {
		return why, why.Err
	}
	return why, errMoved
}

// errMoved is for a request that cannot be sent again although its model is elsewhere.
var errMoved = route.Errorf(route.NoHost, "the copy of the model went while the request was sent: retry")

// cost is the memory that the request holds while it waits.
func (rq *request) cost() int64 {
	cost := int64(requestOverhead + rq.body.Held())
	if !rq.body.AtEnd() {
		cost += rq.window
	}
	return cost + headerBytes(rq.header)
}

// headerBytes is what a header's text takes.
func headerBytes(header http.Header) (n int64) {
	for key, values := range header {
		n += int64(len(key))
		for _, value := range values {
			n += int64(len(value))
		}
	}
	return n
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
