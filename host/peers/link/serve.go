package link

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/wasmesh/wasmesh/host/peers/residency"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
)

const (
	// Beat is how often a host says to its followers that it lives.
	Beat = 500 * time.Millisecond
	// Silence is when a host is taken for dead: two beats missed, and half of one for a busy machine.
	Silence = 2*Beat + Beat/2
	// slowBeat is in place of Beat while the host has no time. Beats are most of what a host does at rest, for each of the
	// others; to insist on them would keep an overloaded machine from all else.
	slowBeat = 4 * Beat
	// Patience is how long a host may take to greet, and for each part of its first snapshot. It is not live before, so
	// nothing depends on it; and where many hosts start at once on few processors, giving up early would make it all begin
	// again.
	Patience = 10 * time.Second
	// listening is how often a follower says that it is still there, and deserted when it is taken not to be. Whether it is
	// alive its own host's word decides, not this: here a stream is cleared away that nobody reads.
	listening = 5 * time.Second
	deserted  = 4 * listening
	// proving is how often, in beats, one carries a stamp, when nothing has changed.
	proving = 10
	// Changes go out one by one as they come, up to burst of them within rest; then together when that has passed. So one
	// waits for nothing, and thousands cost each follower no more than a few hundred messages a second. On a host that has
	// no time, slowRest passes after each.
	burst    = 8
	rest     = 40 * time.Millisecond
	slowRest = Beat / 2
)

// Direction of messages.
const (
	In  = "in"
	Out = "out"
)

// Meter counts what a link carries. Its functions may be called by any goroutine.
type Meter struct {
	// Message counts one, In or Out, and its bytes.
	Message func(direction string, bytes int)
	// Snapshot counts one that was sent whole.
	Snapshot func()
	// Refused counts what was not taken in.
	Refused func(Refusal)
}

// Refusal is why something that came was not taken in.
type Refusal string

// The refusals.
const (
	RefusedMesh      Refusal = "mesh"
	RefusedMalformed Refusal = "malformed"
	RefusedOversized Refusal = "oversized"
	RefusedIdentity  Refusal = "identity"
)

// Server tells followers what a Publisher holds.
type Server struct {
	publisher *Publisher
	hello     *peerv1.LinkHello
	admit     func(*peerv1.LinkHello) error
	meter     Meter
	leaving   chan struct{}
	leave     sync.Once
	readers   sync.WaitGroup
	// stalled reports whether this host did not get to run just now.
	stalled func() bool
}

// NewServer makes a Server that greets with hello and follows admit, which may refuse who calls with a status error.
// stalled is Follower's Stalled.
func NewServer(publisher *Publisher, hello *peerv1.LinkHello, admit func(*peerv1.LinkHello) error, meter Meter, stalled func() bool) *Server {
	return &Server{publisher: publisher, hello: hello, admit: admit, meter: meter, leaving: make(chan struct{}), stalled: stalled}
}

// Hello is what it greets with, and what this host follows others with.
func (s *Server) Hello() *peerv1.LinkHello { return s.hello }

// Leave ends all streams in the way that tells followers that this host is leaving, and those that come.
func (s *Server) Leave() { s.leave.Do(func() { close(s.leaving) }) }

// Wait returns when no goroutine is left of streams whose handlers have returned.
func (s *Server) Wait() { s.readers.Wait() }

// Stream is the server's end of a Link.
type Stream = grpc.BidiStreamingServer[peerv1.LinkRequest, peerv1.LinkResponse]

// Serve is the handler of PeerService.Link, until the end of ctx at most. That it returns nil says that this host leaves.
func (s *Server) Serve(ctx context.Context, stream Stream) error {
	l := s.listen(stream)
	silent := time.NewTimer(Patience)
	defer silent.Stop()
	select {
	case hello := <-l.hello:
		if err := s.greet(hello); err != nil {
			return err
		}
	case err := <-l.failed:
		return s.broken(err)
	case <-s.leaving:
		return nil
	case <-ctx.Done():
		return errStopping()
	case <-silent.C:
		return status.Error(codes.DeadlineExceeded, "no greeting came")
	}
	f := &follower{server: s, stream: stream, snapshot: true, pace: Beat}
	if err := f.send(&peerv1.LinkResponse{Message: &peerv1.LinkResponse_Hello{Hello: s.hello}}); err != nil {
		return err
	}
	return f.run(ctx, l)
}

func errStopping() error { return status.Error(codes.Unavailable, "the host is stopping") }

func (s *Server) greet(hello *peerv1.LinkHello) error {
	if hello == nil {
		s.meter.Refused(RefusedMalformed)
		return status.Error(codes.InvalidArgument, "the first message of a link must be a greeting")
	}
	if hello.GetMesh() != s.hello.GetMesh() || hello.GetNamespace() != s.hello.GetNamespace() {
		s.meter.Refused(RefusedMesh)
		return status.Errorf(codes.FailedPrecondition, "this host is of mesh %s/%s", s.hello.GetMesh(), s.hello.GetNamespace())
	}
	return s.admit(hello)
}

// broken counts what a stream broke of, when it is the other side's fault.
func (s *Server) broken(err error) error {
	if err == io.EOF {
		return status.Error(codes.Canceled, "the follower has gone")
	}
	countBroken(err, s.meter)
	return err
}

