package route

import (
	"fmt"
	"net/http"
	"time"

	"google.golang.org/grpc/codes"
)

// Outcome is how a request ended. Every request has exactly one; it is the metric label, and it fixes the gRPC and
// the HTTP code.
type Outcome uint8

const (
	// Served: the runtime answered, with success or with an error of its own.
	Served Outcome = iota
	// UnknownModel: no alias or model of that name.
	UnknownModel
	// NoHost: nobody can hold the model now; a retry may find somebody.
	NoHost
	// QueueFull: too much waits already.
	QueueFull
	// CannotFit: the model is larger than the memory of any host.
	CannotFit
	// DeadlineExceeded: the caller's deadline passed before the model was loaded or the runtime answered.
	DeadlineExceeded
	// Cancelled: the caller went away.
	Cancelled
	// LoadFailed: the model failed to load and its next attempt is not due.
	LoadFailed
	// InvalidRequest: the request itself is malformed.
	InvalidRequest
	// TooLarge: the request is over the message limit.
	TooLarge
	// Interrupted: the connection to the runtime broke while the request was in flight.
	Interrupted
	// Internal: a defect of ours.
	Internal
)

var outcomes = [...]struct {
	label string
	code  codes.Code
	http  int
}{
	Served:           {"served", codes.OK, http.StatusOK},
	UnknownModel:     {"unknown_model", codes.NotFound, http.StatusNotFound},
	NoHost:           {"no_host", codes.Unavailable, http.StatusServiceUnavailable},
	QueueFull:        {"queue_full", codes.ResourceExhausted, http.StatusTooManyRequests},
	CannotFit:        {"cannot_fit", codes.ResourceExhausted, http.StatusInsufficientStorage},
	DeadlineExceeded: {"deadline_exceeded", codes.DeadlineExceeded, http.StatusGatewayTimeout},
	Cancelled:        {"cancelled", codes.Canceled, 499},
	LoadFailed:       {"load_failed", codes.FailedPrecondition, http.StatusFailedDependency},
	InvalidRequest:   {"invalid_request", codes.InvalidArgument, http.StatusBadRequest},
	TooLarge:         {"too_large", codes.ResourceExhausted, http.StatusRequestEntityTooLarge},
	Interrupted:      {"interrupted", codes.Unavailable, http.StatusServiceUnavailable},
	Internal:         {"internal", codes.Internal, http.StatusInternalServerError},
}

// String is the metric label.
func (o Outcome) String() string { return outcomes[o].label }

// ParseOutcome is the reverse of String.
func ParseOutcome(label string) (Outcome, bool) {
	for i := range outcomes {
		if outcomes[i].label == label {
			return Outcome(i), true
		}
	}
	return 0, false
}

// Code is the gRPC status code that the caller gets.
func (o Outcome) Code() codes.Code { return outcomes[o].code }

// HTTPStatus is the status that a REST caller gets.
func (o Outcome) HTTPStatus() int { return outcomes[o].http }

// Error ends a request without an answer of the runtime.
type Error struct {
	Outcome Outcome
	// Message says what happened, with its numbers, and what the caller can do.
	Message string
	// RetryAfter is set when trying again later makes sense.
	RetryAfter time.Duration
}

func (e *Error) Error() string { return e.Message }

// Errorf makes an Error.
func Errorf(outcome Outcome, format string, args ...any) *Error {
	return &Error{Outcome: outcome, Message: fmt.Sprintf(format, args...)}
}
