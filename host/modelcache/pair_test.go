package modelcache

import (
	"errors"
	"slices"
	"testing"
	"time"
)

// pair drives a Ledger and its twin with the same operations, read from bytes.
type pair struct {
	t            *testing.T
	input        []byte
	now          time.Time
	next         CopyID
	ledger       *Ledger
	twin         *twin
	reservations map[CopyID]*Reservation
	copies       map[CopyID]*Copy
}

func newPair(t *testing.T, input []byte) *pair {
	p := &pair{
		t: t, input: input, now: time.Unix(1_700_000_000, 0),
		reservations: map[CopyID]*Reservation{}, copies: map[CopyID]*Copy{},
	}
	capacity := p.resources(40, 12, 5)
	p.ledger, p.twin = New(capacity), &twin{capacity: capacity}
	return p
}

func (p *pair) byte() int {
	if len(p.input) == 0 {
		return 0
	}
	b := p.input[0]
	p.input = p.input[1:]
	return int(b)
}

func (p *pair) resources(memory, device, slots int) Resources {
	return Resources{int64(p.byte() % memory), int64(p.byte() % device), int64(p.byte() % slots)}
}

// pick answers one of n things, -1 when there are none.
func (p *pair) pick(n int) int {
	if n == 0 {
		return -1
	}
	return p.byte() % n
}

// order is what lifecycle would give, or something stale, with doubles and strangers.
func (p *pair) order() []CopyID {
	order := recency(p.now, p.ledger.Snapshot())
	switch p.byte() % 4 {
	case 0:
		slices.Reverse(order)
		order = append(order, order...)
		return append([]CopyID{p.next + 7}, order...)
	case 1:
		return order[:len(order)/2]
	}
	return order
}

func (p *pair) step() {
	p.now = p.now.Add(time.Second)
	switch p.byte() % 16 {
	case 0, 1, 2:
		p.reserve()
	case 3:
		p.resize()
	case 4, 5:
		p.commit()
	case 6:
		p.abort()
	case 7:
		p.drain()
	case 8, 9:
		p.unloaded()
	case 10:
		p.stall()
	case 11:
		p.acquire()
	case 12:
		p.release()
	case 13:
		p.pinOrReset()
	case 14:
		p.hold()
	case 15:
		p.unhold()
	}
	p.check()
}

func same[T comparable](p *pair, what string, got, want T) {
	p.t.Helper()
	if got != want {
		p.t.Fatalf("%s: ledger %v, twin %v", what, got, want)
	}
}

func (p *pair) sameVictims(victims []Victim, want []CopyID) {
	p.t.Helper()
	if got := victimIDs(victims); !slices.Equal(got, want) {
		p.t.Fatalf("victims: ledger %v, twin %v", got, want)
	}
}

func (p *pair) reserve() {
	p.next++
	need, order := p.resources(30, 8, 4), p.order()
	wantVictims, want := p.twin.reserve(p.next, need, order)
	r, victims, err := p.ledger.Reserve(p.next, need, order)
	same(p, "reserve", kindOf(err), want)
	p.sameVictims(victims, wantVictims)
	if err == nil {
		p.reservations[p.next] = r
	}
}

func (p *pair) reservation() (*Reservation, *twinReservation) {
	if i := p.pick(len(p.twin.reservations)); i >= 0 {
		return p.reservations[p.twin.reservations[i].id], p.twin.reservations[i]
	}
	return nil, nil
}

func (p *pair) resize() {
	r, other := p.reservation()
	if r == nil {
		return
	}
	need, order := p.resources(45, 14, 6), p.order()
	wantVictims, want := p.twin.resize(other, need, order)
	victims, err := r.Resize(need, order)
	same(p, "resize", kindOf(err), want)
	p.sameVictims(victims, wantVictims)
}

func (p *pair) commit() {
	r, other := p.reservation()
	if r == nil {
		return
	}
	ready := other.need == other.granted
	c, err := r.Commit(p.now, p.now, Keep{})
	same(p, "commit", err == nil, ready)
	if ready {
		p.twin.drop(other)
		p.twin.copies = append(p.twin.copies, &twinCopy{id: other.id, size: other.need})
		p.copies[other.id] = c
		if again := func() error { _, err := r.Commit(p.now, p.now, Keep{}); return err }(); !errors.Is(again, ErrSettled) {
			p.t.Fatalf("second commit: %v", again)
		}
	} else if !errors.Is(err, ErrNotReady) {
		p.t.Fatalf("commit: %v", err)
	}
}

func (p *pair) abort() {
	r, other := p.reservation()
	if r == nil {
		return
	}
	r.Abort()
	r.Abort()
	p.twin.drop(other)
	p.twin.handOut()
}

func (p *pair) copy() (*Copy, *twinCopy) {
	if i := p.pick(len(p.twin.copies)); i >= 0 {
		c := p.twin.copies[i]
		return p.copies[c.id], c
	}
	return nil, nil
}

func (p *pair) drain() {
	c, other := p.copy()
	if c == nil {
		return
	}
	same(p, "drain", p.ledger.Drain(c.ID()), other.inFlight == 0)
	other.leaving, other.held = true, false
}

