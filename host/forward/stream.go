package forward

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
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
}

// newStream checks that response is an answer in gRPC's terms.
func newStream(ctx context.Context, cancel context.CancelFunc, response *http.Response, up *upload) (*Stream, error) {
	if response.StatusCode != http.StatusOK {
		return nil, &Interrupted{fmt.Errorf("it answered HTTP status %s to a gRPC call", response.Status)}
	}
	if kind := response.Header.Get("Content-Type"); !strings.HasPrefix(kind, "application/grpc") {
		return nil, &Interrupted{fmt.Errorf("it answered content type %q to a gRPC call", kind)}
	}
	s := &Stream{ctx: ctx, cancel: cancel, response: response, upload: up, header: incoming(response.Header)}
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
		return 0, &Interrupted{errors.New("the server ended the call without a status")}
	}
	return 0, io.EOF
}

// Status is how the server ended the call; valid after Read returned io.EOF, or if TrailersOnly.
func (s *Stream) Status() Status { return s.status }

// Trailer is the metadata that came after the messages, the status included; valid as Status is, and empty if
// TrailersOnly.
func (s *Stream) Trailer() http.Header { return s.response.Trailer }

// Close ends the call, if it has not ended, and returns the connection's share of it.
func (s *Stream) Close() {
	s.cancel()
	s.response.Body.Close()
	s.release()
}
