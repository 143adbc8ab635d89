package modelcache

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// CopyInfo is a copy at one moment, for ranking and for metrics.
type CopyInfo struct {
	ID   CopyID
	Size Resources
	// LoadedAt is when it was committed, LastUsed when a request last came.
	LoadedAt, LastUsed time.Time
	// Uses counts requests since it was loaded.
	Uses uint64
	// InFlight counts the request that the copy is held for, if it is.
	InFlight int
	Keep     Keep
	// Draining: it takes no more requests and goes once the runtime has unloaded it.
	Draining bool
}

// UsedAt is when the copy was in use for the last time: now, while a request is in flight.
func (c CopyInfo) UsedAt(now time.Time) time.Time {
	if c.InFlight > 0 {
		return now
	}
	return c.LastUsed
}

// Keep is what the owner of a model wishes for its copies.
type Keep struct {
	// Pinned copies are never victims.
	Pinned bool
	// Priority: a higher one is to be kept longer. What that means beside recency, rate and cost is for the Order to say;
	// to ByRecency a copy of lower priority goes first, however recently it was used.
	Priority int32
}

// Victim is a copy that was claimed, as it was at that moment.
type Victim = CopyInfo

// Purpose is what memory is wanted for.
type Purpose uint8

// The purposes of a Ranking.
const (
	// Miss: a request waits for the model.
	Miss Purpose = iota + 1
	// Background: the model is new, changed or on standby, and no request waits.
	Background
	// Worth: nothing is to be loaded; the values themselves are wanted, for the host's reclaim curve.
	Worth
)

// Incoming is the model that memory is wanted for; nothing but Purpose is set for Worth.
type Incoming struct {
	Model string
	// Key is the model's digest, the same on every host; as in Candidate.
	Key     uint64
	Need    Resources
	Purpose Purpose
	Keep    Keep
	// Declared: the need is its owner's word, not an estimate.
	Declared bool
}

// Candidate is a copy as an Order sees it.
type Candidate struct {
	CopyInfo
	Model string
	Key   uint64
	// Rate and RateRecent of requests for the model on this host, per million seconds, decayed with RateHalfLife and
	// RateRecentHalfLife. They survive the copy.
	Rate, RateRecent uint64
	// LoadCost is how long it took to load, its pull included; 0 when that is not known.
	LoadCost time.Duration
	// CopiesElsewhere of the model, on other hosts.
	CopiesElsewhere int
	// Inflation is what EvictionClock.Since answers for the copy's last use.
	Inflation int64
	// Loading: it is no copy yet, and its Size is what is reserved for it.
	Loading bool
}

// May reports whether the copy may go at this moment, whatever it is worth. The ledger asks again when it claims.
func (c *Candidate) May() bool {
	return !c.Keep.Pinned && !c.Loading && !c.Draining && c.InFlight == 0
}

// Ranking is everything that an Order is told. It belongs to the caller: an Order reads it, and keeps no part of it.
type Ranking struct {
	Now            time.Time
	Incoming       Incoming
	Free, Capacity Resources
	Copies         []Candidate
}

// Ranked is what one copy is worth: higher is kept longer. Keep compares only with others of the same answer.
type Ranked struct {
	ID   CopyID
	Keep int32
	// Reason is a code for people, as in the ABI of policies; 0 for none.
	Reason uint16
}

// Order says what copies are worth, in any order, and under which number the decision can be looked up, 0 for none. It is
// asked before Reserve, from a snapshot and outside every lock; what it names is checked again when it is claimed, so it
// may be slow, stale or wrong without doing harm.
type Order func(Ranking) (ranked []Ranked, decision uint64)

// ByRecency is the Order for whoever has no other: least recently used first, within the lowest priority first. A copy's
// Keep is its place in that order.
func ByRecency(r Ranking) ([]Ranked, uint64) {
	ranked := Arrange(r, nil)
	for i := range ranked {
		ranked[i].Keep = int32(i)
	}
	return ranked, 0
}

// Unranked is the Keep of a copy that an Order did not speak of: it goes after all others.
const Unranked = math.MaxInt32

// Arrange makes what an Order answered into the order in which copies go: lowest Keep first, then the least recently
// used to the millisecond, then the older load. Whatever was answered, each copy of the ranking is in the result once: of several answers for
// one copy the lowest counts, answers for no copy of the ranking are dropped, and copies left out go last, by priority
// and recency. So no answer can withhold memory from a request.
func Arrange(r Ranking, ranked []Ranked) []Ranked {
	places := make([]place, len(r.Copies))
	byID := make(map[CopyID]int, len(r.Copies))
	for i := range r.Copies {
		c := &r.Copies[i]
		places[i] = place{Ranked: Ranked{ID: c.ID, Keep: Unranked}, priority: c.Keep.Priority, used: c.UsedAt(r.Now).UnixNano()}
		byID[c.ID] = i
	}
	for _, said := range ranked {
		if i, known := byID[said.ID]; known && (!places[i].said || said.Keep < places[i].Keep) {
			places[i].Ranked, places[i].said = said, true
		}
	}
	slices.SortFunc(places, place.compare)
	arranged := make([]Ranked, len(places))
	for i, p := range places {
		arranged[i] = p.Ranked
	}
	return arranged
}

// place is a copy on its way into order.
type place struct {
	Ranked
	// said: an Order spoke of it.
	said     bool
	priority int32
	used     int64 // Unix nanoseconds.
}

func (p place) compare(o place) int {
	switch {
	case p.said != o.said && p.said:
		return -1
	case p.said != o.said:
		return 1
	case p.said && p.Keep != o.Keep:
		return cmp.Compare(p.Keep, o.Keep)
	case !p.said && p.priority != o.priority:
		return cmp.Compare(p.priority, o.priority)
	}
	used := cmp.Compare(p.used, o.used)
	if p.said {
		// To the millisecond, as the policy was told and the record of its decision says.
		used = cmp.Compare(p.used/int64(time.Millisecond), o.used/int64(time.Millisecond))
	}
	// The older load first, so that equal inputs give equal answers.
	return cmp.Or(used, cmp.Compare(p.ID, o.ID))
}
