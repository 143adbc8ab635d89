package forward

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wasmesh/wasmesh/host/forward/splice"
)

// Config is what a Forwarder is built from.
type Config struct {
	// MaxMessageBytes is the largest request message, before and after decompression.
	MaxMessageBytes int64
	// Memory is charged for messages that have to be held to be decompressed.
	Memory Memory
	// PeerTLS is what to connect with to the peer of this id; nil is plain text.
	PeerTLS func(host string) *tls.Config
}

// A Forwarder sends requests to servers over connections that it keeps open. It is safe for concurrent use.
type Forwarder struct {
	config Config

	mu     sync.Mutex
	pools  map[string]*pool
	closed bool
}

// New makes a Forwarder; it connects on first use.
func New(config Config) *Forwarder {
	return &Forwarder{config: config, pools: make(map[string]*pool)}
}

// Close ends all connections; calls under way are interrupted.
func (f *Forwarder) Close() {
	f.mu.Lock()
	f.closed = true
	pools := f.pools
	f.pools = nil
	f.mu.Unlock()
	for _, p := range pools {
		p.close()
	}
}

// Open sends a request and waits for the first sign of an answer. The stream must be closed. ctx bounds the whole
// call, not only Open, and its deadline is passed on. Errors are Unsent, Interrupted, RequestError or the context's.
func (f *Forwarder) Open(ctx context.Context, target Target, head Head) (*Stream, error) {
	framer, err := f.framer(target, head)
	if err != nil {
		return nil, err
	}
	peer := ""
	if target.Peer {
		peer = target.Address
	}
	p, err := f.pool(target)
	if err != nil {
		return nil, &Unsent{err, peer}
	}
	for {
		c, err := p.take(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return nil, &Unsent{err, peer}
		}
		up := &upload{reader: head.Body.attempt(), peer: peer, framer: framer}
		up.framer.src = up.reader
		stream, err := p.call(ctx, c, outbound{target, head, up})
		if err == nil {
			stream.release = func() { p.give(c) }
			return stream, nil
		}
		// A connection that the server is about to close takes no new calls: that is no failure, another one will.
		unsent, ok := errors.AsType[*Unsent](err)
		closing := ok && unsent.Err.Error() == connUnusable && head.Body.Replayable()
		if closing {
			p.retire(c)
		}
		p.give(c)
		if !closing {
			return nil, err
		}
	}
}

// connUnusable is the text of net/http's unexported error for a connection that takes no more requests.
const connUnusable = "http2: client conn not usable"

// framer prepares the changes to the request's messages.
func (f *Forwarder) framer(target Target, head Head) (framer, error) {
	path, listed := target.IDPaths[head.Method]
	if !listed && !target.AllowAnyMethod && !target.Peer {
		return framer{}, unimplemented("the model server does not offer method %s", head.Method)
	}
	return framer{
		limit:    f.config.MaxMessageBytes,
		memory:   f.config.Memory,
		path:     path,
		suffix:   splice.Suffix(path, head.ModelID),
		name:     head.Name,
		encoding: head.Metadata.Get("Grpc-Encoding"),
	}, nil
}

// pool returns the connections to the target. Pools of model servers that are no longer in use are dropped when a new one
// is made, so their number stays that of the servers in use; those of peers when they are forgotten.
func (f *Forwarder) pool(target Target) (*pool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, errPoolClosed
	}
	if p, ok := f.pools[target.Address]; ok {
		if p.host == target.Host {
			return p, nil
		}
		p.forget() // The address has gone to another peer.
	}
	for other, p := range f.pools {
		if !p.peer && !target.Peer && p.idle() {
			p.close()
			delete(f.pools, other)
		}
	}
	p := newPool(target, f.config.PeerTLS)
	f.pools[target.Address] = p
	return p, nil
}

// Forget lets go of a peer that has left or is not heard of any more. Calls that wait there, so that no model server has
// seen them, end as Unsent; those that may be at work go on, and the last of them closes its connection.
func (f *Forwarder) Forget(address string) {
	f.mu.Lock()
	p := f.pools[address]
	delete(f.pools, address)
	f.mu.Unlock()
	if p != nil {
		p.forget()
	}
}

// outbound is one attempt of a call.
type outbound struct {
	target Target
	head   Head
	up     *upload
}

// call makes one attempt on one connection.
func (p *pool) call(ctx context.Context, c *conn, out outbound) (*Stream, error) {
	var left time.Duration
	if deadline, ok := ctx.Deadline(); ok {
		left = max(1, time.Until(deadline))
	}
	ctx, cancel := context.WithCancel(ctx)
	var sent atomic.Bool
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }})
	request := out.request(left)
	var waiting *hold
	if holds(out.target, out.head) {
		waiting = &hold{cancel: cancel}
		traced = waiting.trace(traced)
		request.Header.Set("Expect", expectContinue)
		if !p.keep(waiting) {
			cancel()
			return nil, &Unsent{errPeerGone, out.up.peer}
		}
		defer p.drop(waiting)
	}

	response, err := c.RoundTrip(request.WithContext(traced))
	if err != nil {
		if waiting.is(brokenOff) {
			err = &Unsent{errPeerGone, out.up.peer}
		} else {
			err = classify(ctx, out.up, sent.Load() && c.heard.Load() && !waiting.is(held), err)
		}
		cancel()
		return nil, err
	}
	stream, err := newStream(ctx, cancel, response, out)
	if err != nil {
		cancel()
		response.Body.Close()
		return nil, err
	}
	return stream, nil
}

// request is the attempt as HTTP has it.
func (o *outbound) request(left time.Duration) *http.Request {
	length := int64(-1)
	if o.target.Peer && o.head.Body.AtEnd() {
		// Nothing is added to it on the way to a peer. Who knows the length keeps no more buffer than that.
		length = int64(o.head.Body.Len())
	}
	return &http.Request{
		Method:        http.MethodPost,
		URL:           &url.URL{Scheme: "http", Host: "model-server", Path: "/" + o.head.Method},
		Host:          "model-server",
		Header:        outgoing(o.target, o.head, left),
		Body:          o.up,
		ContentLength: length,
	}
}
