package syncserver

import (
	"context"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// drainLostAfter is how long a host that drains may be without a stream before it counts as lost. It connects again within
// seconds unless it has ended.
const drainLostAfter = 10 * time.Second

// Drain has a connected host hand its copies over and leave, and tells progress of every change until it has left. id is
// the host's, or "<namespace>/<id>" when several namespaces have one of that id. timeout 0 is the host's own setting; a host
// that drains already is told the new one, and may keep the one that it has. The host goes on draining when ctx ends.
// Errors have a gRPC code: NOT_FOUND when no such host is connected, ABORTED when it ended before it had handed over, and
// whatever progress answers.
func (s *Server) Drain(ctx context.Context, id string, timeout time.Duration, progress func(*syncv1.Draining) error) error {
	f, err := s.follow(id, timeout)
	if err != nil {
		return err
	}
	defer s.unfollow(f)
	var told *syncv1.Draining
	var lost <-chan time.Time
	for {
		draining, at := s.look(f)
		if draining != nil && draining != told {
			if err := progress(draining); err != nil {
				return err
			}
			told = draining
		}
		switch at {
		case hostLeft:
			return nil
		case hostReplaced:
			return status.Errorf(codes.Aborted,
				"host %s ended, and has been started again, before its copies were elsewhere: ask again to drain it", f.key.ID)
		case hostHere:
			lost = nil
		case hostAway:
			if lost == nil {
				lost = time.After(drainLostAfter)
			}
		}
		select {
		case <-f.changed:
		case <-lost:
			return status.Errorf(codes.Aborted, "host %s has been out of reach for %s, and has not said that its copies are elsewhere",
				f.key.ID, drainLostAfter)
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		}
	}
}

// drainWatch watches one life of a host.
type drainWatch struct {
	key     HostKey
	host    *host
	epoch   uint64
	changed chan struct{}
	// closing: the host was seen to be done with handing over.
	closing bool
}

// whereabouts of a host that drains.
type whereabouts int

const (
	hostHere whereabouts = iota
	// hostAway: without a stream, before it has said that it closes.
	hostAway
	hostLeft
	// hostReplaced: another life of it has come, though the one before never closed.
	hostReplaced
)

// follow finds the host, has it told to drain, and watches it.
func (s *Server) follow(id string, timeout time.Duration) (*drainWatch, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key, err := s.connectedHost(id)
	if err != nil {
		return nil, err
	}
	h := s.hosts[key]
	h.drain = &syncv1.Drain{TimeoutMs: timeout.Milliseconds()}
	signal(h.stream.wake)
	f := &drainWatch{key: key, host: h, epoch: h.Hello.GetEpoch(), changed: make(chan struct{}, 1)}
	if h.followers == nil {
		h.followers = map[chan struct{}]bool{}
	}
	h.followers[f.changed] = true
	return f, nil
}

func (s *Server) unfollow(f *drainWatch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(f.host.followers, f.changed)
}

// connectedHost finds the one that an operator means. The caller holds the lock.
func (s *Server) connectedHost(id string) (found HostKey, err error) {
	var namespaces []string
	for _, key := range s.hostKeys() {
		if (key.ID == id || key.Namespace+"/"+key.ID == id) && s.hosts[key].stream != nil {
			found = key
			namespaces = append(namespaces, key.Namespace)
		}
	}
	switch len(namespaces) {
	case 0:
		return found, status.Errorf(codes.NotFound, "host %q is not connected: `wasmesh get hosts` lists those that are", id)
	case 1:
		return found, nil
	}
	return found, status.Errorf(codes.FailedPrecondition, "namespaces %s each have a host %q: say which, as %s/%[2]s",
		strings.Join(namespaces, ", "), id, namespaces[0])
}

// look answers what the followed life of the host last said, and where it is. What is answered never changes.
func (s *Server) look(f *drainWatch) (*syncv1.Draining, whereabouts) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := f.host
	if h.Hello.GetEpoch() != f.epoch {
		if f.closing {
			return nil, hostLeft
		}
		return nil, hostReplaced
	}
	f.closing = h.Draining.GetClosing()
	switch {
	case h.stream != nil:
		return h.Draining, hostHere
	case f.closing:
		return h.Draining, hostLeft
	}
	return h.Draining, hostAway
}

// nextDrain is what the stream's host is to be told; nil for nothing. The caller holds the lock.
func (st *stream) nextDrain() *response {
	if st.host.stream != st || st.drain == st.host.drain {
		return nil
	}
	st.drain = st.host.drain
	return &response{whole: &syncv1.ConnectResponse{Message: &syncv1.ConnectResponse_Drain{Drain: st.drain}}}
}

// mergeDraining answers whether other hosts must hear of it: that the host leaves, and that it takes no more requests. How
// many copies have moved is for operators, and reaches other hosts with whatever they are told next. Every report says
// whether its host leaves.
func (h *host) mergeDraining(report *syncv1.Report) (changed bool) {
	before, draining := h.Draining, report.GetDraining()
	if proto.Equal(before, draining) {
		return false
	}
	h.Draining = draining
	h.tellFollowers()
	return (before == nil) != (draining == nil) || before.GetClosing() != draining.GetClosing()
}

// left: the host said that it closes, and is gone.
func (h *host) left() bool { return h.stream == nil && h.Draining.GetClosing() }

// tellFollowers has them look. The caller holds the server's lock.
func (h *host) tellFollowers() {
	for changed := range h.followers {
		signal(changed)
	}
}
