package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/wasmesh/wasmesh/host/peers/residency"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
)

// Sink takes in what the other host says. Its methods are never called at once by two goroutines. An error of Replace or
// Advance says that it does not fit together: nothing was taken in.
type Sink interface {
	// Greeted is called once, before anything else; an error, a *RefusedError perhaps, ends the stream.
	Greeted(*peerv1.LinkHello) error
	Replace(entries []residency.Entry, failures []Failure, stamp residency.Stamp) error
	Advance(after uint64, entries []residency.Entry, failures []Failure, stamp residency.Stamp) error
	// Matches reports whether what was taken in is at that stamp.
	Matches(residency.Stamp) bool
	Described(*peerv1.Figures)
	// Fell is told, after a first Replace, that the host is silent: it is to be taken for dead. Rose is told that it has
	// been heard again, with all that it had said before still true: nothing is lost on a stream. An error ends it.
	Fell()
	Rose() error
}

// RefusedError: what the other host sent was not taken in, and the link was given up.
type RefusedError struct {
	Reason Refusal
	Why    string
}

// Error implements error.
func (e *RefusedError) Error() string { return e.Why }

// ErrLeft: the other host leaves the mesh.
var ErrLeft = errors.New("the host leaves the mesh")

// ErrSilent: nothing was heard for too long.
var ErrSilent = errors.New("the host is silent")

type clientStream = grpc.BidiStreamingClient[peerv1.LinkRequest, peerv1.LinkResponse]

// Follower is how this host follows others.
type Follower struct {
	Hello *peerv1.LinkHello
	Meter Meter
	// Stalled reports whether this host itself did not get to run just now. Then that it heard nothing says nothing, and
	// it goes on listening; or else a busy machine would take everybody for dead.
	Stalled func() bool
}

// Follow greets a host, and takes in what it says until the stream ends, which it does with an error, always.
func (f Follower) Follow(ctx context.Context, client peerv1.PeerServiceClient, sink Sink) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w := &watch{stalled: f.Stalled, sink: sink, giveUp: func() { cancel(ErrSilent) }}
	w.start()
	defer w.stop()
	stream, err := client.Link(ctx)
	if err != nil {
		return ended(ctx, err)
	}
	s := &session{sink: sink, meter: f.Meter, resync: make(chan struct{}, 1)}
	spoken := make(chan struct{})
	go func() {
		defer close(spoken)
		if err := s.speak(ctx, stream, f.Hello); err != nil && err != io.EOF {
			cancel(err) // io.EOF: the stream has ended, and listen knows why
		}
	}()
	err = ended(ctx, s.listen(stream, w))
	cancel(err)
	<-spoken
	return err
}

// ended answers why a stream ended: a cause of ours is more than what grpc makes of it.
func ended(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if err == io.EOF {
		return ErrLeft
	}
	return err
}

// session is the state of one followed stream. Owned by the goroutine of Follow, except for speak.
type session struct {
	sink    Sink
	meter   Meter
	greeted bool
	// staged are the entries of a snapshot of which more is to come.
	staged   []residency.Entry
	failures []Failure
	staging  bool
	// whole: a snapshot has been taken in.
	whole bool
	// pace is how often the host says that it says something; 0 for each Beat.
	pace time.Duration
	// asked: a snapshot was asked for, and what comes before it is not for us.
	asked   bool
	resyncs int
	resync  chan struct{}
}

const (
	// maxResyncs is of one link. On a healthy one there are none.
	maxResyncs = 8
	// maxFailures bounds those of one snapshot.
	maxFailures = 4 * keptFailures
)

