package arbiter

import (
	"time"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// Effect is something that Step wants done, in the order given. The effects are the types of this file.
type Effect interface{ effect() }

// Answer: this came of these asks.
type Answer struct {
	Asks   []AskID
	Result Result
}

// Result is either Placed or, when that is nil, Unplaced.
type Result struct {
	Placed   *Placed
	Unplaced *Unplaced
}

// Placed: the model is, or is going to be, on that host.
type Placed struct {
	Host string
	// Decision is that of the place hook, 0 for none.
	Decision uint64
	// Already: a copy was there, loading or queued before.
	Already bool
}

// Unplaced: no host takes the model.
type Unplaced struct {
	Reason peerv1.UnplacedReason
	// Message is for people, with the numbers.
	Message string
	// RetryAfter is when to ask again; 0 when only a change of the model or the mesh can help.
	RetryAfter time.Duration
	// Failure goes with UNPLACED_REASON_FAILED, and CANNOT_FIT when a host found that out.
	Failure *syncv1.Failure
}

// Reserve: have the host load the model. Answered by Reserved; an answer that comes later than Config.ReserveTimeout
// changes nothing.
type Reserve struct {
	ID ReserveID
	// Host may be this one.
	Host  string
	Model string
	Key   uint64
	// Decision is that of the place hook, 0 for none.
	Decision uint64
	Purpose  policyabi.Purpose
	// Usage is what is remembered of the model; nil for nothing.
	Usage *Usage
	// ExpectsFree: the choice was made because the model fits into what is free there. Final: grant it even if it does not.
	ExpectsFree, Final bool
}

// Release: have the host give up its copy. Answered by Released.
type Release struct {
	ID    ReleaseID
	Host  string
	Model string
	Key   uint64
	// Why is for people.
	Why string
}

// Note: this came of a decision of the place hook, for people.
type Note struct {
	Decision uint64
	Effect   string
}

// SetTimer: a Tick is wanted at this time, and none that was wanted before; the zero time wants none.
type SetTimer struct{ At time.Time }

func (Answer) effect()   {}
func (Reserve) effect()  {}
func (Release) effect()  {}
func (Note) effect()     {}
func (SetTimer) effect() {}
