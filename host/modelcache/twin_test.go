package modelcache

import (
	"errors"
	"fmt"
	"slices"
)

// twin is the ledger written down a second time, as dumbly as can be: plain slices, every sum taken anew, no gate.
type twin struct {
	capacity     Resources
	copies       []*twinCopy
	reservations []*twinReservation
}

type twinCopy struct {
	id       CopyID
	size     Resources
	pinned   bool
	inFlight int
	held     bool // For a request that is to come.
	leaving  bool
	stalled  bool
	watched  bool
}

type twinReservation struct {
	id            CopyID
	need, granted Resources
}

func (c *twinCopy) busy() bool { return c.inFlight > 0 || c.held }

func (w *twin) free() Resources {
	free := w.capacity
	for _, c := range w.copies {
		free = free.Minus(c.size)
	}
	for _, r := range w.reservations {
		free = free.Minus(r.granted)
	}
	return free
}

func (w *twin) handOut() {
	for _, r := range w.reservations {
		for d := range r.need {
			got := min(r.need[d]-r.granted[d], w.free()[d])
			r.granted[d] += got
		}
	}
}

// missing is what all reservations lack and nobody is about to give.
func (w *twin) missing() Resources {
	missing := Resources{}.Minus(w.free())
	for _, r := range w.reservations {
		missing = missing.Plus(r.need).Minus(r.granted)
	}
	for _, c := range w.copies {
		if c.leaving && !c.stalled && c.inFlight == 0 {
			missing = missing.Minus(c.size)
		}
	}
	for d := range missing {
		if w.capacity[d] == 0 {
			missing[d] = 0
		}
	}
	return missing.Positive()
}

func (w *twin) find(id CopyID) *twinCopy {
	for _, c := range w.copies {
		if c.id == id {
			return c
		}
	}
	return nil
}

func sizes(copies []*twinCopy) (sum Resources) {
	for _, c := range copies {
		sum = sum.Plus(c.size)
	}
	return sum
}

// victims answers who goes for r, or for all when it is nil, and whether that is enough.
func (w *twin) victims(r *twinReservation, order []CopyID) ([]*twinCopy, bool) {
	missing := w.missing()
	for d := range missing {
		if r != nil && r.need[d] == r.granted[d] {
			missing[d] = 0
		}
	}
	if missing.IsZero() {
		return nil, true
	}
	var candidates, chosen []*twinCopy
	for _, id := range order {
		c := w.find(id)
		if c == nil || c.leaving || c.pinned || slices.Contains(candidates, c) {
			continue
		}
		candidates = append(candidates, c)
	}
	for _, c := range candidates {
		if c.busy() || sizes(chosen).Covers(missing) {
			continue
		}
		for d := range missing {
			if sizes(chosen)[d] < missing[d] && c.size[d] > 0 {
				chosen = append(chosen, c)
				break
			}
		}
	}
	if !sizes(chosen).Covers(missing) {
		for _, c := range candidates {
			c.watched = c.watched || c.busy()
		}
		return nil, false
	}
	for i := len(chosen) - 1; i >= 0; i-- {
		without := slices.Delete(slices.Clone(chosen), i, i+1)
		if sizes(without).Covers(missing) {
			chosen = without
		}
	}
	for _, c := range chosen {
		c.leaving = true
	}
	return chosen, true
}

func (w *twin) reserve(id CopyID, need Resources, order []CopyID) ([]CopyID, string) {
	need = need.CountedIn(w.capacity)
	if !w.capacity.Covers(need) {
		return nil, "never"
	}
	r := &twinReservation{id: id, need: need}
	w.reservations = append(w.reservations, r)
	victims, ok := w.victims(r, order)
	if !ok {
		w.reservations = w.reservations[:len(w.reservations)-1]
		return nil, "no room"
	}
	w.handOut()
	return twinIDs(victims), ""
}

func (w *twin) resize(r *twinReservation, need Resources, order []CopyID) ([]CopyID, string) {
	need = need.CountedIn(w.capacity)
	if !w.capacity.Covers(need) {
		return nil, "never"
	}
	before := *r
	r.need, r.granted = need, r.granted.smaller(need)
	victims, ok := w.victims(r, order)
	if !ok {
		*r = before
		return nil, "no room"
	}
	w.handOut()
	return twinIDs(victims), ""
}

func (w *twin) drop(r *twinReservation) {
	w.reservations = slices.DeleteFunc(w.reservations, func(o *twinReservation) bool { return o == r })
}

func (w *twin) unloaded(id CopyID) {
	w.copies = slices.DeleteFunc(w.copies, func(c *twinCopy) bool { return c.id == id })
	w.handOut()
}

func twinIDs(copies []*twinCopy) (ids []CopyID) {
	for _, c := range copies {
		ids = append(ids, c.id)
	}
	return ids
}

func victimIDs(victims []Victim) (ids []CopyID) {
	for _, v := range victims {
		ids = append(ids, v.ID)
	}
	return ids
}

// kindOf names an error as the twin does.
func kindOf(err error) string {
	if err == nil {
		return ""
	}
	if _, ok := errors.AsType[*NeverFitsError](err); ok {
		return "never"
	}
	if e, ok := errors.AsType[*NoRoomError](err); ok {
		if e.Free.Plus(e.Evictable).Covers(e.Need) {
			return fmt.Sprintf("no room, although the numbers say that there is: %v", e)
		}
		return "no room"
	}
	return err.Error()
}
