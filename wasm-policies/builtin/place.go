package builtin

import "github.com/wasmesh/wasmesh/sdk/policyabi"

// placeRanked is how many hosts PlaceBalanced names. Whoever asked falls through to the next when one refuses; by the
// time that this many have, the rows they were ranked by are history.
const placeRanked = 32

// PlaceBalanced ranks the hosts that can take the model, the 32 best. Hosts that leave, are excluded, have a copy, or could
// never hold it are not named. By the first difference:
//
//  1. hosts where the need is free before hosts where something has to go;
//  2. hosts whose runtime is the model's first choice;
//  3. less effort: what is lost with the victims, and loads that are ahead of this one (see effort);
//  4. fewer requests in flight, in octaves divided by eight;
//  5. hosts that have not just started;
//  6. more room left after the load, in sixteenths of the capacity;
//  7. fewer copies of the model in the zone, then the zone of the host that asks;
//  8. the key of the host nearest to the model's, so that models spread where nothing else tells hosts apart.
//
// A score is minus what is lost, in keep-value x MiB, as far as 32 bits reach.
func PlaceBalanced(v policyabi.PlaceView, a *policyabi.PlaceAnswers) {
	need := needOf(v.Context())
	var best [placeRanked]bid
	n := 0
	for i := range v.Len() {
		row := v.Row(i)
		if row.Flags()&(policyabi.HostFlagDraining|policyabi.HostFlagExcluded|policyabi.HostFlagHasCopy) != 0 {
			continue
		}
		b := bid{row: i}
		if !b.measure(row, need) {
			continue
		}
		// Insertion into the sorted best: few rows get in once it is full.
		at := n
		for at > 0 && b.before(&best[at-1]) {
			at--
		}
		if at == placeRanked {
			continue
		}
		n = min(n+1, placeRanked)
		copy(best[at+1:n], best[at:])
		best[at] = b
	}
	for i := range best[:n] {
		b := &best[i]
		reason := policyabi.ReasonLeastLost
		if b.free {
			reason = policyabi.ReasonFree
		}
		a.Add(b.row, int32(max(-b.loss, -1<<31)), reason)
	}
}

// need is what the model to be placed takes.
type need struct {
	memory, device, slots int64
	key                   uint64
}

func needOf(c policyabi.PlaceContextView) need {
	return need{memory: c.NeedMemory(), device: c.NeedDevice(), slots: c.NeedSlots(), key: c.ModelKey()}
}

// bid is what one host has to offer.
type bid struct {
	row        int
	free       bool
	preferred  bool
	warming    bool
	sameZone   bool
	effort     int64
	busy       int64
	room       int64 // sixteenths of the capacity
	zoneCopies uint16
	distance   uint64
	loss       int64 // keep-value
}

// measure fills the bid; false when the host could never hold the model.
func (b *bid) measure(row policyabi.PlaceRowView, n need) bool {
	lacking, room := int64(0), int64(whole)
	for d := range 3 {
		var want, free, capacity int64
		switch d {
		case 0:
			want, free, capacity = n.memory, row.FreeMemory(), row.CapacityMemory()
		case 1:
			want, free, capacity = n.device, row.FreeDevice(), row.CapacityDevice()
		default:
			want, free, capacity = n.slots, row.FreeSlots(), row.CapacitySlots()
		}
		// A capacity of 0 means that nobody counts this. What is free is at most the capacity; what is less than nothing
		// counts as nothing.
		if capacity <= 0 || want <= 0 {
			continue
		}
		if want > capacity {
			return false
		}
		free = min(max(free, 0), capacity)
		lacking = max(lacking, share(want-free, capacity))
		room = min(room, share(free-want, capacity))
	}
	flags := row.Flags()
	b.free = lacking == 0
	b.preferred = flags&policyabi.HostFlagPreferred != 0
	b.warming = flags&policyabi.HostFlagWarming != 0
	b.sameZone = flags&policyabi.HostFlagSameZone != 0
	b.loss = lossOf(row, lacking)
	b.effort = effort(b.loss, int64(row.LoadsQueued())+int64(row.LoadsRunning()))
	b.busy = eighths(int64(row.InFlight()))
	b.room = room / (whole / 16)
	b.zoneCopies = row.ZoneCopies()
	b.distance = row.HostKey() ^ n.key
	return true
}

// before says that b is to be named before o. Equal bids stay in the order of their rows.
func (b *bid) before(o *bid) bool {
	switch {
	case b.free != o.free:
		return b.free
	case b.preferred != o.preferred:
		return b.preferred
	case b.effort != o.effort:
		return b.effort < o.effort
	case b.busy != o.busy:
		return b.busy < o.busy
	case b.warming != o.warming:
		return o.warming
	case b.room != o.room:
		return b.room > o.room
	case b.zoneCopies != o.zoneCopies:
		return b.zoneCopies < o.zoneCopies
	case b.sameZone != o.sameZone:
		return b.sameZone
	}
	return b.distance < o.distance
}
