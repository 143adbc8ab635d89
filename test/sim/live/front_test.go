package live

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wasmesh/wasmesh/host/ingress"
	"github.com/wasmesh/wasmesh/host/mesh"
	"github.com/wasmesh/wasmesh/host/route"
)

// front takes requests to a host the way package ingress does, without gRPC and its bytes: it drives the same sessions,
// speaks to peers with the same headers, has a peer that still loads ask for the body when it is ready, and sends a request
// again only when no inference server can have seen it. (The real one dials real networks.)
type front struct {
	host   *host
	router mesh.Router
	here   mesh.Here
	client *http.Transport // to peers

	// leaving: what peers pass on is turned away.
	leaving atomic.Bool
	// base ends the requests that are still there when the host has stopped.
	base     context.Context
	breakOff context.CancelFunc
	asked    doorman // requests of clients
	passed   doorman // requests of peers

	mu sync.Mutex // guards below
	// waiting are the requests that wait at a peer, by its address.
	waiting map[string]map[*waiting]struct{}
}

// waiting is a request at a peer that has not asked for its body yet.
type waiting struct {
	breakOff context.CancelFunc
	held     atomic.Bool
}

const servicePrefix = "/wasmesh.peer.v1.PeerService/"

func newFront(h *host) *front {
	f := &front{host: h, router: mesh.Router{Mesh: h.mesh}, here: mesh.Here{Mesh: h.mesh}, waiting: map[string]map[*waiting]struct{}{}}
	f.base, f.breakOff = context.WithCancel(h.ctx)
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	f.client = &http.Transport{
		Protocols: &protocols, DisableCompression: true, ExpectContinueTimeout: math.MaxInt64,
		HTTP2:       &http.HTTP2Config{SendPingTimeout: 5 * time.Second, PingTimeout: 5 * time.Second},
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) { return h.dial(ctx, address) },
	}
	return f
}

// errBroken: the request was under way when its connection, or what answered it, broke.
var errBroken = errors.New("the connection broke while the request was under way")

// errClosed: the host takes no connections of clients any more. Whoever asks it asks another.
var errClosed = errors.New("connection refused")

// errUnknown: the host has not heard of the model yet.
var errUnknown = errors.New("no such model in the catalog")

// ask is one request of a client to this host. It answers the model that answered.
func (f *front) ask(ctx context.Context, request, model string, takes time.Duration) (string, error) {
	if !f.asked.enter() {
		return "", errClosed
	}
	defer f.asked.leave()
	if _, known := f.host.catalog.Table().Model(model); !known {
		return "", errUnknown
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(f.base, cancel)()
	session := f.router.Start(ingress.Resolved{ModelID: model, Runtimes: []string{runtimeName}})
	lease, ok := session.Try()
	for attempt := 1; ; attempt++ {
		if !ok {
			var err error
			if lease, err = session.Acquire(ctx); err != nil {
				return "", err
			}
		}
		ok = false
		answer, why, err := f.send(ctx, lease, request, takes)
		lease.Release()
		if why == nil {
			return answer, err
		}
		if attempt == route.MaxVisits {
			return "", route.Errorf(route.NoHost, "sent %d times in vain, the last time: %s", attempt, why.Reason)
		}
		session.Refused(lease, why)
		if lease.Local() {
			select {
			case <-time.After(10 * time.Millisecond << (attempt - 1)):
			case <-ctx.Done():
			}
		}
	}
}

// send makes one attempt; why is set when no inference server has seen it.
func (f *front) send(ctx context.Context, lease ingress.Lease, request string, takes time.Duration) (string, *route.NotHere, error) {
	if lease.Local() {
		return f.serve(ctx, f.here, lease, request, takes)
	}
	sending, cancel := context.WithCancel(ctx)
	defer cancel()
	w := &waiting{breakOff: cancel}
	w.held.Store(lease.Waits())
	rq, err := http.NewRequestWithContext(sending, http.MethodPost, "http://"+lease.Target().Address+"/infer", strings.NewReader(request))
	if err != nil {
		return "", nil, err
	}
	rq.Header = lease.Target().Header.Clone()
	rq.Header.Set(route.HeaderModelID, lease.ModelID())
	rq.Header.Set("Takes", takes.String())
	if deadline, ok := ctx.Deadline(); ok {
		rq.Header.Set("Deadline", strconv.FormatInt(deadline.UnixMilli(), 10))
	}
	var connected, asked atomic.Bool
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }}
	if lease.Waits() {
		rq.Header.Set(route.HeaderWait, "1")
		rq.Header.Set("Expect", "100-continue")
		trace.Got100Continue = func() { w.held.Store(false); asked.Store(true) }
		f.keep(lease.Target().Address, w, true)
		defer f.keep(lease.Target().Address, w, false)
	}
	response, err := f.client.RoundTrip(rq.WithContext(httptrace.WithClientTrace(sending, trace)))
	switch {
	case err != nil && ctx.Err() != nil:
		return "", nil, ctx.Err()
	case err != nil && (!connected.Load() || lease.Waits() && !asked.Load()):
		return "", &route.NotHere{Reason: route.Unreachable}, err
	case err != nil:
		return "", nil, fmt.Errorf("%w: %w", errBroken, err)
	}
	defer response.Body.Close()
	if value := response.Header.Get(route.HeaderNotHere); value != "" {
		why, err := route.ParseNotHere(value)
		return "", why, err
	}
	body, err := io.ReadAll(response.Body)
	switch {
	case err != nil && ctx.Err() != nil:
		return "", nil, ctx.Err()
	case err != nil:
		return "", nil, fmt.Errorf("%w: %w", errBroken, err)
	case response.Header.Get(route.HeaderOutcome) == "":
		return string(body), nil, nil
	}
	outcome, ok := route.ParseOutcome(response.Header.Get(route.HeaderOutcome))
	if !ok {
		return "", nil, fmt.Errorf("outcome %q", response.Header.Get(route.HeaderOutcome))
	}
	return "", nil, route.Errorf(outcome, "%s", body)
}