// speak says hello, that somebody listens, and asks for snapshots.
func (s *session) speak(ctx context.Context, stream clientStream, hello *peerv1.LinkHello) error {
	message := &peerv1.LinkRequest{Message: &peerv1.LinkRequest_Hello{Hello: hello}}
	ticks := time.NewTicker(listening)
	defer ticks.Stop()
	for {
		if err := stream.Send(message); err != nil {
			return err
		}
		s.meter.Message(Out, proto.Size(message))
		select {
		case <-ticks.C:
			message = &peerv1.LinkRequest{Message: &peerv1.LinkRequest_Beat{Beat: &peerv1.Beat{}}}
		case <-s.resync:
			message = &peerv1.LinkRequest{Message: &peerv1.LinkRequest_Resync{Resync: &peerv1.Resync{}}}
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *session) listen(stream clientStream, w *watch) error {
	for {
		message, err := stream.Recv()
		if err != nil {
			if code := status.Code(err); code == codes.ResourceExhausted || code == codes.Internal {
				countBroken(err, s.meter)
			}
			return err
		}
		s.meter.Message(In, proto.Size(message))
		if err := w.heard(s, message); err != nil {
			var refused *RefusedError
			if errors.As(err, &refused) {
				s.meter.Refused(refused.Reason)
			}
			return err
		}
	}
}

func malformed(format string, args ...any) error {
	return &RefusedError{Reason: RefusedMalformed, Why: fmt.Sprintf(format, args...)}
}

func (s *session) take(message *peerv1.LinkResponse) error {
	if hello := message.GetHello(); !s.greeted || hello != nil {
		if s.greeted || hello == nil {
			return malformed("the host greets twice, or not at all")
		}
		s.greeted = true
		return s.sink.Greeted(hello)
	}
	switch value := message.GetMessage().(type) {
	case *peerv1.LinkResponse_Snapshot:
		return s.snapshot(value.Snapshot)
	case *peerv1.LinkResponse_Delta:
		return s.delta(value.Delta)
	case *peerv1.LinkResponse_Figures:
		s.sink.Described(value.Figures)
	case *peerv1.LinkResponse_Beat:
		s.pace = min(time.Duration(value.Beat.GetEveryMs())*time.Millisecond, slowBeat)
		if stamp := value.Beat.GetStamp(); stamp != nil && !s.staging && !s.asked && !s.sink.Matches(decodeStamp(stamp)) {
			return s.askAgain(errors.New("this host has something else than it should have by now"))
		}
	}
	// What this host does not know comes from a newer one, and is not for it.
	return nil
}

func (s *session) snapshot(m *peerv1.Snapshot) error {
	if len(s.staged)+len(m.GetEntries()) > residency.MaxEntries {
		return &RefusedError{Reason: RefusedOversized, Why: fmt.Sprintf("snapshot of more than %d entries", residency.MaxEntries)}
	}
	var failures []Failure
	s.staged, failures = decodeEntries(s.staged, m.GetEntries())
	s.failures = append(s.failures, failures[:min(len(failures), maxFailures-len(s.failures))]...)
	if s.staging = m.GetMore(); s.staging {
		return nil
	}
	entries, failures := s.staged, s.failures
	s.staged, s.failures, s.asked = nil, nil, false
	if err := s.sink.Replace(entries, failures, decodeStamp(m.GetStamp())); err != nil {
		return malformed("snapshot: %v", err)
	}
	s.whole = true
	return nil
}

func (s *session) delta(m *peerv1.Delta) error {
	switch {
	case s.staging:
		return malformed("changes came within a snapshot")
	case s.asked:
		return nil
	}
	entries, failures := decodeEntries(nil, m.GetEntries())
	if err := s.sink.Advance(m.GetAfter(), entries, failures, decodeStamp(m.GetStamp())); err != nil {
		return s.askAgain(err)
	}
	return nil
}

// askAgain has the host send a snapshot. One that does not help is the end of the link, see snapshot; and so is a host
// that needs many, for they cost both sides more than a new start.
func (s *session) askAgain(why error) error {
	if s.asked = true; s.resyncs == maxResyncs {
		return malformed("asked for %d snapshots in vain: %v", maxResyncs, why)
	}
	s.resyncs++
	select {
	case s.resync <- struct{}{}:
	default: // it is about to be asked already
	}
	return nil
}
