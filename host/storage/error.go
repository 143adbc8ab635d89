package storage

import (
	"errors"
	"fmt"
)

// Kind says what a caller can do about a failure.
type Kind uint8

const (
	// NotFound: the bucket, the volume or the path does not exist, or nothing lies under it.
	NotFound Kind = iota + 1
	// Denied: the credentials are wrong or may not read this place.
	Denied
	// Misconfigured: the storage reference, its Secret entry or the layout of the objects makes no sense. Trying again
	// with the same input gives the same answer.
	Misconfigured
	// TooLarge: over a bound on bytes or files, or larger than the whole disk budget.
	TooLarge
	// Unavailable: worth trying again soon.
	Unavailable
	// Internal: the local disk, or a defect of ours.
	Internal
)

var kinds = [...]string{
	NotFound: "not found", Denied: "denied", Misconfigured: "misconfigured",
	TooLarge: "too large", Unavailable: "unavailable", Internal: "internal",
}

// String names the kind for logs and metric labels.
func (k Kind) String() string {
	if k == 0 || int(k) >= len(kinds) {
		return fmt.Sprintf("kind %d", uint8(k))
	}
	return kinds[k]
}

// Error is every failure of this package except a context's own error, which is returned wrapped. Message is fit for a
// user's status block: what is missing where, and what to do. It holds no credential.
type Error struct {
	Kind    Kind
	Message string
}

func (e *Error) Error() string { return e.Message }

// KindOf answers the kind of err, Internal for an error of no kind, 0 for nil.
func KindOf(err error) Kind {
	if err == nil {
		return 0
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}

func errorf(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// errChanged says that an object is no longer the one that was listed. The pull lists again.
var errChanged = errors.New("object changed since it was listed")

// errLost says that a cached object is gone from the disk behind our back. The pull fetches it again.
var errLost = errors.New("cached object is gone from the disk")