func (p *pair) unloaded() {
	c, _ := p.copy()
	if c == nil {
		return
	}
	p.ledger.Unloaded(c.ID())
	p.ledger.Unloaded(c.ID())
	p.twin.unloaded(c.ID())
	if c.Acquire(p.now) {
		p.t.Fatal("a copy that the runtime no longer holds takes requests")
	}
}

func (p *pair) stall() {
	c, other := p.copy()
	if c == nil {
		return
	}
	order := p.order()
	victims, covered := p.ledger.Stall(c.ID(), order)
	other.stalled = other.leaving
	chosen, enough := p.twin.victims(nil, order)
	p.sameVictims(victims, twinIDs(chosen))
	same(p, "covered after stall", covered, enough)
}

func (p *pair) acquire() {
	c, other := p.copy()
	if c == nil {
		return
	}
	same(p, "acquire", c.Acquire(p.now), !other.leaving)
	if !other.leaving {
		other.inFlight++
		other.held = false
	}
}

func (p *pair) hold() {
	if c, other := p.copy(); c != nil {
		c.Hold()
		other.held = other.held || !other.leaving && other.inFlight == 0
	}
}

func (p *pair) unhold() {
	if c, other := p.copy(); c != nil {
		want := other.held && other.watched
		other.held, other.watched = false, other.watched && other.inFlight > 0
		same(p, "unhold tells", c.Unhold(), want)
	}
}

func (p *pair) release() {
	c, other := p.copy()
	if c == nil {
		return
	}
	want := false
	if other.inFlight > 0 {
		other.inFlight--
		want = other.inFlight == 0 && (other.leaving || other.watched)
		other.watched = other.watched && other.inFlight > 0
	}
	same(p, "release tells", c.Release(), want)
}

func (p *pair) pinOrReset() {
	c, other := p.copy()
	if c != nil && p.byte()%8 != 0 {
		if !other.leaving {
			other.pinned = !other.pinned
			p.ledger.SetKeep(c.ID(), Keep{Pinned: other.pinned})
		}
		return
	}
	capacity := p.resources(40, 12, 5)
	p.ledger.Reset(capacity)
	for _, r := range p.twin.reservations {
		if _, err := p.reservations[r.id].Commit(p.now, p.now, Keep{}); !errors.Is(err, ErrSettled) {
			p.t.Fatalf("commit after reset: %v", err)
		}
		p.reservations[r.id].Abort()
	}
	p.twin = &twin{capacity: capacity}
}

// check compares everything and holds the ledger to what its package promises.
func (p *pair) check() {
	p.t.Helper()
	stats := p.ledger.Stats()
	want := Stats{Capacity: p.twin.capacity}
	stalled := false
	for _, c := range p.twin.copies {
		if c.leaving {
			want.Draining = want.Draining.Plus(c.size)
			stalled = stalled || c.stalled
		} else {
			want.Used = want.Used.Plus(c.size)
			want.Copies++
			want.InFlight += c.inFlight
		}
		same(p, "in flight", p.copies[c.id].InFlight(), c.inFlight)
		if c.inFlight == 0 {
			same(p, "held", p.copies[c.id].Info().InFlight == 1, c.held)
		}
	}
	free := p.twin.free()
	for _, r := range p.twin.reservations {
		want.Reserved = want.Reserved.Plus(r.granted)
		same(p, "ready", p.reservations[r.id].Ready(), r.need == r.granted)
		for d := range r.need {
			if r.granted[d] < r.need[d] && free[d] > 0 {
				p.t.Fatalf("reservation %d lacks memory while %v is free", r.id, free)
			}
		}
	}
	stats.Oldest = time.Time{}
	same(p, "stats", stats, want)
	if sum := stats.Used.Plus(stats.Reserved).Plus(stats.Draining); !stats.Capacity.Covers(sum) {
		p.t.Fatalf("used + reserved + draining = %v, over the capacity of %v", sum, stats.Capacity)
	}
	if missing := p.twin.missing(); !stalled && !missing.IsZero() {
		p.t.Fatalf("reservations wait for %v that nobody is about to give", missing)
	}
}

func FuzzLedgerAgainstTwin(f *testing.F) {
	f.Add([]byte{39, 0, 0, 0, 10, 0, 0, 2, 4, 0, 0, 20, 0, 0, 2, 4, 0, 0, 25, 0, 0, 2, 8, 0, 4, 0})
	f.Add([]byte{30, 9, 4, 0, 10, 5, 2, 2, 4, 0, 11, 0, 0, 25, 3, 1, 2, 12, 0, 0, 25, 3, 1, 2, 10, 0, 2, 6, 0})
	seed := make([]byte, 600)
	for i := range seed {
		seed[i] = byte(i*i*31 + i*7 + i/9)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, input []byte) {
		p := newPair(t, input)
		for len(p.input) > 0 {
			p.step()
		}
	})
}

// The fuzz engine runs by hand only; this walks the same ground on every run of the tests.
func TestLedgerAgreesWithTwin(t *testing.T) {
	state := uint64(1)
	for range 400 {
		input := make([]byte, 300)
		for i := range input {
			state = state*6364136223846793005 + 1442695040888963407
			input[i] = byte(state >> 56)
		}
		p := newPair(t, input)
		for len(p.input) > 0 {
			p.step()
		}
	}
}
