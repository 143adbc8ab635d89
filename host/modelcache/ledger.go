package modelcache

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// Ledger accounts for the memory of one runtime. Its methods are safe for concurrent use; lifecycle's goroutine is the
// only one that changes it, others read Stats and Snapshot.
type Ledger struct {
	mu sync.Mutex // guards below; nothing is called while it is held

	capacity Resources
	// used, reserved and draining are the sums over residents, over what reservations have got, and over leaving.
	used, reserved, draining Resources
	residents, leaving       map[CopyID]*entry
	// ordered are all of them by id.
	ordered []*entry
	// reservations that are not settled, oldest first.
	reservations []*Reservation
	// round numbers the calls of candidates, so that an entry can tell whether this round has seen it.
	round uint64
}

// entry is what the ledger knows of a copy beside the copy itself.
type entry struct {
	*Copy
	keep Keep
	// draining: it is among those leaving.
	draining bool
	// stalled: the runtime refused to unload it, so nobody may count on its memory.
	stalled bool
	seen    uint64
}

// New makes an empty ledger.
func New(capacity Resources) *Ledger {
	return &Ledger{
		capacity:  capacity.Positive(),
		residents: make(map[CopyID]*entry),
		leaving:   make(map[CopyID]*entry),
	}
}

// Reserve sets memory aside for a copy: free memory first, then what is on its way, then victims, which stop taking
// requests and are to be unloaded by the caller. As few go as the order allows: it ends with the first that suffices, and
// none is taken that the others make unnecessary. Ids in order that are unknown, in flight, pinned, loading or draining
// are skipped.
//
// All or nothing. Errors: *NeverFitsError, *NoRoomError, ErrKnown; after any of them nothing has changed, except that
// after *NoRoomError the copies in order that are in flight tell when they become idle (see Copy.Release).
func (l *Ledger) Reserve(id CopyID, need Resources, order []CopyID) (*Reservation, []Victim, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known(id) {
		return nil, nil, ErrKnown
	}
	need = need.CountedIn(l.capacity)
	if !l.capacity.Covers(need) {
		return nil, nil, &NeverFitsError{Need: need, Capacity: l.capacity}
	}
	r := &Reservation{ledger: l, id: id, need: need}
	l.reservations = append(l.reservations, r)
	victims, err := l.claimFor(r, order)
	if err != nil {
		l.reservations = l.reservations[:len(l.reservations)-1]
		return nil, nil, err
	}
	l.settle()
	return r, victims, nil
}

// Drain closes a resident copy, whatever is in flight: it takes no more requests. True when none is in flight, so that it
// can be unloaded at once; else its last Release tells. An unknown id answers false.
func (l *Ledger) Drain(id CopyID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, ok := l.residents[id]; ok {
		l.leave(e)
		return e.close()
	}
	e, ok := l.leaving[id]
	return ok && e.InFlight() == 0
}

// Unloaded says that the runtime holds the copy no more, asked to or by itself. Its memory goes to the reservations that
// lack some, oldest first; the rest is free. An unknown id changes nothing.
func (l *Ledger) Unloaded(id CopyID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, ok := l.residents[id]; ok {
		e.close()
		l.leave(e)
	}
	if e, ok := l.leaving[id]; ok {
		delete(l.leaving, id)
		l.ordered = slices.DeleteFunc(l.ordered, func(other *entry) bool { return other == e })
		l.draining = l.draining.Minus(e.size)
		l.settle()
	}
}

// Stall says that the runtime refused to unload a draining copy: it still counts, but nobody waits for it any more.
// Reservations that did are given other victims. False: there are not enough, so that some reservations lack memory which
// nobody is about to give; they hold what they have got, and should be aborted.
func (l *Ledger) Stall(id CopyID, order []CopyID) ([]Victim, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, ok := l.leaving[id]; ok {
		e.stalled = true
	}
	missing := Resources{}.Minus(l.spare(nil)).Positive()
	victims, _ := l.claim(missing, order)
	return victims, missing.IsZero() || victims != nil
}

// Reset says that the runtime holds nothing any more and now has this capacity. Every copy is closed and gone, and every
// reservation is void.
func (l *Ledger) Reset(capacity Resources) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.residents {
		e.close()
	}
	for _, r := range l.reservations {
		r.settled = true
	}
	clear(l.residents)
	clear(l.leaving)
	l.ordered = nil
	l.reservations = nil
	l.used, l.reserved, l.draining = Resources{}, Resources{}, Resources{}
	l.capacity = capacity.Positive()
}

