package ingress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc/codes"

	"github.com/wasmesh/wasmesh/host/forward"
	"github.com/wasmesh/wasmesh/host/route"
)

const (
	// peerService begins the methods that are not requests to models.
	peerService = "/wasmesh.peer.v1.PeerService/"
	// peerStreams is how many requests one connection of a peer may have open. At the limit HTTP/2 would hold up hits behind
	// requests that wait for loads, so it is beyond what the budgets of both sides let wait.
	peerStreams = 16 << 10
	// peerHeaderBytes leaves room for what a peer adds to a client's metadata, of maxHeaderBytes at most.
	peerHeaderBytes = maxHeaderBytes + 8<<10
	// proxiedOverhead is requestOverhead of a request that waits here for a peer, whose body is still there.
	proxiedOverhead = 12 << 10
)

// newPeerServer makes the server of the listener that other hosts connect to.
func (s *Server) newPeerServer() *http.Server {
	server := s.newGRPCServer()
	server.Handler = http.HandlerFunc(s.handlePeer)
	server.MaxHeaderBytes = peerHeaderBytes
	server.HTTP2.MaxConcurrentStreams = peerStreams
	return server
}

// ServePeers answers other hosts on listener until Shutdown; then it returns nil. Deps.Peers must be set.
func (s *Server) ServePeers(listener net.Listener) error { return serve(s.peerServer, listener) }

// handlePeer serves one call of another host.
func (s *Server) handlePeer(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, peerService) {
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		defer context.AfterFunc(s.service, cancel)()
		s.peers.Service.ServeHTTP(w, r.WithContext(ctx))
		return
	}
	if !s.peers.CheckToken(r.Header.Get(route.HeaderToken)) {
		s.peers.Refused("token")
		turnAwayAs(w, codes.Unauthenticated, &route.NotHere{Reason: route.Refused, Err: route.Errorf(route.Internal,
			"a host of the mesh does not take this host's token: do both have the same mesh key, mesh name and namespace?")})
		return
	}
	p, err := parseProxied(r)
	if err != nil {
		s.peers.Refused("malformed")
		turnAwayAs(w, codes.InvalidArgument, &route.NotHere{Reason: route.Refused, Err: route.Errorf(route.Internal,
			"a host of the mesh does not understand this one, whose software may be of another version: %v", err)})
		return
	}
	s.proxied.begin()
	defer s.proxied.end()
	label := ""
	if s.turningAway.Load() {
		label = turnAway(w, &route.NotHere{Reason: route.Stopping})
	} else {
		label = s.serveProxied(w, r, p)
	}
	s.metrics.proxied.WithLabelValues(label).Inc()
}

// proxied is a request that another host has passed on: it has resolved the name, and the copy is to be here.
type proxied struct {
	method, modelID, name string
	wait                  bool
}

// parseProxied reads the headers that package route lists, strictly.
func parseProxied(r *http.Request) (*proxied, error) {
	p := &proxied{method: strings.TrimPrefix(r.URL.Path, "/")}
	if r.Method != http.MethodPost || !isGRPC(r.Header.Get("Content-Type")) || isLocal(p.method) || isManagement(p.method) {
		return nil, fmt.Errorf("%s %s is no request to a model", r.Method, r.URL.Path)
	}
	var err error
	if p.modelID, err = one(r.Header, route.HeaderModelID); err != nil {
		return nil, err
	}
	if p.modelID == "" {
		return nil, fmt.Errorf("header %s is missing", route.HeaderModelID)
	}
	if p.name, err = one(r.Header, route.HeaderName); err != nil {
		return nil, err
	}
	wait, err := one(r.Header, route.HeaderWait)
	if err != nil || wait != "" && wait != "1" {
		return nil, fmt.Errorf("header %s is %q, want 1 or none", route.HeaderWait, wait)
	}
	p.wait = wait == "1"
	return p, nil
}

// one is the only value of a header, decoded; empty if there is none.
func one(header http.Header, key string) (string, error) {
	values := header[key]
	if len(values) == 0 {
		return "", nil
	}
	value, err := url.PathUnescape(values[0])
	if err != nil || len(values) != 1 || value == "" || !utf8.ValidString(value) {
		return "", fmt.Errorf("header %s is malformed", key)
	}
	return value, nil
}

