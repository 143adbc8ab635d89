package machine

import (
	"time"

	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/host/route"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// Effect is something that Step wants done, in the order given. The effects are the types of this file.
type Effect interface{ effect() }

// Estimate: how many bytes is the model on storage? Answered by Estimated.
type Estimate struct {
	ID    modelcache.CopyID
	Model *syncv1.Model
}

// Pull: bring the model to local disk, over whatever is there of it. Answered by Pulled.
type Pull struct {
	ID    modelcache.CopyID
	Model *syncv1.Model
	// Queued is how long the model waited for its turn.
	Queued time.Duration
}

// Load: have the runtime load the model. Answered by LoadDone.
type Load struct {
	ID       modelcache.CopyID
	Model    *syncv1.Model
	Artifact Artifact
}

// CancelLoad: end the Estimate, Pull or Load of this id early. It is answered as ever.
type CancelLoad struct{ ID modelcache.CopyID }

// Unload: have the runtime unload the model; no request is in flight on it. Answered by Unloaded.
type Unload struct {
	ID    modelcache.CopyID
	Model string
}

// RemoveFiles: remove the model from local disk; the runtime does not hold it. Answered by FilesRemoved, in any case.
type RemoveFiles struct{ Model string }

// Publish: the model's state on this host is this from now on. Requests find the model here exactly while it is Loaded.
type Publish struct {
	Model string
	// Key is the model's digest, the same on every host; as in modelcache.Candidate.
	Key   uint64
	State State
	Since time.Time
	// Size is what is reserved or used, zero for neither.
	Size     modelcache.Resources
	LastUsed time.Time
	// Failure is the last one, until a load succeeds.
	Failure *Failure
	// Copy is set exactly when State is Loaded; MaxConcurrency goes with it.
	Copy           *modelcache.Copy
	MaxConcurrency int
	// Offered: this host, the model's home, seeks a host for it, and is none itself yet. To other hosts, and to requests, it
	// is as if the model were Absent here; it is Queued, or Estimating, for people.
	Offered bool
}

// Evicted: a copy is about to go to make room, Unused since then. It is drained and unloaded by effects of their own.
type Evicted struct {
	Model  string
	Unused time.Duration
	// Decision is the number of the ranking that it went by, 0 for none; Keep and Reason are what that said of it.
	Decision uint64
	Keep     int32
	Reason   uint16
}

// Figures are a host at one moment, as others see it.
type Figures struct {
	Memory modelcache.Stats
	// Free as modelcache.Ledger.Free answers it.
	Free   modelcache.Resources
	Models Stats
	// Worth is up to a second old, or longer while nothing changes.
	Worth Worth
}

// Decided: this came of a ranking that has a number.
type Decided struct {
	Decision uint64
	// Model that memory was wanted for, and the victims that went for it, none when it was refused all the same.
	Model   string
	Victims []string
	// Limits are those of the host that kept copies which the ranking would have had go earlier.
	Limits []Limit
}

// Limit is a rule of the host that no ranking can break.
type Limit string

// The limits. Those that a policy is not told of in its rows concern loads in the background only.
const (
	LimitPinned   Limit = "pinned"
	LimitInFlight Limit = "in-flight"
	LimitLoading  Limit = "loading"
	// LimitBackground: without a request, only what is worth less by Envelope and idle for longer is replaced.
	LimitBackground Limit = "background"
)

// Worth: what the copies here are worth, and how often they are used.
type Worth struct {
	Reclaim modelcache.Curve
	// Rate of requests for all that is loaded, as in modelcache.Candidate.
	Rate uint64
}

// Wake: these waiters wait no longer. Either Copy is loaded, with one Acquire done for each of them, or Err says why not.
type Wake struct {
	Waiters []WaiterID
	Copy    *modelcache.Copy
	Err     *route.Error
	// State of the model here, and its last failure, go with Err: whoever asked for others may try elsewhere at once.
	State   State
	Failure *Failure
}

// Reserved answers Reserve, after everything that was published because of it.
type Reserved struct {
	Ticket  TicketID
	Granted bool
	// TTL is for how long the load is kept for whoever is to come; 0 for one that waits for nobody.
	TTL time.Duration
	// Reason, Message (for people, with the numbers) and Failure say why not.
	Reason  peerv1.UnplacedReason
	Message string
	Failure *Failure
	// State of the model here, as of now.
	State State
}

// GaveUp answers GiveUp.
type GaveUp struct {
	Ticket TicketID
	// Released: the copy is on its way out, or there was none. Else Message says why it stays.
	Released bool
	Message  string
}

// Remember: this is known of a model beyond its copies. Comes when a copy is committed and when one goes.
type Remember struct {
	Model string
	Key   uint64
	Usage modelcache.UsageRecord
	// LastUsed is the copy's, or what stands for it: the machine ranks by it.
	LastUsed time.Time
	LoadCost time.Duration
	// Size as it was last loaded.
	Size modelcache.Resources
	// Evicted: it had to make room, and nobody asked for it to go.
	Evicted bool
}

// OfferID names one Offer; never used again.
type OfferID uint64

// Offer: this host is the model's home, and its arbiter is to place it, here or elsewhere. Answered by exactly one
// OfferAnswered.
type Offer struct {
	ID    OfferID
	Model string
	Key   uint64
	// Purpose is PurposeRebalance when the model had to make room for another, else PurposeBackground.
	Purpose policyabi.Purpose
	// Size is what a copy is expected to take.
	Size modelcache.Resources
}

// SetTimer: a Tick is wanted at this time, and none that was wanted before; the zero time wants none.
type SetTimer struct{ At time.Time }

func (Estimate) effect()    {}
func (Pull) effect()        {}
func (Load) effect()        {}
func (CancelLoad) effect()  {}
func (Unload) effect()      {}
func (RemoveFiles) effect() {}
func (Publish) effect()     {}
func (Evicted) effect()     {}
func (Decided) effect()     {}
func (Worth) effect()       {}
func (Wake) effect()        {}
func (Reserved) effect()    {}
func (GaveUp) effect()      {}
func (Remember) effect()    {}
func (Offer) effect()       {}
func (SetTimer) effect()    {}
