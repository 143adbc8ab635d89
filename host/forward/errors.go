package forward

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/codes"

	"github.com/wasmesh/wasmesh/host/route"
)

// Unsent means that nothing of the request can have reached the application: sending it again is safe.
type Unsent struct {
	Err error
	// Peer is the address if it was to go to another host, else empty.
	Peer string
}

func (e *Unsent) Error() string {
	return fmt.Sprintf("send request to %s: %v", recipient(e.Peer), e.Err)
}

func (e *Unsent) Unwrap() error { return e.Err }

// Interrupted means that the connection or the call broke after the request had left: the application may have acted
// on it.
type Interrupted struct {
	Err error
	// Peer is the address if it went to another host, else empty.
	Peer string
}

func (e *Interrupted) Error() string {
	return fmt.Sprintf("the call to %s broke off while the request was in flight; it may or may not have run, and sending it again waits for the server: %v",
		recipient(e.Peer), e.Err)
}

func (e *Interrupted) Unwrap() error { return e.Err }

func recipient(peer string) string {
	if peer == "" {
		return "the model server"
	}
	return "host " + peer
}

// RequestError means that the request itself cannot be forwarded, whatever the server.
type RequestError struct {
	Outcome route.Outcome
	// Code is the gRPC status code; it can be more exact than the outcome's.
	Code    codes.Code
	Message string
}

func (e *RequestError) Error() string { return e.Message }

func invalid(format string, args ...any) *RequestError {
	return &RequestError{route.InvalidRequest, codes.InvalidArgument, fmt.Sprintf(format, args...)}
}

func unimplemented(format string, args ...any) *RequestError {
	return &RequestError{route.InvalidRequest, codes.Unimplemented, fmt.Sprintf(format, args...)}
}

func tooLarge(format string, args ...any) *RequestError {
	return &RequestError{route.TooLarge, codes.ResourceExhausted, fmt.Sprintf(format, args...)}
}

// TooLarge says that a request message of size bytes is over limit.
func TooLarge(size, limit int64) *RequestError {
	return tooLarge("the message has %d bytes, over this server's limit of %d (--max-message-bytes)", size, limit)
}

// Memory is a shared budget of bytes. Take fails when n more do not fit.
type Memory interface {
	Take(n int64) *route.Error
	Give(n int64)
}

// classify types a failure of an attempt. sent is whether the request's headers left, on a connection that the server has
// taken.
func classify(ctx context.Context, up *upload, sent bool, err error) error {
	if bad := up.failure(); bad != nil {
		return bad
	}
	if cause := ctx.Err(); cause != nil {
		return cause
	}
	if bad := unsendable(err); bad != nil && !sent {
		return bad
	}
	if !sent || refused(err) {
		return &Unsent{err, up.peer}
	}
	return &Interrupted{err, up.peer}
}

// unsendable types what net/http does not put on the wire at all: then the request is at fault and not the server, which
// must not be doubted for it. net/http does not export these errors, so their text is all there is.
func unsendable(err error) *RequestError {
	switch text := err.Error(); {
	case strings.Contains(text, "request header list larger than peer's advertised limit"):
		return tooLarge("the request's metadata is larger than the model server takes: send less of it")
	case strings.Contains(text, "invalid header field"), strings.Contains(text, "invalid HTTP header"):
		return invalid("the request's metadata cannot be sent to the model server: %v", err)
	}
	return nil
}

// refused reports whether the server said that it did not process the stream (RFC 9113, 6.8 and 8.7). net/http does
// not export its error for a stream above the last one that a GOAWAY covers, so its text is all there is.
func refused(err error) bool {
	if stream, ok := errors.AsType[http2.StreamError](err); ok {
		return stream.Code == http2.ErrCodeRefusedStream
	}
	return strings.Contains(err.Error(), "graceful shutdown GOAWAY")
}
