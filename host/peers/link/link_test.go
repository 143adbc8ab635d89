package link

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/wasmesh/wasmesh/host/peers/peerstest"
	"github.com/wasmesh/wasmesh/host/peers/residency"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// sink is a follower's table.
type sink struct {
	table    *residency.Table
	failures map[uint64]*syncv1.Failure
	figures  *peerv1.Figures
	greeting *peerv1.LinkHello
	replaced int
	advanced int
	refuse   error
	// fell and rose say when it was told, the last time.
	fell, rose time.Time
}

func newSink() *sink {
	return &sink{table: residency.NewTable(), failures: map[uint64]*syncv1.Failure{}}
}

func (s *sink) Greeted(hello *peerv1.LinkHello) error {
	s.greeting = hello
	return s.refuse
}

func (s *sink) Replace(entries []residency.Entry, failures []Failure, stamp residency.Stamp) error {
	s.remember(failures)
	s.replaced++
	_, err := s.table.Replace("a", 1, entries, stamp)
	return err
}

func (s *sink) Advance(after uint64, entries []residency.Entry, failures []Failure, stamp residency.Stamp) error {
	s.remember(failures)
	s.advanced++
	_, err := s.table.Advance("a", 1, after, entries, stamp)
	return err
}

func (s *sink) remember(failures []Failure) {
	for _, f := range failures {
		s.failures[f.Key] = f.Failure
	}
}

func (s *sink) Matches(stamp residency.Stamp) bool { return s.table.Matches("a", 1, stamp) }

func (s *sink) Described(f *peerv1.Figures) { s.figures = f }

func (s *sink) Fell() { s.fell = time.Now() }

func (s *sink) Rose() error {
	s.rose = time.Now()
	return nil
}

// meters counts.
type meters struct {
	mu        sync.Mutex
	refused   map[Refusal]int
	snapshots int
}

func (m *meters) meter() Meter {
	return Meter{
		Message: func(string, int) {},
		Snapshot: func() {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.snapshots++
		},
		Refused: func(r Refusal) {
			m.mu.Lock()
			defer m.mu.Unlock()
			if m.refused == nil {
				m.refused = map[Refusal]int{}
			}
			m.refused[r]++
		},
	}
}

func (m *meters) of(r Refusal) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.refused[r]
}

// service serves Link by a function.
type service struct {
	peerv1.UnimplementedPeerServiceServer
	link func(Stream) error
}

func (s service) Link(stream Stream) error { return s.link(stream) }

// rig is one who serves and one who connects, on a network in memory.
type rig struct {
	t       *testing.T
	network *peerstest.Network
	server  *http.Server
	client  peerv1.PeerServiceClient
	conn    *grpc.ClientConn
	served  chan struct{}
}

func serving(s *Server) func(Stream) error {
	return func(stream Stream) error { return s.Serve(context.Background(), stream) }
}

func newRig(t *testing.T, serve func(Stream) error) *rig {
	network := peerstest.NewNetwork()
	a, b := network.Host("10.0.0.1"), network.Host("10.0.0.2")
	g := grpc.NewServer()
	peerv1.RegisterPeerServiceServer(g, service{link: serve})
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	r := &rig{t: t, network: network, server: &http.Server{Handler: g, Protocols: &protocols}, served: make(chan struct{})}
	listener := a.Listen(8080)
	go func() {
		defer close(r.served)
		r.server.Serve(listener)
	}()
	conn, err := grpc.NewClient("passthrough:///10.0.0.1:8080", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) { return b.Dial(ctx, address) }))
	if err != nil {
		t.Fatal(err)
	}
	r.conn, r.client = conn, peerv1.NewPeerServiceClient(conn)
	return r
}

func (r *rig) end() {
	r.conn.Close()
	r.server.Close()
	<-r.served
	synctest.Wait()
}

