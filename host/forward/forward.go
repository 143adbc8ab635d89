package forward

import (
	"context"
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
	p, err := f.pool(target.Address)
	if err != nil {
		return nil, &Unsent{err}
	}
	for {
		c, err := p.take(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return nil, &Unsent{err}
		}
		up := &upload{reader: head.Body.attempt(), framer: framer}
		up.framer.src = up.reader
		stream, err := call(ctx, c, head, up)
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
	if !listed && !target.AllowAnyMethod {
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

// pool returns the connections to address. Pools of addresses that are no longer in use are dropped when a new one is
// made, so their number stays that of the servers in use.
func (f *Forwarder) pool(address string) (*pool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, errPoolClosed
	}
	if p, ok := f.pools[address]; ok {
		return p, nil
	}
	for other, p := range f.pools {
		if p.idle() {
			p.close()
			delete(f.pools, other)
		}
	}
	p := newPool(address)
	f.pools[address] = p
	return p, nil
}

// call makes one attempt on one connection.
func call(ctx context.Context, c *conn, head Head, up *upload) (*Stream, error) {
	var left time.Duration
	if deadline, ok := ctx.Deadline(); ok {
		left = max(1, time.Until(deadline))
	}
	ctx, cancel := context.WithCancel(ctx)
	var sent atomic.Bool
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }})
	request := (&http.Request{
		Method: http.MethodPost,
		URL:    &url.URL{Scheme: "http", Host: "model-server", Path: "/" + head.Method},
		Host:   "model-server",
		Header: outgoing(head, left),
		Body:   up,
	}).WithContext(traced)
	request.ContentLength = -1

	response, err := c.RoundTrip(request)
	if err != nil {
		err = classify(ctx, up, sent.Load() && c.heard.Load(), err)
		cancel()
		return nil, err
	}
	stream, err := newStream(ctx, cancel, response, up)
	if err != nil {
		cancel()
		response.Body.Close()
		return nil, err
	}
	return stream, nil
}
