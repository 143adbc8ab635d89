package modelcache

import (
	"slices"
	"time"
)

// Reservation is memory set aside for a copy that is not loaded yet. It ends with exactly one of Commit and Abort, or is
// voided by Ledger.Reset; after that its methods change nothing. Safe for concurrent use.
type Reservation struct {
	ledger *Ledger
	id     CopyID

	// Guarded by ledger.mu. Invariant: granted <= need.
	need, granted Resources
	settled       bool
}

// Need is what the copy is expected to take.
func (r *Reservation) Need() Resources {
	r.ledger.mu.Lock()
	defer r.ledger.mu.Unlock()
	return r.need
}

// Ready reports whether all memory is there, no victim awaited: the load may start.
func (r *Reservation) Ready() bool {
	r.ledger.mu.Lock()
	defer r.ledger.mu.Unlock()
	return r.ready()
}

func (r *Reservation) ready() bool { return !r.settled && r.granted == r.need }

// Resize changes the need, when more is known of the copy's size: what it gives back is free at once, what it asks
// more is found as in Reserve. Errors as of Reserve, and ErrSettled; after any of them the need is as before.
func (r *Reservation) Resize(need Resources, order []CopyID) ([]Victim, error) {
	l := r.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.settled {
		return nil, ErrSettled
	}
	need = need.CountedIn(l.capacity)
	if !l.capacity.Covers(need) {
		return nil, &NeverFitsError{Need: need, Capacity: l.capacity}
	}
	before := *r
	r.need = need
	r.granted = r.granted.smaller(need)
	l.reserved = l.reserved.Minus(before.granted).Plus(r.granted)
	victims, err := l.claimFor(r, order)
	if err != nil {
		l.reserved = l.reserved.Minus(r.granted).Plus(before.granted)
		r.need, r.granted = before.need, before.granted
		return nil, err
	}
	l.settle()
	return victims, nil
}

// Commit makes the copy resident at the reserved size, as if last used at lastUsed. What the loaded copy really takes is
// settled before, by Resize. Errors: ErrNotReady, ErrSettled.
func (r *Reservation) Commit(now, lastUsed time.Time, keep Keep) (*Copy, error) {
	l := r.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.settled {
		return nil, ErrSettled
	}
	if !r.ready() {
		return nil, ErrNotReady
	}
	c := &Copy{id: r.id, size: r.need, loadedAt: now}
	c.lastUsed.Store(lastUsed.UnixNano())
	r.leave()
	l.enter(&entry{Copy: c, keep: keep})
	return c, nil
}

// Abort gives the memory back. Victims that were claimed stay claimed: they take no more requests already.
func (r *Reservation) Abort() {
	l := r.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.settled {
		return
	}
	r.leave()
	l.settle()
}

// leave takes the reservation out of the ledger. The caller holds ledger.mu.
func (r *Reservation) leave() {
	l := r.ledger
	r.settled = true
	l.reserved = l.reserved.Minus(r.granted)
	l.reservations = slices.DeleteFunc(l.reservations, func(o *Reservation) bool { return o == r })
}