// serveProxied serves a request from the copy on this host and nowhere else: whoever sent it knows best where to send it
// next. It returns the label under which its end is counted.
func (s *Server) serveProxied(w http.ResponseWriter, r *http.Request, p *proxied) string {
	body := forward.NewBody(r.Body)
	defer body.Close()
	ctx, cancel, err := withTimeout(r)
	if err != nil {
		return failProxied(w, err)
	}
	defer cancel()
	lease, err := s.leaseHere(ctx, r, p)
	if err != nil {
		return failProxied(w, err)
	}
	defer lease.Release()
	rec := record{invoked: time.Now()}
	stream, err := s.forwarder.Open(ctx, lease.Target(), forward.Head{
		Method: p.method, Metadata: r.Header, ModelID: p.modelID, Name: p.name, Body: body,
	})
	if err != nil {
		return failProxied(w, s.suspected(err))
	}
	defer stream.Close()
	if s.forgotten(ctx, s.peers.Here, lease, stream) {
		return failProxied(w, &route.NotHere{Reason: route.Absent, Err: errForgotten})
	}
	end, ok := s.copyAnswer(w, stream, s.methods[p.method].unary, &rec)
	if ok {
		end = endOf(stream)
	} else {
		end.setStatus(w.Header(), http.TrailerPrefix)
		w.Header().Set(http.TrailerPrefix+route.HeaderOutcome, end.outcome.String())
	}
	s.metrics.invoked(&rec, s.methodLabel(p.method), end)
	return end.outcome.String()
}

// leaseHere takes a lease on a copy of this host. While the request waits for it, its body is still with the host that
// passed it on.
func (s *Server) leaseHere(ctx context.Context, r *http.Request, p *proxied) (Lease, error) {
	if !p.wait {
		return s.peers.Here.TryAcquire(p.modelID)
	}
	cost := int64(proxiedOverhead) + headerBytes(r.Header)
	if full := s.budget.Take(cost); full != nil {
		full.RetryAfter = time.Second
		return nil, &route.NotHere{Reason: route.Refused, Err: full}
	}
	defer s.budget.Give(cost)
	lease, err := s.peers.Here.Join(ctx, p.modelID)
	if err != nil && r.Context().Err() != nil && s.turningAway.Load() {
		// Shutdown ran out of time and broke it off, not the client: it goes elsewhere.
		return nil, &route.NotHere{Reason: route.Stopping}
	}
	if final, ok := errors.AsType[*route.Error](err); ok && final.Outcome != route.DeadlineExceeded && final.Outcome != route.Cancelled {
		// It concerns this host; another may serve the request.
		err = &route.NotHere{Reason: route.Refused, Err: final}
	}
	return lease, err
}

// suspected has this host's model server asked whether it lives if nothing of the request reached it. Then the request can
// go anywhere, here too.
func (s *Server) suspected(err error) error {
	unsent, ok := errors.AsType[*forward.Unsent](err)
	if !ok {
		return err
	}
	s.peers.Here.Suspect()
	return &route.NotHere{Reason: route.Absent, Err: route.Errorf(route.NoHost, "%v", unsent)}
}

// failProxied ends a proxied request that was not answered by a model server.
func failProxied(w http.ResponseWriter, err error) (label string) {
	if why, ok := errors.AsType[*route.NotHere](err); ok {
		return turnAway(w, why)
	}
	end := answerOf(err)
	w.Header().Set(route.HeaderOutcome, end.outcome.String())
	end.writeGRPC(w)
	return end.outcome.String()
}

// turnAway answers that this host passed the request to nobody. The status is for whoever does not know the header.
func turnAway(w http.ResponseWriter, why *route.NotHere) (label string) {
	code := codes.Unavailable
	if why.Err != nil {
		code = why.Err.Outcome.Code()
	}
	return turnAwayAs(w, code, why)
}

func turnAwayAs(w http.ResponseWriter, code codes.Code, why *route.NotHere) (label string) {
	w.Header().Set(route.HeaderNotHere, why.Encode())
	answer{code: code, message: why.Error()}.writeGRPC(w)
	return "not_here_" + why.Reason.String()
}
