package arbiter

import (
	"time"

	"github.com/wasmesh/wasmesh/host/members"
	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/host/peers/residency"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// Event is something that happened. The events are the types of this file.
type Event interface{ event() }

// AskID names one ask; never used again. Whoever feeds the Machine numbers them.
type AskID uint64

// ReserveID names one Reserve, ReleaseID one Release; the Machine numbers them.
type (
	ReserveID uint64
	ReleaseID uint64
)

// CatalogChanged: models came, changed or went. The Machine knows those models only of which it was told here.
type CatalogChanged struct {
	// Upserts are rows that are new or differ. The machine keeps them; they must not be changed.
	Upserts []*syncv1.Model
	// Removed are ids of models that are gone.
	Removed []string
}

// PlaceAsked: a host wants to know where the model should be loaded. Answered by exactly one Answer.
type PlaceAsked struct {
	Ask     AskID
	Model   string
	Purpose policyabi.Purpose
	// Exclude are hosts that failed the asker, or are to be relieved: no copy there is good enough, and none is placed there.
	Exclude []string
	// PassedOver are hosts that the asker tried before this one, and that did not decide.
	PassedOver []string
	// Asker is the host that asks.
	Asker string
}

// Reserved answers Reserve.
type Reserved struct {
	ID      ReserveID
	Granted bool
	// Reason and Message say why not; Failure goes with UNPLACED_REASON_FAILED and CANNOT_FIT. NO_ROOM of a Reserve that
	// expects free memory means that it is no longer free.
	Reason  peerv1.UnplacedReason
	Message string
	Failure *syncv1.Failure
	// Figures of the host after its answer; nil when it said none.
	Figures *members.Figures
	// State of the model on that host, after its answer.
	State residency.State
	// Err is set when the host did not answer; nothing else is, then.
	Err error
}

// Released answers Release.
type Released struct {
	ID ReleaseID
	// Released: the copy is being unloaded or was not there. Not so when it is needed after all, or when the host did not
	// answer.
	Released bool
}

// UseReported: a host says how its copies are used.
type UseReported struct {
	Host string
	Uses []Use
}

// Use is how one copy is used.
type Use struct {
	Key uint64
	// ConcurrencyMilli is requests in it and waiting for it, smoothed, in thousandths; TargetMilli what one copy should have
	// at most.
	ConcurrencyMilli, TargetMilli uint32
	// Steady: it has been in use for long, without a long pause.
	Steady bool
}

// Remembered: a host says what to remember of models.
type Remembered struct {
	Host  string
	Usage []Usage
}

// Usage is what is remembered of a model beyond its copies.
type Usage struct {
	Key uint64
	// Record is how often it was used.
	Record modelcache.UsageRecord
	// LastUsed is when the last request came; zero for never.
	LastUsed time.Time
	// LoadCost is how long a load took, and Size how much memory, in bytes, the model did; 0 when that is not known.
	LoadCost time.Duration
	Size     int64
	// Evicted: its copy had to make room, and nobody asked for it to go.
	Evicted bool
}

// CopiesChanged: copies of these models came, went or changed their state, on any host.
type CopiesChanged struct{ Keys []uint64 }

// ViewChanged: Config.View answers another View.
type ViewChanged struct{}

// Tick: the time of the last SetTimer has come.
type Tick struct{}

func (CatalogChanged) event() {}
func (PlaceAsked) event()     {}
func (Reserved) event()       {}
func (Released) event()       {}
func (UseReported) event()    {}
func (Remembered) event()     {}
func (CopiesChanged) event()  {}
func (ViewChanged) event()    {}
func (Tick) event()           {}
