package machine

import (
	"time"

	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/host/route"
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

// Missed: a request waits for a model that is not here, and by now its need is known. Comes once for each load, before
// the load is attempted.
type Missed struct {
	Model *syncv1.Model
	Key   uint64
	Need  modelcache.Resources
	// Declared: the need is the owner's word.
	Declared bool
	// LastUsed is when the last request before came that a copy here answered; zero for none.
	LastUsed time.Time
	// Rate, RateRecent and LoadCost as in modelcache.Candidate.
	Rate, RateRecent uint64
	LoadCost         time.Duration
	// Here is this host before the load.
	Here Figures
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
func (Missed) effect()      {}
func (Decided) effect()     {}
func (Worth) effect()       {}
func (Wake) effect()        {}
func (SetTimer) effect()    {}
