package builtin

import (
	"math/bits"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
)

// allBursts is the most that burstShare answers.
const allBursts = 256

// burstShare is how far a host's models are used in bursts, from 0 to allBursts: what is in between turns from one estimate
// of use to the other. Rates serve where requests come at random or to a schedule, and there a tenth of the copies, more or
// less, have paused for three times their mean pause: e^-3 of them, and more as what has gone is among them. Where models are
// used in sessions, most that are not in one have, and rates are of the session that has ended.
//
// The bounds are one fifth and three tenths of the copies. Traces of production are below, as are requests at random at
// whatever rates; bursts are above, unless there is hardly memory for those that are in one.
func burstShare(v *policyabi.EvictView, now int64) int64 {
	copies, lapsed := int64(v.Len()), int64(0)
	for i := range v.Len() {
		if overdue(v.Row(i), now, 3) {
			lapsed++
		}
	}
	return min(max(lapsed*(10*allBursts)/max(copies, 1)-2*allBursts, 0), allBursts)
}

// overdue reports whether a copy has not been used for so many times the mean pause between its uses since its load. One
// that was used once, or whose load is unknown, is not.
func overdue(row policyabi.EvictRowView, now, pauses int64) bool {
	uses := int64(min(row.Uses(), maxPauses+1))
	if uses < 2 || row.LoadedAtMs() <= 0 {
		return false
	}
	used := idle(row, now)
	return used*(uses-1) > pauses*max(since(now, row.LoadedAtMs())-used, 0)
}

// returning is how soon a model comes back that is used in bursts, in uses per 1e9 s: once in the time for which it has not
// been used, less what is unsure of it: of a copy used 128 times since its load nothing, of one used once or never seven eighths.
func returning(row policyabi.EvictRowView, now int64) int64 {
	return oncePer(idle(row, now)) * min(max(int64(bits.Len64(row.Uses())), 1), 8) / 8
}