func hello(id string) *peerv1.LinkHello {
	return &peerv1.LinkHello{Mesh: "m", Namespace: "n", HostId: id, Epoch: 1}
}

func following(id string, m *meters) Follower {
	return Follower{Hello: hello(id), Meter: m.meter(), Stalled: never}
}

func all(*peerv1.LinkHello) error { return nil }

func never() bool { return false }

// follow runs Follow; stop ends it and answers its error.
func (r *rig) follow(s *sink, m *meters) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- following("b", m).Follow(ctx, r.client, s) }()
	return func() error {
		cancel()
		return <-done
	}
}

func entry(key uint64, state residency.State) residency.Entry {
	return residency.Entry{Key: key, State: state, Size: 1 << 20}
}

func TestFollowerHasWhatIsPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, m := NewPublisher(), &meters{}
		server := NewServer(p, hello("a"), all, m.meter(), never)
		r := newRig(t, serving(server))
		defer server.Wait()
		defer r.end()
		// More than fits into one message, and some that failed.
		for key := range uint64(3*chunk + 1) {
			p.Publish(entry(key, residency.Loaded), nil)
		}
		p.Publish(entry(7, residency.Failed), &syncv1.Failure{Message: strings.Repeat("long ", 1000)})
		p.PublishFigures(&peerv1.Figures{Copies: 5})
		s := newSink()
		stop := r.follow(s, m)
		synctest.Wait()
		if s.table.Len() != 3*chunk+1 || s.replaced != 1 || s.figures.GetCopies() != 5 || s.greeting.GetHostId() != "a" {
			t.Fatalf("%d entries after %d snapshots, figures %v, greeting %v", s.table.Len(), s.replaced, s.figures, s.greeting)
		}
		if f := s.failures[7]; len(f.GetMessage()) < 500 || len(f.GetMessage()) > 600 {
			t.Errorf("failure %q", f.GetMessage())
		}
		for range 5 {
			time.Sleep(Beat)
			p.Publish(entry(1, residency.Draining), nil)
			p.Publish(entry(1, residency.Absent), nil)
			p.Publish(entry(1, residency.Loaded), nil)
			synctest.Wait()
		}
		if s.replaced != 1 || s.advanced == 0 || s.table.Len() != 3*chunk+1 {
			t.Errorf("%d snapshots and %d changes, %d entries", s.replaced, s.advanced, s.table.Len())
		}
		server.Leave()
		synctest.Wait()
		if err := stop(); !errors.Is(err, ErrLeft) {
			t.Errorf("after it left: %v", err)
		}
	})
}

// A follower that does not read holds up nobody, and has little waiting for it when it does.
func TestSlowFollower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, m := NewPublisher(), &meters{}
		server := NewServer(p, hello("a"), all, m.meter(), never)
		r := newRig(t, serving(server))
		defer server.Wait()
		defer r.end()
		quick := newSink()
		stop := r.follow(quick, m)
		defer stop()
		slow, err := r.client.Link(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := slow.Send(&peerv1.LinkRequest{Message: &peerv1.LinkRequest_Hello{Hello: hello("c")}}); err != nil {
			t.Fatal(err)
		}
		const keys, rounds = 5000, 40
		for round := range rounds {
			for key := range uint64(keys) {
				p.Publish(entry(key, residency.State(1+(uint64(round)+key)%3)), nil)
			}
			time.Sleep(Beat)
			if err := slow.Send(&peerv1.LinkRequest{Message: &peerv1.LinkRequest_Beat{Beat: &peerv1.Beat{}}}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if !quick.Matches(p.log.Stamp()) {
				t.Fatalf("round %d: the quick follower is behind", round)
			}
		}
		// What the slow one now reads ends with what is true, after a fraction of what there was to say.
		in := &session{sink: newSink(), meter: m.meter(), resync: make(chan struct{}, 1)}
		entries := 0
		for !in.sink.(*sink).Matches(p.log.Stamp()) {
			message, err := slow.Recv()
			if err != nil {
				t.Fatal(err)
			}
			entries += len(message.GetDelta().GetEntries()) + len(message.GetSnapshot().GetEntries())
			if err := in.take(message); err != nil {
				t.Fatal(err)
			}
		}
		if entries > keys*rounds/4 || in.asked {
			t.Errorf("it was sent %d entries of %d changes", entries, keys*rounds)
		}
		if err := slow.CloseSend(); err != nil {
			t.Error(err)
		}
	})
}

