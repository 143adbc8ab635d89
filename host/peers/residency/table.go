package residency

import (
	"cmp"
	"iter"
	"slices"
	"sync/atomic"
)

// MaxEntries bounds what is taken in of one host: about fifty times what the largest ones are expected to hold.
const MaxEntries = 1 << 20

// Table is what all hosts hold. The methods that write are for one goroutine, all others for any number.
type Table struct {
	root atomic.Pointer[root]
	// owners are the hosts that there are, by id; of the writer.
	owners map[string]*owner
}

// owner is a host as the writer knows it.
type owner struct {
	number uint32 // index of root.hosts
	epoch  uint64
	stamp  Stamp
}

// NewTable makes an empty one.
func NewTable() *Table {
	t := &Table{owners: map[string]*owner{}}
	t.root.Store(newRoot(minShards, nil))
	return t
}

// Copies appends the copies of a model, by host id. It takes no lock and allocates only what into lacks.
func (t *Table) Copies(key uint64, into []Copy) []Copy {
	r := t.root.Load()
	s := r.shard(key)
	first := len(into)
	for i := s.search(key, 0); i < len(s) && s[i].key == key; i++ {
		c := Copy{Host: r.hosts[s[i].host].id, State: s[i].state, Size: s[i].bytes(), Used: s[i].used}
		at := len(into)
		into = append(into, c)
		for at > first && into[at-1].Host > c.Host {
			into[at] = into[at-1]
			at--
		}
		into[at] = c
	}
	return into
}

// Len is the number of entries of all hosts.
func (t *Table) Len() int { return int(t.root.Load().len.Load()) }

// HeldBy is the number of entries of a host, failed ones included.
func (t *Table) HeldBy(host string) int {
	if h := t.root.Load().find(host); h != nil {
		return int(h.held.Load())
	}
	return 0
}

// Entries are those of one host, each once, in no order that means anything. Writes meanwhile may or may not be seen.
// It looks through the whole table.
func (t *Table) Entries(host string) iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		r := t.root.Load()
		h := r.find(host)
		if h == nil {
			return
		}
		for i := range r.shards {
			for _, s := range r.load(i) {
				if s.host == h.number && !yield(s.entry()) {
					return
				}
			}
		}
	}
}

// Matches reports whether the table has the host at that stamp.
func (t *Table) Matches(host string, epoch uint64, stamp Stamp) bool {
	o := t.owners[host]
	return o != nil && o.epoch == epoch && o.stamp == stamp
}

// Replace takes in a snapshot: all that the host holds. It answers the keys of the models of which a copy came, went or
// changed its state. The error is a *GapError; then what was known of the host stays.
func (t *Table) Replace(host string, epoch uint64, entries []Entry, stamp Stamp) (changed []uint64, err error) {
	o := t.owners[host]
	gap := &GapError{Host: host, Got: stamp}
	if o != nil {
		gap.Have = o.stamp
	}
	slots, why := snapshot(entries, stamp.Digest)
	if why != "" {
		gap.Why = why
		return nil, gap
	}
	if o == nil {
		o = t.admit(host)
	}
	changed = t.write(o, withRemovals(slots, t.held(o.number)))
	o.epoch, o.stamp = epoch, stamp
	return changed, nil
}

// Advance takes in what the host has changed after the state of that sequence; of the same model twice, the last counts.
// It answers keys as Replace does. The error is a *GapError; then nothing was taken in.
func (t *Table) Advance(host string, epoch, after uint64, entries []Entry, stamp Stamp) (changed []uint64, err error) {
	o := t.owners[host]
	if o == nil {
		return nil, &GapError{Host: host, Why: GapUnknown, Got: stamp}
	}
	gap := &GapError{Host: host, Have: o.stamp, Got: stamp}
	switch {
	case o.epoch != epoch:
		gap.Why = GapEpoch
		return nil, gap
	case o.stamp.Sequence != after || stamp.Sequence < after:
		gap.Why = GapSequence
		return nil, gap
	case slices.ContainsFunc(entries, func(e Entry) bool { return e.State > Failed }):
		gap.Why = GapMalformed
		return nil, gap
	}
	slots := lastOfEach(entries)
	r := t.root.Load()
	digest, held := o.stamp.Digest, r.hosts[o.number].held.Load()
	for _, s := range slots {
		last := r.get(s.key, o.number)
		digest += s.sum() - last.sum()
		held += s.count() - last.count()
	}
	switch {
	case digest != stamp.Digest:
		gap.Why = GapDigest
		return nil, gap
	case held > MaxEntries:
		gap.Why = GapTooMany
		return nil, gap
	}
	changed = t.write(o, slots)
	o.stamp = stamp
	return changed, nil
}

// Drop forgets a host, and answers the keys of the models that it held.
func (t *Table) Drop(host string) (changed []uint64) {
	o := t.owners[host]
	if o == nil {
		return nil
	}
	changed = t.write(o, withRemovals(nil, t.held(o.number)))
	delete(t.owners, host)
	return changed
}

