package builtin

import (
	"math/bits"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
)

// whole is the whole of a capacity, as share counts.
const whole = 1 << 16

// maxLoss bounds the points of a reclaim curve, so that a point times a share fits into 64 bits.
const maxLoss = 1 << 46

// share answers part/all in 65536ths, at least 1 for any part at all, at most the whole. all is positive.
func share(part, all int64) int64 {
	if part <= 0 {
		return 0
	}
	if part >= all {
		return whole
	}
	for all >= 1<<46 {
		all, part = all>>1, part>>1
	}
	return max(part*whole/all, 1)
}

// lossOf reads what a host loses when that share of its capacity is freed off its reclaim curve: straight lines between
// the points, the first from nothing, the last drawn on to the whole capacity. A curve that falls counts as level.
func lossOf(row policyabi.PlaceRowView, lacking int64) int64 {
	if lacking == 0 {
		return 0
	}
	at16th := min(max(row.Reclaim16th(), 0), maxLoss)
	if lacking <= whole/16 {
		return at16th * lacking / (whole / 16)
	}
	at8th := min(max(row.Reclaim8th(), at16th), maxLoss)
	if lacking <= whole/8 {
		return at16th + (at8th-at16th)*(lacking-whole/16)/(whole/16)
	}
	at4th := min(max(row.Reclaim4th(), at8th), maxLoss)
	if lacking <= whole/4 {
		return at8th + (at4th-at8th)*(lacking-whole/8)/(whole/8)
	}
	atHalf := min(max(row.ReclaimHalf(), at4th), maxLoss)
	return at4th + (atHalf-at4th)*(lacking-whole/4)/(whole/4)
}

// effort is what a host has to do for a load, in octaves divided by eight: each load ahead of it counts as a ninth more
// lost, eight as twice as much.
func effort(loss, loads int64) int64 { return eighths(loss) + loads }

// eighths answers the logarithm of x in octaves divided by eight, rounded down so that it grows with x: 0 to 15 are
// themselves, and from there each doubling adds 8.
func eighths(x int64) int64 {
	if x < 16 {
		return max(x, 0)
	}
	octave := int64(bits.Len64(uint64(x))) - 4
	return octave*8 + x>>octave
}
