package runtimes

import (
	"errors"
	"fmt"
)

// Kind says what an adapter's error means to the host.
type Kind uint8

const (
	// Unavailable: the server is not there or not ready. The model is not to blame; try when the server is back.
	Unavailable Kind = iota + 1
	// ModelRejected: the server looked at the model and would not load it. Trying the same bytes again rarely helps.
	ModelRejected
)

// String names the kind for logs.
func (k Kind) String() string {
	switch k {
	case Unavailable:
		return "unavailable"
	case ModelRejected:
		return "model rejected"
	default:
		return fmt.Sprintf("kind %d", uint8(k))
	}
}

// Error is a failure of an adapter call. Message is fit for a user's status block: the server's own words where it
// gave some.
type Error struct {
	Kind    Kind
	Message string
	Err     error
}

func (e *Error) Error() string { return e.Message }

func (e *Error) Unwrap() error { return e.Err }

// IsUnavailable reports whether err says that the server, not the model, is the trouble.
func IsUnavailable(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Kind == Unavailable
}