// A host whose word does not fit together is asked for a snapshot.
func TestResync(t *testing.T) {
	good := &peerv1.Entry{Key: 1, State: syncv1.CopyState_COPY_STATE_LOADED}
	digest := residency.DigestOf([]residency.Entry{{Key: 1, State: residency.Loaded}})
	stamp := &peerv1.Stamp{Sequence: 4, Digest: digest}
	snapshot := &peerv1.LinkResponse{Message: &peerv1.LinkResponse_Snapshot{Snapshot: &peerv1.Snapshot{Entries: []*peerv1.Entry{good}, Stamp: stamp}}}
	delta := func(after, sequence, digest uint64) *peerv1.LinkResponse {
		return &peerv1.LinkResponse{Message: &peerv1.LinkResponse_Delta{Delta: &peerv1.Delta{
			After: after, Entries: []*peerv1.Entry{{Key: 2, State: syncv1.CopyState_COPY_STATE_LOADED}}, Stamp: &peerv1.Stamp{Sequence: sequence, Digest: digest},
		}}}
	}
	for name, wrong := range map[string]*peerv1.LinkResponse{
		"gap":    delta(7, 8, 0),
		"digest": delta(4, 5, 12345),
		"beat":   {Message: &peerv1.LinkResponse_Beat{Beat: &peerv1.Beat{Stamp: &peerv1.Stamp{Sequence: 9}}}},
		"bad state": {Message: &peerv1.LinkResponse_Delta{Delta: &peerv1.Delta{
			After: 4, Entries: []*peerv1.Entry{{Key: 2, State: 99}}, Stamp: &peerv1.Stamp{Sequence: 5},
		}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked, incurable := make(chan struct{}, 100), name == "digest"
				m := &meters{}
				r := newRig(t, func(stream Stream) error {
					for _, m := range []*peerv1.LinkResponse{{Message: &peerv1.LinkResponse_Hello{Hello: hello("a")}}, snapshot, wrong, delta(5, 6, 1)} {
						if err := stream.Send(m); err != nil {
							return err
						}
					}
					for {
						message, err := stream.Recv()
						if err != nil {
							return err
						}
						if message.GetResync() == nil {
							continue
						}
						asked <- struct{}{}
						stream.Send(snapshot)
						if incurable {
							stream.Send(wrong)
						}
					}
				})
				defer r.end()
				s := newSink()
				stop := r.follow(s, m)
				synctest.Wait()
				if !incurable {
					if len(asked) != 1 || s.replaced != 2 || !s.Matches(decodeStamp(stamp)) {
						t.Errorf("asked %d times, %d snapshots", len(asked), s.replaced)
					}
					stop()
					return
				}
				// One that never gets it right is given up.
				if err := stop(); m.of(RefusedMalformed) != 1 || len(asked) != maxResyncs {
					t.Errorf("asked %d times, ended with %v", len(asked), err)
				}
			})
		})
	}
}

