package modelcache

import "slices"

// spare is what is free or on its way, less what reservations other than except still lack; negative is lacking.
//
// On its way is the memory of copies that are being unloaded. A copy that still serves its last requests is not counted,
// for nobody knows how long they take. The caller holds mu.
func (l *Ledger) spare(except *Reservation) Resources {
	spare := l.free()
	for _, e := range l.leaving {
		if !e.stalled && e.InFlight() == 0 {
			spare = spare.Plus(e.size)
		}
	}
	for _, r := range l.reservations {
		if r != except {
			spare = spare.Minus(r.need.Minus(r.granted))
		}
	}
	return spare
}

// claimFor closes the victims that r needs. After an error, always *NoRoomError, none is closed. The caller holds mu.
func (l *Ledger) claimFor(r *Reservation, order []CopyID) ([]Victim, error) {
	lacks := r.need.Minus(r.granted)
	spare := l.spare(r)
	missing := lacks.Minus(spare).Positive()
	for d := range missing {
		if lacks[d] == 0 {
			missing[d] = 0 // That others lack some is not for r to mend.
		}
	}
	victims, evictable := l.claim(missing, order)
	if victims == nil && !missing.IsZero() {
		free := r.granted.Plus(spare)
		evictable = evictable.Plus(free.Minus(free.Positive())) // Less what goes to others first.
		return nil, &NoRoomError{Need: r.need, Free: free.Positive(), Evictable: evictable.Positive(), Missing: missing}
	}
	return victims, nil
}

// claim closes the copies that hold what is missing; when all that may go do not suffice it closes none, answers what
// they hold, and has those in flight tell when they are idle. The caller holds mu.
func (l *Ledger) claim(missing Resources, order []CopyID) ([]Victim, Resources) {
	if missing.IsZero() {
		return nil, Resources{}
	}
	candidates := l.candidates(order)
	for {
		if chosen := choose(candidates, missing); chosen != nil {
			if closeAll(chosen) {
				return l.takeAll(chosen), Resources{}
			}
			continue // A request came to one of them meanwhile: choose again without it.
		}
		if evictable := watchBusy(candidates); !evictable.Covers(missing) {
			return nil, evictable
		}
		// One became idle meanwhile, so nobody would have told: choose again with it.
	}
}

// candidates are the copies named in order that may go once they are idle. A loading copy is a reservation and a
// draining one is leaving: neither is among the residents.
func (l *Ledger) candidates(order []CopyID) []*entry {
	l.round++
	candidates := make([]*entry, 0, len(order))
	for _, id := range order {
		if e, ok := l.residents[id]; ok && !e.keep.Pinned && e.seen != l.round {
			e.seen = l.round
			candidates = append(candidates, e)
		}
	}
	return candidates
}

// choose answers the idle candidates that cover missing: the first that suffice, less those that turn out unnecessary;
// nil when all of them do not.
func choose(candidates []*entry, missing Resources) []*entry {
	var chosen []*entry
	var sum Resources
	for _, e := range candidates {
		helps := sum.Plus(e.size).smaller(missing) != sum.smaller(missing)
		if !helps || e.expected() > 0 {
			continue
		}
		chosen = append(chosen, e)
		sum = sum.Plus(e.size)
		if sum.Covers(missing) {
			return prune(chosen, sum.Minus(missing))
		}
	}
	return nil
}

// prune drops the chosen that fit into the surplus, from the end, which is the most worth keeping.
func prune(chosen []*entry, surplus Resources) []*entry {
	for i := len(chosen) - 1; i >= 0; i-- {
		if surplus.Covers(chosen[i].size) {
			surplus = surplus.Minus(chosen[i].size)
			chosen = slices.Delete(chosen, i, i+1)
		}
	}
	return chosen
}

// closeAll closes every gate or none.
func closeAll(chosen []*entry) bool {
	for i, e := range chosen {
		if !e.tryClose() {
			for _, e := range chosen[:i] {
				e.reopen()
			}
			return false
		}
	}
	return true
}

// takeAll moves closed copies to those whose unload is awaited. The caller holds mu.
func (l *Ledger) takeAll(chosen []*entry) []Victim {
	victims := make([]Victim, len(chosen))
	for i, e := range chosen {
		victims[i] = e.info(true)
		l.leave(e)
	}
	return victims
}

// watchBusy has every candidate in flight tell when it becomes idle, and answers what the idle ones hold. So whoever is
// refused has either counted a copy as idle or is told of it.
func watchBusy(candidates []*entry) Resources {
	var idle Resources
	for _, e := range candidates {
		if !e.watch() {
			idle = idle.Plus(e.size)
		}
	}
	return idle
}
