package builtin

import (
	"math/bits"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
)

// Bounds within which no product below leaves 63 bits. Real values are within them.
const (
	maxUse       = 1 << 40 // expected uses per 1e9 s: 1100 a second
	maxUses      = 1 << 31
	maxPauses    = 1 << 20 // between uses
	maxLoadMs    = 1 << 22 // 70 minutes
	maxAge       = 1 << 42 // ms, 139 years
	maxInflation = 1 << 60
)

// tierWidth is the room for the worth of copies of one priority: 16 tiers of it on each side of 0 fill an int32.
const tierWidth = 1 << 27

// inTier makes a keep-value of a worth in [0, tierWidth) and a priority: a copy of lower priority goes first. Priorities
// beyond -16 and 15 count as these.
func inTier(priority int32, worth int64) int32 {
	return min(max(priority, -16), 15)*tierWidth + int32(worth)
}

// linearBits is where compress turns from linear to logarithmic.
const linearBits = 22

// compress maps [0, 2^63) into [0, tierWidth), growing with v: up to 2^22 v itself, so that sums of what is worth little
// mean what they say, and from there each doubling takes 2^21 more.
func compress(v uint64) int64 {
	octaves := bits.Len64(v) - linearBits
	if octaves <= 0 {
		return int64(v)
	}
	return int64(octaves)<<(linearBits-1) + int64(v>>octaves)
}

// expectedUse is how often the model is going to be asked for, in uses per 1e9 s, as far as its past tells: the decayed
// rate of hours, or half of that of minutes when this is more, so that a model that comes up is not taken for one that
// has gone; but no more than once in the time for which it has not been used, for otherwise it would have been, and half
// if that is six of its pauses. On a host of bursts it is how soon it comes back, see burstShare and returning. fresh: it is
// the rate of minutes which counts.
//
// The halves and both half-lives are the middle of a plateau, not a peak: doubling or halving any of them moves a trace of
// production by three of the hundred points between LRU and foresight at most. Less weight for minutes would do a
// little better where models are used at random; much more, worse.
func expectedUse(row policyabi.EvictRowView, now, bursts int64) (use int64, fresh bool) {
	hours := int64(min(row.Rate(), maxUse/1000)) * 1000
	minutes := int64(min(row.RateRecent(), maxUse/1000)) * 500
	use = min(max(hours, minutes), oncePer(idle(row, now)))
	if overdue(row, now, 6) {
		use /= 2
	}
	use = (use*(allBursts-bursts) + returning(row, now)*bursts) / allBursts
	return use, minutes > hours
}

// oncePer is one use in that time, in uses per 1e9 s, and maxUse at most.
func oncePer(ms int64) int64 { return min(1e12/max(ms, 1), maxUse) }

// idle is for how long a copy has not been used, in ms. With requests in flight it is in use now.
func idle(row policyabi.EvictRowView, now int64) int64 {
	if row.InFlight() > 0 {
		return 0
	}
	return since(now, row.LastUsedMs())
}

// worth is the load time that is lost without the copy, by the time without it and the memory that it takes: uses per
// 1e9 s x ms of load / (16 KiB), divided by the number of copies that share the use.
func worth(row policyabi.EvictRowView, use int64, scale scale) uint64 {
	return uint64(use * loadMs(row) / scale.of(row) / (int64(row.CopiesElsewhere()) + 1))
}

// loadMs is the time of a load, in ms, at least 1.
func loadMs(row policyabi.EvictRowView) int64 { return int64(min(max(row.LoadMs(), 1), maxLoadMs)) }

// nowOf is the time of the request in ms since 1970; not before it, so that differences do not leave 64 bits.
func nowOf(v *policyabi.EvictView) int64 { return max(v.Header().NowMs(), 0) }

// since is how long ago that was, in ms: 0 for the future, maxAge for the unknown.
func since(now, then int64) int64 {
	if then <= 0 {
		return maxAge
	}
	return min(max(now-then, 0), maxAge)
}
