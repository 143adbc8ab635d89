package syncserver

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// helloTimeout bounds how long a stream may be silent before it says whose it is.
const helloTimeout = 10 * time.Second

// phase is how far a stream has come with the catalog.
type phase int

const (
	// fresh: nothing has been sent, perhaps since there is no catalog yet.
	fresh phase = iota
	// indexed: the host holds an Index and has not fetched.
	indexed
	// following: the host gets each step from the version that it was last sent.
	following
)

// stream is one host's connection.
type stream struct {
	key    HostKey
	hello  *syncv1.Hello
	cancel context.CancelCauseFunc
	// wake has the sender look for work.
	wake chan struct{}

	// The rest is guarded by Server.mu.
	host  *host
	phase phase
	// sent is the version of the last Index or Update.
	sent *snapshot
	// wanted holds the keys that the host asked for; fetching says that it asked.
	wanted   []string
	fetching bool
	// closed streams must not be connected any more.
	closed bool
	// Numbers of the credentials, the list of hosts and the policies last sent.
	credentialsNumber, hostsNumber, policiesNumber uint64
	// drain is what was last sent of host.drain.
	drain *syncv1.Drain
	// queries are yet to be sent; unanswered ones, those included, are waited for.
	queries    map[uint64]*syncv1.DecisionsQuery
	unanswered map[uint64]bool
}

// Connect implements syncv1.SyncServiceServer. It sends; a goroutine receives, and ends with the stream, right after
// Connect has returned.
func (s *Server) Connect(conn syncv1.SyncService_ConnectServer) error {
	ctx, cancel := context.WithCancelCause(conn.Context())
	defer cancel(nil)
	st := &stream{
		cancel: cancel, wake: make(chan struct{}, 1),
		queries: map[uint64]*syncv1.DecisionsQuery{}, unanswered: map[uint64]bool{},
	}
	if !s.begin() {
		return errStopping
	}
	defer s.disconnect(st)
	silent := time.AfterFunc(helloTimeout, func() {
		cancel(status.Errorf(codes.DeadlineExceeded, "no Hello within %s", helloTimeout))
	})
	defer silent.Stop()
	go func() {
		defer s.receivers.Done()
		cancel(s.receive(conn, st, silent))
	}()
	return s.send(ctx, conn, st)
}

// begin counts a receiver, unless the server is stopping.
func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return false
	}
	s.receivers.Add(1)
	return true
}

// receive handles what the host says, until it ends the stream or breaks the protocol.
func (s *Server) receive(conn syncv1.SyncService_ConnectServer, st *stream, silent *time.Timer) error {
	first, err := conn.Recv()
	if err != nil {
		return ended(err)
	}
	st.hello = first.GetHello()
	st.key = HostKey{Namespace: st.hello.GetNamespace(), ID: st.hello.GetHostId()}
	if st.key.ID == "" || st.key.Namespace == "" {
		return status.Error(codes.InvalidArgument, "a stream begins with a Hello that names the host and its namespace")
	}
	silent.Stop()
	log := s.logger.With("host", st.key.ID, "namespace", st.key.Namespace, "epoch", st.hello.GetEpoch())
	if err := s.connect(st); err != nil {
		log.Warn("host refused", "error", err)
		return err
	}
	log.Info("host connected", "runtime", st.hello.GetRuntime(), "grpc", st.hello.GetGrpcAddress())
	for {
		request, err := conn.Recv()
		if err == nil {
			err = s.handle(st, request)
		}
		if err != nil {
			err = ended(err)
			log.Info("host disconnected", "reason", status.Convert(err).Message())
			return err
		}
	}
}

// errHostEnded is the cause of a stream that its host closed.
var errHostEnded = status.Error(codes.Canceled, "the host ended the stream")

func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return errHostEnded
	}
	return err
}

func (s *Server) handle(st *stream, request *syncv1.ConnectRequest) error {
	switch message := request.GetMessage().(type) {
	case *syncv1.ConnectRequest_Ack:
		return s.ack(st, message.Ack.GetVersion())
	case *syncv1.ConnectRequest_Fetch:
		return s.fetch(st, message.Fetch.GetKeys())
	case *syncv1.ConnectRequest_Report:
		return s.report(st, message.Report)
	case *syncv1.ConnectRequest_Policies:
		s.reportPolicies(st, message.Policies)
		return nil
	case *syncv1.ConnectRequest_Decisions:
		s.reply(st, message.Decisions)
		return nil
	case *syncv1.ConnectRequest_Hello:
		return status.Error(codes.InvalidArgument, "a stream has one Hello only")
	}
	return nil // A message of a later version of the protocol.
}

func (s *Server) fetch(st *stream, keys []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st.phase != indexed || st.fetching {
		return status.Error(codes.FailedPrecondition, "one Fetch follows each Index")
	}
	st.wanted, st.fetching = keys, true
	signal(st.wake)
	return nil
}

// send has the stream catch up whenever it is woken.
func (s *Server) send(ctx context.Context, conn syncv1.SyncService_ConnectServer, st *stream) error {
	for {
		select {
		case <-ctx.Done():
			return cause(ctx)
		case <-st.wake:
		}
		for {
			response := s.next(st)
			if response == nil {
				break
			}
			for message := range response.messages() {
				if err := conn.Send(message); err != nil {
					return err
				}
			}
			if ctx.Err() != nil {
				return cause(ctx)
			}
		}
	}
}
