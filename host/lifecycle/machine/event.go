package machine

import (
	"time"

	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// Event is something that happened. The events are the types of this file.
type Event interface{ event() }

// WaiterID names one request that waits for a model; never used again.
type WaiterID uint64

// CatalogChanged: models came, changed or went.
type CatalogChanged struct {
	// Upserts are rows that are new or differ. The machine keeps them; they must not be changed.
	Upserts []*syncv1.Model
	// Removed are ids of models that are gone.
	Removed []string
	// Switching holds, for every alias that is changing over now, the id of the target model and of the active one.
	Switching map[string]string
}

// CredentialsChanged: what failed for want of access may succeed.
type CredentialsChanged struct{}

// Wanted: a request waits for the model. Answered by exactly one Wake, unless WaiterGone comes first.
type Wanted struct {
	Model  string
	Waiter WaiterID
	// Join: the request was sent here because the model is held here. It waits only if that is so, or a load is under way
	// or reserved; what is not here is not loaded for it.
	Join bool
}

// WaiterGone: the request gave up.
type WaiterGone struct {
	Model  string
	Waiter WaiterID
}

// Estimated answers Estimate.
type Estimated struct {
	ID modelcache.CopyID
	// Bytes on storage.
	Bytes int64
	// Fault is nil on success, here and below.
	Fault *Fault
}

// Pulled answers Pull.
type Pulled struct {
	ID       modelcache.CopyID
	Artifact Artifact
	// Took is how long it took.
	Took  time.Duration
	Fault *Fault
}

// LoadDone answers Load. After a Fault the runtime does not hold the model.
type LoadDone struct {
	ID modelcache.CopyID
	// SizeBytes is what the runtime says the model takes; 0 when it does not say.
	SizeBytes int64
	// MaxConcurrency of the copy; 0 is no limit.
	MaxConcurrency int
	// Took is how long the runtime took.
	Took  time.Duration
	Fault *Fault
}

// Unloaded answers Unload.
type Unloaded struct {
	ID    modelcache.CopyID
	Fault *Fault
}

// FilesRemoved answers RemoveFiles.
type FilesRemoved struct{ Model string }

// Idle: some copies whose last Release asked to tell have no request in flight now.
type Idle struct{}

// RuntimeReady: the runtime holds nothing and takes loads. The answers to all Loads and Unloads given to it before it was
// lost have been delivered.
type RuntimeReady struct{ Limits Limits }

// RuntimeLost: the runtime is gone, with everything that it held.
type RuntimeLost struct{}

// RuntimeForgot: the runtime serves others but no longer holds this copy.
type RuntimeForgot struct{ ID modelcache.CopyID }

// TicketID names one Reserve or GiveUp; never used again.
type TicketID uint64

// Reserve: the arbiter of the model wants it loaded here. Answered by Reserved, in the same Step. What the host holds,
// queues or loads already is granted again.
type Reserve struct {
	Ticket TicketID
	Model  string
	// Purpose: for a miss or a drain the model is queued as if a request waited, until the first one comes or the ticket
	// expires. For all others it is started at once by the rules of background work, or refused.
	Purpose policyabi.Purpose
	// Usage, LoadCost and SizeBytes are what the arbiter remembers of the model; nil and zero for nothing. They are hints.
	Usage     *modelcache.UsageRecord
	LoadCost  time.Duration
	SizeBytes int64
	// ExpectsFree: the arbiter takes it that the model fits into what is free. Where that is no longer so it is refused,
	// unless this is the arbiter's Final word.
	ExpectsFree, Final bool
}

// GiveUp: the arbiter of the model needs no copy here. Answered by GaveUp, in the same Step.
type GiveUp struct {
	Ticket TicketID
	Model  string
}

// SetDraining: the host is about to leave, or has thought better of it. Meanwhile it starts nothing in the background
// and takes no reservation; it goes on serving, and loading what requests wait for.
type SetDraining struct{ Draining bool }

// MeshChanged: Config.Mesh answers otherwise than before.
type MeshChanged struct {
	// Uncovered are models whose last copy elsewhere went.
	Uncovered []string
	// All: homes may have changed, so that all models are looked at again, some in each Step.
	All bool
	// Room: some host may have more room than before.
	Room bool
}

// OfferAnswered answers Offer.
type OfferAnswered struct {
	Offer OfferID
	// Placed: a host has taken the model on, this one maybe, which has heard so from the arbiter already.
	Placed bool
	// Reason says why not, and RetryAfter when to offer it again, 0 for no word on that.
	Reason     peerv1.UnplacedReason
	RetryAfter time.Duration
}

// Remembered: this is what the mesh remembers of models that have gone elsewhere. It comes to their home.
type Remembered struct{ Models []Remember }

// Survey: it is time to look at how copies are used. Comes every second or so while the host lives; answered by Worth if
// there may be news.
type Survey struct{}

// Tick: the time of the last SetTimer has come.
type Tick struct{}

func (CatalogChanged) event()     {}
func (CredentialsChanged) event() {}
func (Wanted) event()             {}
func (WaiterGone) event()         {}
func (Estimated) event()          {}
func (Pulled) event()             {}
func (LoadDone) event()           {}
func (Unloaded) event()           {}
func (FilesRemoved) event()       {}
func (Idle) event()               {}
func (RuntimeReady) event()       {}
func (RuntimeLost) event()        {}
func (RuntimeForgot) event()      {}
func (Reserve) event()            {}
func (GiveUp) event()             {}
func (SetDraining) event()        {}
func (MeshChanged) event()        {}
func (OfferAnswered) event()      {}
func (Remembered) event()         {}
func (Survey) event()             {}
func (Tick) event()               {}

// Artifact is a model on local disk.
type Artifact struct {
	// Path and SchemaPath are absolute; SchemaPath may be empty.
	Path, SchemaPath string
	// Bytes that Path holds.
	Bytes int64
}

// Limits is what a runtime that became ready says of itself. Zero values leave the host's own settings in force.
type Limits struct {
	Capacity modelcache.Resources
	// Loads at once.
	Loads int
	// DefaultModelBytes is taken for a model of which no size is known.
	DefaultModelBytes int64
}

// Fault says why an effect failed. Message is fit for the user's status block.
type Fault struct {
	Cause   Cause
	Message string
}

func (f *Fault) is(cause Cause) bool { return f != nil && f.Cause == cause }

// Cause is what the machine has to know of a failure.
type Cause uint8

const (
	// BadModel: storage, credentials or the model itself. The same attempt would most likely fail again.
	BadModel Cause = iota + 1
	// StorageUnavailable: worth another attempt soon.
	StorageUnavailable
	// RuntimeUnavailable: the runtime did not answer, or died.
	RuntimeUnavailable
	// Cancelled: by CancelLoad, or because the runtime was lost meanwhile.
	Cancelled

	// tooLarge is the machine's own finding.
	tooLarge
)