// keep notes who waits at a peer; forget is mesh.Parts.Forget and sends them on.
func (f *front) keep(address string, w *waiting, waits bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !waits {
		delete(f.waiting[address], w)
		return
	}
	if f.waiting[address] == nil {
		f.waiting[address] = map[*waiting]struct{}{}
	}
	f.waiting[address][w] = struct{}{}
}

func (f *front) forget(address string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for w := range f.waiting[address] {
		if w.held.Load() {
			w.breakOff()
		}
	}
}

// forgetful are mesh.Router and mesh.Here.
type forgetful interface {
	Forgot(ctx context.Context, modelID string) bool
	Suspect()
}

// serve has the inference server of this host answer.
func (f *front) serve(ctx context.Context, models forgetful, lease ingress.Lease, request string, takes time.Duration) (string, *route.NotHere, error) {
	answer, err := f.host.port.infer(ctx, request, lease.ModelID(), takes)
	switch {
	case err == nil:
		return answer, nil, nil
	case errors.Is(err, errDown):
		models.Suspect()
		return "", &route.NotHere{Reason: route.Unreachable}, err
	case errors.Is(err, errNotFound) && models.Forgot(ctx, lease.ModelID()):
		return "", &route.NotHere{Reason: route.Absent}, err
	case errors.Is(err, errInterrupted):
		return "", nil, fmt.Errorf("%w: %w", errBroken, err)
	}
	return "", nil, err
}

// ServeHTTP takes what peers call and pass on.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, servicePrefix) {
		f.host.peers.Server().ServeHTTP(w, r)
		return
	}
	if !f.host.peers.CheckToken(r.Header.Get(route.HeaderToken)) {
		f.host.world.wrong("%s does not take the token of a host of the mesh", f.host.id)
	}
	if f.leaving.Load() || !f.passed.enter() {
		turnAway(w, &route.NotHere{Reason: route.Stopping})
		return
	}
	defer f.passed.leave()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(f.base, cancel)()
	if ms, err := strconv.ParseInt(r.Header.Get("Deadline"), 10, 64); err == nil {
		var end context.CancelFunc
		ctx, end = context.WithDeadline(ctx, time.UnixMilli(ms))
		defer end()
	}
	f.answer(ctx, w, r)
}

func (f *front) answer(ctx context.Context, w http.ResponseWriter, r *http.Request) {
	model := r.Header.Get(route.HeaderModelID)
	var lease ingress.Lease
	var err error
	if r.Header.Get(route.HeaderWait) == "1" {
		lease, err = f.here.Join(ctx, model)
	} else {
		lease, err = f.here.TryAcquire(model)
	}
	if err != nil {
		refuse(w, err)
		return
	}
	defer lease.Release()
	request, err := io.ReadAll(r.Body)
	if err != nil {
		return // whoever sent it has gone
	}
	takes, _ := time.ParseDuration(r.Header.Get("Takes"))
	answer, why, err := f.serve(ctx, f.here, lease, string(request), takes)
	switch {
	case why != nil: // Its server is down, or has lost the model.
		turnAway(w, &route.NotHere{Reason: route.Absent, Err: route.Errorf(route.NoHost, "%v", err)})
	case err != nil && ctx.Err() == nil:
		end(w, route.Errorf(route.Interrupted, "%v", err))
	case err != nil:
		refuse(w, err)
	default:
		io.WriteString(w, answer)
	}
}

// refuse answers a request for which there is no lease.
func refuse(w http.ResponseWriter, err error) {
	if why, ok := errors.AsType[*route.NotHere](err); ok {
		turnAway(w, why)
		return
	}
	if failed, ok := errors.AsType[*route.Error](err); ok {
		end(w, failed)
		return
	}
	outcome := route.Cancelled
	if errors.Is(err, context.DeadlineExceeded) {
		outcome = route.DeadlineExceeded
	}
	end(w, route.Errorf(outcome, "%v", err))
}

func turnAway(w http.ResponseWriter, why *route.NotHere) {
	w.Header().Set(route.HeaderNotHere, why.Encode())
}

func end(w http.ResponseWriter, err *route.Error) {
	w.Header().Set(route.HeaderOutcome, err.Outcome.String())
	io.WriteString(w, err.Message)
}

// doorman counts who is inside.
type doorman struct {
	mu     sync.Mutex // guards below
	inside int
	empty  chan struct{} // set by close, closed when nobody is inside
}

func (d *doorman) enter() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.empty != nil {
		return false
	}
	d.inside++
	return true
}

func (d *doorman) leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.inside--; d.inside == 0 && d.empty != nil {
		close(d.empty)
	}
}

// close lets nobody else in; what it answers is closed when all have left.
func (d *doorman) close() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.empty = make(chan struct{})
	if d.inside == 0 {
		close(d.empty)
	}
	return d.empty
}