// countBroken tells what grpc refused for us from a connection that ended.
func countBroken(err error, meter Meter) {
	switch status.Code(err) {
	case codes.ResourceExhausted:
		meter.Refused(RefusedOversized)
	case codes.Internal:
		meter.Refused(RefusedMalformed)
	}
}

// listener is what a follower says. Its goroutine ends with the stream, which ends when the handler returns.
type listener struct {
	hello  chan *peerv1.LinkHello // the first message's, nil if it was another; one at most
	resync chan struct{}
	failed chan error
	heard  atomic.Int64 // unix nanoseconds
}

func (s *Server) listen(stream Stream) *listener {
	l := &listener{hello: make(chan *peerv1.LinkHello, 1), resync: make(chan struct{}, 1), failed: make(chan error, 1)}
	s.readers.Go(func() { l.failed <- l.read(stream, s.meter) })
	return l
}

func (l *listener) read(stream Stream, meter Meter) error {
	for first := true; ; first = false {
		message, err := stream.Recv()
		if err != nil {
			return err
		}
		meter.Message(In, proto.Size(message))
		l.heard.Store(time.Now().UnixNano())
		if first {
			l.hello <- message.GetHello()
		}
		if message.GetResync() != nil {
			select {
			case l.resync <- struct{}{}:
			default:
			}
		}
	}
}

// follower is the sending side of one stream, on the goroutine of its handler.
type follower struct {
	server *Server
	stream Stream
	// at is what the follower has; not before a snapshot.
	at       residency.Stamp
	snapshot bool
	figures  *peerv1.Figures
	// proven is what the last stamp of a beat was, and plain how many beats have carried none since.
	proven residency.Stamp
	plain  int
	// pace is how often there are beats.
	pace time.Duration
	// spurt is when the present burst began, and sent how many messages it has.
	spurt time.Time
	sent  int
}

func (f *follower) run(ctx context.Context, l *listener) error {
	beat := time.NewTicker(Beat)
	defer beat.Stop()
	for {
		var news <-chan struct{}
		var rested <-chan time.Time
		if pause := f.pause(time.Now()); pause > 0 {
			rested = time.After(pause)
		} else {
			// What is news after this is waited for; what is before it is sent.
			news = f.server.publisher.News()
			if sent, err := f.update(); err != nil {
				return err
			} else if sent {
				f.sent++
			}
		}
		select {
		case <-news:
		case <-rested:
		case <-l.resync:
			f.snapshot = true
		case <-beat.C:
			if time.Since(time.Unix(0, l.heard.Load())) > deserted {
				return status.Error(codes.DeadlineExceeded, "the follower is silent")
			}
			if err := f.beat(beat); err != nil {
				return err
			}
		case err := <-l.failed:
			return f.server.broken(err)
		case <-f.server.leaving:
			return nil
		case <-ctx.Done():
			return errStopping()
		case <-f.stream.Context().Done():
			return context.Cause(f.stream.Context())
		}
	}
}

// pause is how long the next change has to wait for others; zero when it need not.
func (f *follower) pause(now time.Time) time.Duration {
	most, rest := burst, rest
	if f.server.stalled() {
		most, rest = 1, slowRest
	}
	if left := rest - now.Sub(f.spurt); left > 0 {
		if f.sent < most {
			return 0
		}
		return left
	}
	f.spurt, f.sent = now, 0
	return 0
}

// update sends whatever the follower does not have.
func (f *follower) update() (sent bool, err error) {
	p := f.server.publisher
	if figures := p.Figures(); figures != f.figures {
		f.figures, sent = figures, true
		if err := f.send(&peerv1.LinkResponse{Message: &peerv1.LinkResponse_Figures{Figures: figures}}); err != nil {
			return true, err
		}
	}
	if !f.snapshot {
		delta, ok := p.delta(f.at.Sequence)
		if ok && delta == nil {
			return sent, nil
		}
		if ok {
			f.at = decodeStamp(delta.GetDelta().GetStamp())
			return true, f.send(delta)
		}
	}
	messages, at := p.snapshot()
	for _, m := range messages {
		if err := f.send(m); err != nil {
			return true, err
		}
	}
	f.at, f.snapshot = at, false
	f.server.meter.Snapshot()
	return true, nil
}

// beat is whatever has waited for it, or that nothing has.
func (f *follower) beat(ticks *time.Ticker) error {
	pace := Beat
	if f.server.stalled() {
		pace = slowBeat
	}
	sent, err := f.update()
	if err != nil || sent && pace == f.pace {
		return err
	}
	if pace != f.pace {
		f.pace = pace
		ticks.Reset(pace)
	}
	m := &peerv1.Beat{}
	if pace != Beat {
		m.EveryMs = uint32(pace.Milliseconds())
	}
	if f.plain++; f.at != f.proven || f.plain >= proving {
		f.proven, f.plain = f.at, 0
		m.Stamp = encodeStamp(f.at)
	}
	return f.send(&peerv1.LinkResponse{Message: &peerv1.LinkResponse_Beat{Beat: m}})
}

func (f *follower) send(m *peerv1.LinkResponse) error {
	if err := f.stream.Send(m); err != nil {
		return err
	}
	f.server.meter.Message(Out, proto.Size(m))
	return nil
}
