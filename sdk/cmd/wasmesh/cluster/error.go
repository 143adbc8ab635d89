package cluster

// Problem is what a person has to see to.
type Problem int

// Problems.
const (
	// NoConfig: there is no kubeconfig, or it names no cluster.
	NoConfig Problem = iota + 1
	// Unreachable: the API server does not answer.
	Unreachable
	// Forbidden: the person may not do something that is needed.
	Forbidden
	// NotInstalled: the API server does not know the kinds.
	NotInstalled
	// NoController: no controller is ready, or it is not clear which is meant.
	NoController
	// NoMesh: the namespace has none, or no pod of it is ready.
	NoMesh
	// Taken: an object of that name is something else.
	Taken
)

// Error says what is the matter and what to do about it.
type Error struct {
	Problem Problem
	// Message is whole sentences for people.
	Message string
	// Err is the cause; may be nil.
	Err error
}

// Error answers the message.
func (e *Error) Error() string { return e.Message }

// Unwrap answers the cause.
func (e *Error) Unwrap() error { return e.Err }
