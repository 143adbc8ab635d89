package machine

import (
	"fmt"
	"time"

	"github.com/wasmesh/wasmesh/host/modelcache"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// State of a model on this host.
type State uint8

// The states; see the package comment for the way from one to another.
const (
	// Absent: not here. A model of the catalog that is absent is on standby.
	Absent State = iota
	// Queued: waits for its turn, or for memory.
	Queued
	// Estimating: storage is asked for its size.
	Estimating
	// Pulling: has a reservation; is brought to local disk, or waits there for the memory of victims or for its turn.
	Pulling
	// Loading: the runtime loads it.
	Loading
	// Sizing: the runtime has loaded it, and it turned out larger than reserved; victims are making room.
	Sizing
	// Loaded: takes requests.
	Loaded
	// Draining: takes no more requests, and is unloaded once the last has ended.
	Draining
	// Failed: the last attempt failed, and the next is not due.
	Failed

	states
)

var stateNames = [states]string{
	"absent", "queued", "estimating", "pulling", "loading", "sizing", "loaded", "draining", "failed",
}

// String is fit for messages.
func (s State) String() string {
	if s < states {
		return stateNames[s]
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// model is what the machine knows of one model. It exists while the catalog lists it, and then until nothing of it is
// left on this host.
type model struct {
	id  string
	key uint64
	// row is nil once the catalog does not list the model, or not for this host.
	row   *syncv1.Model
	state State
	since time.Time

	// copyID names the estimate, load or copy under way; 0 when none is. Results that name another are stale.
	copyID modelcache.CopyID
	// load is set from Pulling to Sizing, and in Draining when the model was loaded but never served.
	load *load
	// copy is set in Loaded and in Draining.
	copy *modelcache.Copy
	// unloading: Unload is under way.
	unloading bool

	// waiters are the requests that wait, by arrival; arrived is the number of the first in the order of all arrivals.
	waiters []WaiterID
	arrived uint64
	ticket  ticket
	passed  passed

	// evicted: the copy makes room for another.
	evicted bool
	// use is what decides the model's worth while it is not loaded.
	use usage
	// rates and cost are of all loads of the model, the last one's cost.
	rates modelcache.Usage
	cost  time.Duration
	// estimate is the size on storage, once asked.
	estimate estimate
	trouble  trouble
	offering offering
	// offered: to others the model is not here; see Publish.
	offered bool
	files   files

	// due is when to look at the model again; what for depends on its state.
	due    time.Time
	places [kinds]int
}

// passed is how a model that waits for memory fares against those that came later and need less.
type passed struct {
	// by is how many of them were given some, and holds until when no more are; zero while they may.
	by    int
	holds time.Time
	// vain is how often that did not help.
	vain int
}

// load is one attempt, from the reservation to the commit.
type load struct {
	reservation *modelcache.Reservation
	// artifact is set once the model is on local disk.
	artifact *Artifact
	// maxConcurrency of the loaded copy, as the runtime said it.
	maxConcurrency int
	// took is how long it was worked at so far.
	took time.Duration
}

// former is what is remembered of a model that the catalog does not list any more.
type former struct {
	rates modelcache.Usage
	cost  time.Duration
}

type usage struct {
	// last use, or what stands for it; while a copy is there the copy knows better.
	last time.Time
	// here: a request came for it to this host, whatever other host comes first.
	here bool
	// evicted is when the model last had to make room.
	evicted time.Time
	// brought: a request or an arbiter brought the model here, wherever its home, and it has not been tried since.
	brought bool
	// displaced: its last copy, here or elsewhere, had to make room.
	displaced bool
	// retired: unloaded for want of use, so only a request brings it back.
	retired bool
}

type estimate struct {
	known bool
	bytes int64
}

type trouble struct {
	// last failure, kept until a load succeeds; never changed once made, for it is published.
	last *Failure
	// attempts that failed in a row, which decide the next pause.
	attempts int
	// deaths of the runtime while it loaded this model, since a load last succeeded.
	deaths int
}

// files says what of the model may be on local disk.
type files struct {
	present bool
	// cleaning: RemoveFiles is under way, and no Pull may start.
	cleaning bool
}

// wanted: a request waits for the model, or is sure to come.
func (mo *model) wanted() bool {
	return len(mo.waiters) > 0 || mo.ticket.valid() && !mo.ticket.holding
}

// under reports whether an attempt is under way.
func (mo *model) under() bool {
	switch mo.state {
	case Estimating, Pulling, Loading, Sizing:
		return true
	}
	return false
}

func (mo *model) keep() modelcache.Keep {
	knobs := mo.row.GetKnobs()
	return modelcache.Keep{Pinned: knobs.GetPinned(), Priority: knobs.GetPriority()}
}

// idleTTL is 0 for a model that is never unloaded for want of use.
func (mo *model) idleTTL() time.Duration {
	if knobs := mo.row.GetKnobs(); knobs.GetPinned() || knobs.GetMinCopies() > 0 {
		return 0
	}
	return time.Duration(mo.row.GetKnobs().GetIdleTtlMs()) * time.Millisecond
}

// declared reports whether the model's owner has said how large it is.
func (mo *model) declared() bool { return mo.row.GetSizeHint().GetHostMemoryBytes() > 0 }

// lastUse is the copy's, or what stands for it.
func (mo *model) lastUse() time.Time {
	if mo.copy != nil {
		return mo.copy.LastUsed()
	}
	return mo.use.last
}

// size is what the model holds or has reserved.
func (mo *model) size() modelcache.Resources {
	switch {
	case mo.copy != nil:
		return mo.copy.Size()
	case mo.load != nil:
		return mo.load.reservation.Need()
	}
	return modelcache.Resources{}
}

// worthMore orders models of which no copy is here by what is lost while they are not: pinned, then priority, then
// recency; ids make it total.
func worthMore(a, b *model) bool {
	ka, kb := a.keep(), b.keep()
	switch {
	case ka.Pinned != kb.Pinned:
		return ka.Pinned
	case ka.Priority != kb.Priority:
		return ka.Priority > kb.Priority
	case !a.use.last.Equal(b.use.last):
		return a.use.last.After(b.use.last)
	}
	return a.id < b.id
}