// SetKeep changes the wishes for a resident copy.
func (l *Ledger) SetKeep(id CopyID, keep Keep) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, ok := l.residents[id]; ok {
		e.keep = keep
	}
}

// Stats is the ledger at one moment; Used + Reserved + Draining never exceeds Capacity in a counted dimension.
type Stats struct {
	Capacity, Used, Reserved, Draining Resources
	// Copies that take requests, and requests in flight on them.
	Copies, InFlight int
	// Oldest is the least recent last use of those copies; zero when there is none.
	Oldest time.Time
}

// Sums is Stats without InFlight and Oldest, for which every copy has to be looked at.
func (l *Ledger) Sums() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sums()
}

// Stats answers all sums of one moment.
func (l *Ledger) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.sums()
	for _, e := range l.ordered {
		if e.draining {
			continue
		}
		s.InFlight += e.InFlight()
		if used := e.LastUsed(); s.Oldest.IsZero() || used.Before(s.Oldest) {
			s.Oldest = used
		}
	}
	return s
}

// Capacity is all the memory there is.
func (l *Ledger) Capacity() Resources {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.capacity
}

// Free is what no copy and no reservation holds or waits for, memory on its way included.
func (l *Ledger) Free() Resources {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.spare(nil).Positive()
}

// Watch answers what those of the copies hold that are idle and may go, and has those in flight tell when they become
// idle (see Copy.Release). It is for whoever has been refused and knows that no order of copies would help now.
func (l *Ledger) Watch(copies []CopyID) Resources {
	l.mu.Lock()
	defer l.mu.Unlock()
	return watchBusy(l.candidates(copies))
}

// Full reports whether nothing at all is free in some dimension that is counted.
func (l *Ledger) Full() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	spare := l.spare(nil)
	for d := range spare {
		if l.capacity[d] > 0 && spare[d] <= 0 {
			return true
		}
	}
	return false
}

// Snapshot answers every copy, resident and draining, by id.
func (l *Ledger) Snapshot() []CopyInfo {
	l.mu.Lock()
	defer l.mu.Unlock()
	infos := make([]CopyInfo, len(l.ordered))
	for i, e := range l.ordered {
		infos[i] = e.info(e.draining)
	}
	return infos
}

func (e *entry) info(draining bool) CopyInfo {
	info := e.Info()
	info.Keep, info.Draining = e.keep, draining
	return info
}

// Below: the caller holds mu.

func (l *Ledger) sums() Stats {
	return Stats{Capacity: l.capacity, Used: l.used, Reserved: l.reserved, Draining: l.draining, Copies: len(l.residents)}
}

func (l *Ledger) known(id CopyID) bool {
	_, resident := l.residents[id]
	_, leaving := l.leaving[id]
	return resident || leaving || slices.ContainsFunc(l.reservations, func(r *Reservation) bool { return r.id == id })
}

// enter adds a copy that takes requests.
func (l *Ledger) enter(e *entry) {
	l.residents[e.id] = e
	at, _ := slices.BinarySearchFunc(l.ordered, e.id, func(other *entry, id CopyID) int { return cmp.Compare(other.id, id) })
	l.ordered = slices.Insert(l.ordered, at, e)
	l.used = l.used.Plus(e.size)
}

// leave moves a closed copy from the residents to those whose unload is awaited.
func (l *Ledger) leave(e *entry) {
	delete(l.residents, e.id)
	l.leaving[e.id] = e
	e.draining = true
	l.used = l.used.Minus(e.size)
	l.draining = l.draining.Plus(e.size)
}

func (l *Ledger) free() Resources {
	return l.capacity.Minus(l.used).Minus(l.reserved).Minus(l.draining)
}

// settle hands out what is free to the reservations that lack some, oldest first.
func (l *Ledger) settle() {
	free := l.free()
	for _, r := range l.reservations {
		grant := r.need.Minus(r.granted).smaller(free)
		r.granted = r.granted.Plus(grant)
		l.reserved = l.reserved.Plus(grant)
		free = free.Minus(grant)
	}
}
