package link

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/wasmesh/wasmesh/runtimes"
)

// Failure sorts the error of a call on this Link. It answers the caller's own context error when that is why the call
// ended, an Unavailable error when the server could not be reached or went away, and nil when the server itself
// answered with an error: then its code is the adapter's to interpret. server is the name that users know it by.
func (l *Link) Failure(ctx context.Context, server string, err error) error {
	if cause := contextCause(ctx, err); cause != nil {
		return cause
	}
	if status.Code(err) == codes.Unavailable {
		return &runtimes.Error{
			Kind:    runtimes.Unavailable,
			Message: fmt.Sprintf("%s at %s does not answer: %s", server, l.address, status.Convert(err).Message()),
			Err:     err,
		}
	}
	return nil
}

// contextCause answers ctx's error when err follows from it. grpc tells the server the deadline, and the server's
// DEADLINE_EXCEEDED can arrive before the client's own timer has fired.
func contextCause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	deadline, ok := ctx.Deadline()
	if ok && status.Code(err) == codes.DeadlineExceeded && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	return nil
}

// NotReady is for the error of a status call: a server that lets the caller's deadline pass is not ready, so the error
// becomes Unavailable.
func NotReady(err error) error {
	if !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return &runtimes.Error{
		Kind:    runtimes.Unavailable,
		Message: "the inference server did not say in time whether it is ready",
		Err:     err,
	}
}
