package modelcache

import (
	"math"
	"sort"
	"time"
)

// clockMarks bounds the memory of an EvictionClock, at 24 bytes each.
const clockMarks = 1024

// EvictionClock is the clock of Greedy-Dual policies (Young 1994; Cao and Irani 1997): it advances by the value of what
// was evicted, and a copy that was not used while it advanced is worth that much less. Policies have no memory, so the
// host keeps it for them: with keep = value - inflation, the copy with the lowest keep goes, and the clock advances by
// that keep, which is what those algorithms do with one number per copy.
//
// It remembers when it stood where, so that it can be read for any last use: exactly for a thousand evictions, and from then
// on to about a sixtieth of what it answers, never too little. The zero value stands at 0. Not safe for concurrent use.
type EvictionClock struct {
	total int64
	marks []clockMark
}

// clockMark says where the clock stood from a time on.
type clockMark struct {
	at    time.Time
	total int64
}

// tierWidth is the room that policies give the worth of copies of one priority, as those that ship with the mesh do.
const tierWidth = 1 << 27

// WithoutTier is what a keep-value says of a copy's worth beside its priority. A policy that has copies of lower priority go
// first writes tiers of worth: priority x 2^27 + worth, with priorities from -16 to 15. The clock goes by worth: where all
// copies have one high priority it would leap with each eviction, and where all have a low one it would stand still.
func WithoutTier(keep, priority int32) int32 {
	tier := min(max(priority, -16), 15) * tierWidth
	if worth := int64(keep) - int64(tier); worth >= 0 && worth < tierWidth {
		return int32(worth)
	}
	return keep
}

// Evicted advances the clock for one eviction: keep is the highest keep-value of what had to go together, WithoutTier.
// Negative values do not turn it back.
func (c *EvictionClock) Evicted(now time.Time, keep int32) {
	if keep <= 0 || c.total > math.MaxInt64-int64(keep) {
		return
	}
	c.total += int64(keep)
	now = now.Round(0) // Without its monotonic reading, which last uses do not have.
	// Marks of a future, which there are after the wall's clock was set back, are of now: until it has caught up, copies
	// would look as if all had gone since their last use.
	last := len(c.marks) - 1
	for ; last > 0 && c.marks[last].at.After(now) && !c.marks[last-1].at.Before(now); last-- {
		c.marks = c.marks[:last]
	}
	if last >= 0 && !now.After(c.marks[last].at) {
		c.marks[last] = clockMark{at: now, total: c.total}
		return
	}
	if len(c.marks) == clockMarks {
		c.thin()
	}
	c.marks = append(c.marks, clockMark{at: now, total: c.total})
}

// thin drops the marks that make little difference to how far the clock has advanced since: those that stand closer
// together than a share of that, and if too many are left, than a larger share. The newest always stays.
func (c *EvictionClock) thin() {
	for share := int64(64); len(c.marks) > clockMarks/2; share /= 2 {
		first := len(c.marks) - 1 // Of those kept, which are the last of c.marks.
		for i := first - 1; i >= 0; i-- {
			if gap := c.marks[first].total - c.marks[i].total; gap >= (c.total-c.marks[i].total)/share {
				first--
				c.marks[first] = c.marks[i]
			}
		}
		c.marks = c.marks[:copy(c.marks, c.marks[first:])]
	}
}

// Since answers how far the clock has advanced after a time.
func (c *EvictionClock) Since(t time.Time) int64 {
	later := sort.Search(len(c.marks), func(i int) bool { return c.marks[i].at.After(t) })
	if later == 0 {
		return c.total
	}
	return c.total - c.marks[later-1].total
}
