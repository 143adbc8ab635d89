package modelcache

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
)

// Curve is a host's reclaim curve: how much is lost by freeing 1/16, 1/8, 1/4 and 1/2 of its capacity beside what is free
// already, in keep-value x MiB. Other hosts read off it what a load there would cost.
//
// A keep-value is weighed by the memory that goes with it, as policies say what memory is worth where it lies: unweighed,
// a thousand small copies would look a thousand times dearer than one large copy of the same worth.
type Curve [4]int64

// curveUnit is the memory that a keep-value counts for once; a copy counts for one at least.
const curveUnit = 1 << 20

// curveShares are the points of a Curve, as parts of the capacity.
func curveShares() [4]int64 { return [4]int64{16, 8, 4, 2} }

// Reclaim draws the curve from what an Order said that copies are worth: the lowest values until they make up for the
// share, each at least 0. A copy that is more than the rest of the share counts in proportion: what it leaves over is free
// for the next load, so a host is not dearer for having large copies. Copies in flight count as the others, for they are
// idle a moment later; those that are pinned or loading do not, nor those that were left out. When they do not suffice, it
// is the sum of all. Host memory is what is counted.
func Reclaim(r Ranking, ranked []Ranked) Curve {
	size := make(map[CopyID]int64, len(r.Copies))
	for i := range r.Copies {
		if c := &r.Copies[i]; !c.Keep.Pinned && !c.Loading && !c.Draining {
			size[c.ID] = c.Size[HostMemory]
		}
	}
	lowest := slices.Clone(ranked)
	slices.SortFunc(lowest, func(a, b Ranked) int { return cmp.Or(cmp.Compare(a.Keep, b.Keep), cmp.Compare(a.ID, b.ID)) })
	var curve Curve
	var lost, freed int64
	point, shares := 0, curveShares()
	for _, said := range lowest {
		bytes, counts := size[said.ID]
		if !counts {
			continue
		}
		delete(size, said.ID) // Said twice, it counts once.
		after := plusLoss(lost, int64(max(said.Keep, 0)), max(bytes/curveUnit, 1))
		for ; point < len(curve); point++ {
			share := r.Capacity[HostMemory] / shares[point]
			if freed+bytes < share {
				break
			}
			curve[point] = lost + partOf(after-lost, share-freed, bytes)
		}
		freed, lost = freed+bytes, after
	}
	for ; point < len(curve); point++ {
		curve[point] = lost
	}
	return curve
}

// plusLoss adds keep x units, and stays at the largest number rather than wrap.
func plusLoss(lost, keep, units int64) int64 {
	if keep > (math.MaxInt64-lost)/units {
		return math.MaxInt64
	}
	return lost + keep*units
}

// partOf is what of a loss falls to so many of the bytes, rounded down; all of it where there are no bytes.
func partOf(loss, part, bytes int64) int64 {
	if part >= bytes {
		return loss
	}
	high, low := bits.Mul64(uint64(loss), uint64(max(part, 0)))
	quotient, _ := bits.Div64(high, low, uint64(bytes)) // part < bytes, so it is at most the loss.
	return int64(quotient)
}
