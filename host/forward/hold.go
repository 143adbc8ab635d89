package forward

import (
	"context"
	"errors"
	"net/http/httptrace"
	"sync/atomic"
)

// A peer may turn a request away after it has waited for a load there for minutes, or break down meanwhile, and then the
// request has to go elsewhere whole. So where a request waits, or is longer than what is kept of it, the peer first gets
// the headers alone, with "Expect: 100-continue" (RFC 9110, 10.1.1), and asks for the body once it has a copy. Until then
// nothing of the body has left the client's connection and no model server can have seen the request.
const expectContinue = "100-continue"

// hold is whether the body of one call on its way to a peer may go. It is safe for concurrent use.
type hold struct {
	state  atomic.Int32
	cancel context.CancelFunc
}

// States of a hold: from held to one of the others, once.
const (
	held int32 = iota
	// asked: the peer wants the body.
	asked
	// brokenOff: the peer is gone, as far as this host can tell, and what it asks for comes too late.
	brokenOff
)

// errPeerGone ends calls that wait at a peer that is forgotten.
var errPeerGone = errors.New("the host has left the mesh, or is not heard of any more")

// holds reports whether the peer gets the headers first.
func holds(target Target, head Head) bool { return target.Peer && (head.Wait || !head.Body.AtEnd()) }

// trace has the transport tell when the peer asks.
func (h *hold) trace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got100Continue: func() { h.state.CompareAndSwap(held, asked) }})
}

// breakOff ends the call if the body is held.
func (h *hold) breakOff() {
	if h.state.CompareAndSwap(held, brokenOff) {
		h.cancel()
	}
}

// is reports whether h is in that state; nil is a call whose body goes at once.
func (h *hold) is(state int32) bool { return h != nil && h.state.Load() == state }
