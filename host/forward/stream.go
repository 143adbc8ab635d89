package forward

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/wasmesh/wasmesh/host/route"
)

// Stream is a call that the server has begun to answer. It is read to its end by one goroutine, then closed.
type Stream struct {
	ctx      context.Context
	cancel   context.CancelFunc
	response *http.Response
	upload   *upload
	release  func()

	header       http.Header
	trailersOnly bool
	status       Status
	ended        bool
	// notHere and outcome are what a peer says of itself.
	notHere, outcome string
}

// newStream checks that response is an answer in gRPC's terms.
func newStream(ctx context.Context, cancel context.CancelFunc, response *http.Response, out outbound) (*Stream, error) {
	if response.StatusCode != http.StatusOK {
		return nil, &Interrupted{fmt.Errorf("it answered HTTP status %s to a gRPC call", response.Status), out.up.peer}
	}
	if kind := response.Header.Get("Content-Type"); !strings.HasPrefix(kind, "application/grpc") {
		return nil, &Interrupted{fmt.Errorf("it answered content type %q to a gRPC call", kind), out.up.peer}
	}
	s := &Stream{ctx: ctx, cancel: cancel, response: response, upload: out.up}
	if out.target.Peer {
		s.notHere, s.outcome = response.Header.Get(route.HeaderNotHere), response.Header.Get(route.HeaderOutcome)
	}
	s.header = incoming(response.Header)
	s.status, s.trailersOnly = statusOf(s.header)
	s.ended = s.trailersOnly
	return s, nil
}

// Header is the response metadata, which also holds the status and trailers if TrailersOnly.
func (s *Stream) Header() http.Header { return s.header }

// TrailersOnly reports whether the answer is a status without any message: the way of servers that refuse a call.
func (s *Stream) TrailersOnly() bool { return s.trailersOnly }

// Read returns opaque bytes of the answer. At io.EOF Status and Trailer are set. Other errors are Interrupted,
// RequestError or the context's.
func (s *Stream) Read(p []byte) (int, error) {
	if s.ended {
		return 0, io.EOF
	}
	n, err := s.response.Body.Read(p)
	if err == nil || n > 0 {
		return n, nil
	}
	if err != io.EOF {
		return 0, classify(s.ctx, s.upload, true, err)
	}
	if s.status, s.ended = statusOf(s.response.Trailer); !s.ended {
		return 0, &Interrupted{errors.New("the server ended the call without a status"), s.upload.peer}
	}
	if s.upload.peer != "" {
		s.outcome = s.response.Trailer.Get(route.HeaderOutcome)
	}
	route.Strip(s.response.Trailer)
	return 0, io.EOF
}

// Status is how the server ended the call; valid after Read returned io.EOF, or if TrailersOnly.
func (s *Stream) Status() Status { return s.status }

// Trailer is the metadata that came after the messages, the status included; valid as Status is, and empty if
// TrailersOnly.
func (s *Stream) Trailer() http.Header { return s.response.Trailer }

// NotHere is a peer's word that it passed the request to nobody, as it came: route.ParseNotHere. Empty if it said no such
// thing.
func (s *Stream) NotHere() string {
	if !s.trailersOnly {
		return ""
	}
	return s.notHere
}

// Outcome is how a peer says that it ended the call itself: the label of a route.Outcome. Empty if a model server ended it.
// Valid as Status is.
func (s *Stream) Outcome() string { return s.outcome }

// Close ends the call, if it has not ended, and returns the connection's share of it.
func (s *Stream) Close() {
	s.cancel()
	s.response.Body.Close()
	s.release()
}
