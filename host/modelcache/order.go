package modelcache

import (
	"cmp"
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
	Uses     uint64
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
	// Priority: a copy of lower priority goes first, however recently it was used.
	Priority int32
}

// Victim is a copy that was claimed, as it was at that moment.
type Victim = CopyInfo

// Order says in which order copies give way. It is asked before Reserve, from a snapshot and outside every lock; what
// it names is checked again when it is claimed, so it may be slow, stale or wrong without doing harm.
type Order func(now time.Time, copies []CopyInfo) []CopyID

// ByRecency is the built-in Order: least recently used first, within the lowest priority first.
func ByRecency(now time.Time, copies []CopyInfo) []CopyID {
	sorted := slices.Clone(copies)
	slices.SortFunc(sorted, func(a, b CopyInfo) int {
		return cmp.Or(
			cmp.Compare(a.Keep.Priority, b.Keep.Priority),
			a.UsedAt(now).Compare(b.UsedAt(now)),
			cmp.Compare(a.ID, b.ID), // The older load first, so that equal inputs give equal answers.
		)
	})
	order := make([]CopyID, len(sorted))
	for i, c := range sorted {
		order[i] = c.ID
	}
	return order
}