func TestMalformedHostIsGivenUp(t *testing.T) {
	say := func(m *peerv1.LinkHello) *peerv1.LinkResponse {
		return &peerv1.LinkResponse{Message: &peerv1.LinkResponse_Hello{Hello: m}}
	}
	part := func(more bool, digest uint64) *peerv1.LinkResponse {
		return &peerv1.LinkResponse{Message: &peerv1.LinkResponse_Snapshot{Snapshot: &peerv1.Snapshot{More: more, Stamp: &peerv1.Stamp{Digest: digest}}}}
	}
	large := &peerv1.LinkResponse{Message: &peerv1.LinkResponse_Snapshot{Snapshot: &peerv1.Snapshot{}}}
	for range 200_000 {
		large.GetSnapshot().Entries = append(large.GetSnapshot().Entries, &peerv1.Entry{Key: 1 << 60, SizeBytes: 1 << 50, Used: 1 << 30})
	}
	for name, c := range map[string]struct {
		says []*peerv1.LinkResponse
		want Refusal
	}{
		"no greeting":         {[]*peerv1.LinkResponse{part(false, 0)}, RefusedMalformed},
		"empty greeting":      {[]*peerv1.LinkResponse{{}}, RefusedMalformed},
		"two greetings":       {[]*peerv1.LinkResponse{say(hello("a")), say(hello("a"))}, RefusedMalformed},
		"digest of snapshot":  {[]*peerv1.LinkResponse{say(hello("a")), part(false, 5)}, RefusedMalformed},
		"changes in snapshot": {[]*peerv1.LinkResponse{say(hello("a")), part(true, 0), {Message: &peerv1.LinkResponse_Delta{Delta: &peerv1.Delta{}}}}, RefusedMalformed},
		"large message":       {[]*peerv1.LinkResponse{say(hello("a")), large}, RefusedOversized},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &meters{}
				r := newRig(t, func(stream Stream) error {
					for _, message := range c.says {
						if err := stream.Send(message); err != nil {
							return err
						}
					}
					<-stream.Context().Done()
					return nil
				})
				defer r.end()
				err := following("b", m).Follow(t.Context(), r.client, newSink())
				if m.of(c.want) != 1 {
					t.Errorf("refused %v, ended with %v, want %q", m.refused, err, c.want)
				}
			})
		})
	}
}

func TestMalformedFollowerIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		says *peerv1.LinkRequest
		want codes.Code
		why  Refusal
	}{
		"no greeting":       {&peerv1.LinkRequest{Message: &peerv1.LinkRequest_Beat{}}, codes.InvalidArgument, RefusedMalformed},
		"nothing":           {&peerv1.LinkRequest{}, codes.InvalidArgument, RefusedMalformed},
		"another mesh":      {&peerv1.LinkRequest{Message: &peerv1.LinkRequest_Hello{Hello: &peerv1.LinkHello{Mesh: "o", Namespace: "n", HostId: "b"}}}, codes.FailedPrecondition, RefusedMesh},
		"another namespace": {&peerv1.LinkRequest{Message: &peerv1.LinkRequest_Hello{Hello: &peerv1.LinkHello{Mesh: "m", Namespace: "o", HostId: "b"}}}, codes.FailedPrecondition, RefusedMesh},
		"not welcome":       {&peerv1.LinkRequest{Message: &peerv1.LinkRequest_Hello{Hello: hello("b")}}, codes.AlreadyExists, ""},
		"large":             {&peerv1.LinkRequest{Message: &peerv1.LinkRequest_Hello{Hello: &peerv1.LinkHello{Zone: strings.Repeat("z", 5<<20)}}}, codes.ResourceExhausted, RefusedOversized},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &meters{}
				server := NewServer(NewPublisher(), hello("a"), func(*peerv1.LinkHello) error {
					return status.Error(codes.AlreadyExists, "go away")
				}, m.meter(), never)
				r := newRig(t, serving(server))
				defer server.Wait()
				defer r.end()
				stream, err := r.client.Link(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				stream.Send(c.says)
				if _, err := stream.Recv(); status.Code(err) != c.want {
					t.Errorf("answered %v, want %v", err, c.want)
				}
				synctest.Wait() // It is answered before it is counted.
				if c.why != "" && m.of(c.why) != 1 {
					t.Errorf("counted %v, want %q", m.refused, c.why)
				}
			})
		})
	}
}
