// Command place-spread-zones is a policy module that spreads the copies of a model over zones; see README.md.
package main

import (
	policy "github.com/wasmesh/wasmesh/sdk/policy/go"
	"github.com/wasmesh/wasmesh/sdk/policy/go/place"
)

// ranked is how many hosts are named: whoever asked falls through to the next when one refuses.
const ranked = 32

var evictForZone = policy.Int("evict_for_zone", 1)

func init() { place.Handle(spread) }

func main() {}

func spread(r place.Request, a *place.Answers) {
	zoneFirst := evictForZone.Value() != 0
	var best top
	for i := range r.Len() {
		if b, ok := bidOf(r.Context(), r.Row(i)); ok {
			b.row = i
			best.offer(&b, zoneFirst)
		}
	}
	for _, at := range best.order[:best.n] {
		b := &best.bids[at]
		a.Add(b.row, -int32(b.zoneCopies), b.reason(zoneFirst))
	}
}

// top is the best bids. Their order is kept apart, so that a new one moves a few bytes only.
type top struct {
	n     int
	order [ranked]uint8 // Indices of bids, the best first.
	bids  [ranked]bid
}

// offer takes a bid in if it is among the best. Equal bids stay in the order in which they came.
func (t *top) offer(b *bid, zoneFirst bool) {
	slot := t.n
	if t.n == ranked {
		if slot = int(t.order[ranked-1]); !b.before(&t.bids[slot], zoneFirst) {
			return
		}
		t.n--
	}
	from, to := 0, t.n
	for from < to {
		middle := (from + to) / 2
		if b.before(&t.bids[t.order[middle]], zoneFirst) {
			to = middle
		} else {
			from = middle + 1
		}
	}
	copy(t.order[from+1:], t.order[from:t.n])
	t.order[from], t.bids[slot] = uint8(slot), *b
	t.n++
}

// bid is what one host has to offer. Less of each is better.
type bid struct {
	row        int
	zoneCopies uint16
	evicts     bool
	loss       int64
	loads      uint64
	used       int64 // 65536ths of the capacity after the load
	distance   uint64
}

// before puts the zone with fewer copies first, before or after the question whether something has to be evicted; then it
// looks at what is lost, at the loads that are ahead, and at the room that is left. The last word has the nearness of the
// keys, so that models spread where nothing else tells hosts apart.
func (b *bid) before(o *bid, zoneFirst bool) bool {
	switch {
	case zoneFirst && b.zoneCopies != o.zoneCopies:
		return b.zoneCopies < o.zoneCopies
	case b.evicts != o.evicts:
		return o.evicts
	case b.zoneCopies != o.zoneCopies:
		return b.zoneCopies < o.zoneCopies
	case b.loss != o.loss:
		return b.loss < o.loss
	case b.loads != o.loads:
		return b.loads < o.loads
	case b.used != o.used:
		return b.used < o.used
	}
	return b.distance < o.distance
}

func (b *bid) reason(zoneFirst bool) policy.Reason {
	switch {
	case zoneFirst:
		return place.ReasonZone
	case b.evicts:
		return place.ReasonLeastLost
	}
	return place.ReasonFree
}

// bidOf is false for a host that leaves, is ruled out, has a copy, or could never hold the model.
func bidOf(c place.Context, row place.Row) (bid, bool) {
	if row.Flags()&(place.HostFlagDraining|place.HostFlagExcluded|place.HostFlagHasCopy) != 0 {
		return bid{}, false
	}
	lacking, used := int64(0), int64(0)
	for _, resource := range [...]struct{ need, free, capacity int64 }{
		{c.NeedMemory(), row.FreeMemory(), row.CapacityMemory()},
		{c.NeedDevice(), row.FreeDevice(), row.CapacityDevice()},
		{c.NeedSlots(), row.FreeSlots(), row.CapacitySlots()},
	} {
		// A capacity of 0 means that nobody counts this.
		if resource.capacity <= 0 || resource.need <= 0 {
			continue
		}
		if resource.need > resource.capacity {
			return bid{}, false
		}
		free := min(max(resource.free, 0), resource.capacity)
		if resource.need > free {
			lacking = max(lacking, share(resource.need-free, resource.capacity), 1)
		}
		used = max(used, share(resource.capacity-max(free-resource.need, 0), resource.capacity))
	}
	return bid{
		zoneCopies: row.ZoneCopies(),
		evicts:     lacking > 0,
		loss:       loss(row, lacking),
		loads:      uint64(row.LoadsQueued()) + uint64(row.LoadsRunning()),
		used:       used,
		distance:   row.HostKey() ^ c.ModelKey(),
	}, true
}

// whole is the whole of a capacity, as shares count.
const whole = 1 << 16

// share answers part/all in 65536ths. part is from 0 to all, and all is positive.
func share(part, all int64) int64 {
	for all >= 1<<46 {
		all, part = all>>1, part>>1
	}
	return part * whole / all
}

// loss is what the host loses when that share of its capacity is freed: the next point of its reclaim curve, or twice the
// last.
func loss(row place.Row, lacking int64) int64 {
	const most = 1 << 48
	switch {
	case lacking == 0:
		return 0
	case lacking <= whole/16:
		return min(max(row.Reclaim16th(), 0), most)
	case lacking <= whole/8:
		return min(max(row.Reclaim8th(), 0), most)
	case lacking <= whole/4:
		return min(max(row.Reclaim4th(), 0), most)
	case lacking <= whole/2:
		return min(max(row.ReclaimHalf(), 0), most)
	}
	return 2 * min(max(row.ReclaimHalf(), 0), most)
}