// admit gives a host a number. Numbers are not used again before all are given anew, so that a reader that holds an old
// root never takes one host for another.
func (t *Table) admit(id string) *owner {
	if old := t.root.Load(); len(old.hosts) > 2*len(t.owners)+16 {
		t.rebuild(len(old.shards))
	}
	old := t.root.Load()
	next := newRoot(len(old.shards), append(slices.Clip(old.hosts), &host{id: id, number: uint32(len(old.hosts))}))
	next.len.Store(old.len.Load())
	for i := range old.shards {
		next.shards[i].Store(old.shards[i].Load())
	}
	t.root.Store(next)
	o := &owner{number: uint32(len(old.hosts))}
	t.owners[id] = o
	return o
}

// held are the slots of a host, in the order of writes.
func (t *Table) held(number uint32) []slot {
	r := t.root.Load()
	slots := make([]slot, 0, r.hosts[number].held.Load())
	for i := range r.shards {
		for _, s := range r.load(i) {
			if s.host == number {
				slots = append(slots, s)
			}
		}
	}
	return slots
}

// write replaces the shards of slots, which are a host's and in the order of writes. What is Absent goes.
func (t *Table) write(o *owner, slots []slot) (changed []uint64) {
	if len(slots) == 0 {
		return nil
	}
	r := t.root.Load()
	if wanted := shardsFor(int(r.len.Load())+len(slots), len(r.shards)); wanted > len(r.shards) {
		r = t.rebuild(wanted)
	}
	for i := range slots {
		slots[i].host = o.number
	}
	for first := 0; first < len(slots); {
		at, last := r.index(slots[first].key), first+1
		for last < len(slots) && r.index(slots[last].key) == at {
			last++
		}
		var grown int64
		changed, grown = r.replace(at, slots[first:last], changed)
		r.len.Add(grown)
		r.hosts[o.number].held.Add(grown)
		first = last
	}
	if wanted := shardsFor(int(r.len.Load()), len(r.shards)); wanted < len(r.shards) {
		t.rebuild(wanted)
	}
	return changed
}

// rebuild spreads everything over another number of shards, and leaves out the hosts that have gone.
func (t *Table) rebuild(shards int) *root {
	old := t.root.Load()
	hosts := make([]*host, 0, len(t.owners))
	numbers := make([]uint32, len(old.hosts))
	for _, h := range old.hosts {
		if o := t.owners[h.id]; o != nil && o.number == h.number {
			next := &host{id: h.id, number: uint32(len(hosts))}
			next.held.Store(h.held.Load())
			numbers[h.number] = next.number
			hosts = append(hosts, next)
		}
	}
	for _, h := range hosts {
		t.owners[h.id].number = h.number
	}
	next := newRoot(shards, hosts)
	next.len.Store(old.len.Load())
	next.fill(old, numbers)
	t.root.Store(next)
	return next
}

// snapshot checks the entries of one, and answers them in the order of writes.
func snapshot(entries []Entry, digest uint64) ([]slot, Gap) {
	if len(entries) > MaxEntries {
		return nil, GapTooMany
	}
	slots := make([]slot, len(entries))
	for i, e := range entries {
		if e.State == Absent || e.State > Failed {
			return nil, GapMalformed
		}
		slots[i] = slotOf(e)
		digest -= slots[i].sum()
	}
	slices.SortFunc(slots, inOrderOfWrites)
	for i := 1; i < len(slots); i++ {
		if slots[i].key == slots[i-1].key {
			return nil, GapMalformed
		}
	}
	if digest != 0 {
		return nil, GapDigest
	}
	return slots, ""
}

// lastOfEach answers a host's changes in the order of writes, one for each model.
func lastOfEach(entries []Entry) []slot {
	slots := make([]slot, len(entries))
	for i, e := range entries {
		slots[i] = slotOf(e)
	}
	slices.SortStableFunc(slots, inOrderOfWrites)
	kept := slots[:0]
	for _, s := range slots {
		if n := len(kept); n > 0 && kept[n-1].key == s.key {
			kept[n-1] = s
			continue
		}
		kept = append(kept, s)
	}
	return kept
}

// withRemovals adds to what a host holds from now on that everything else that it held is Absent. Both are in the order
// of writes, and so is the answer.
func withRemovals(slots, held []slot) []slot {
	all := make([]slot, 0, max(len(slots), len(held)))
	for _, h := range held {
		for len(slots) > 0 && inOrderOfWrites(slots[0], h) < 0 {
			all = append(all, slots[0])
			slots = slots[1:]
		}
		if len(slots) == 0 || slots[0].key != h.key {
			all = append(all, slot{key: h.key})
		}
	}
	return append(all, slots...)
}

// inOrderOfWrites is the order of the shards and within them. No two keys are spread to the same place.
func inOrderOfWrites(a, b slot) int { return cmp.Compare(spread(a.key), spread(b.key)) }

// find answers nil for a host that is not there. Those that came last are looked at first: of a host that left and came
// back there is more than one.
func (r *root) find(id string) *host {
	for i := len(r.hosts) - 1; i >= 0; i-- {
		if r.hosts[i].id == id {
			return r.hosts[i]
		}
	}
	return nil
}
