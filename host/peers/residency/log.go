package residency

import (
	"cmp"
	"slices"
)

// Log is what one host holds, with its latest changes. Not safe for concurrent use.
type Log struct {
	entries map[uint64]slot
	stamp   Stamp
	// changed are the keys of the latest changes; the change with sequence s is at s % len.
	changed []uint64
}

// NewLog makes an empty log that remembers so many changes, at least one.
func NewLog(keep int) *Log {
	return &Log{entries: map[uint64]slot{}, changed: make([]uint64, max(keep, 1))}
}

// Set takes in what has become of a model; Absent removes it. False: nothing has changed by it, so there is nothing to
// tell anybody. A state that is none changes nothing.
func (l *Log) Set(e Entry) bool {
	next := slot{key: e.Key, state: e.State, size: units(e.Size), used: e.Used}
	if next.state == Absent {
		next = slot{key: e.Key}
	}
	last, held := l.entries[e.Key]
	if e.State > Failed || next == last || next.state == Absent && !held {
		return false
	}
	if next.state == Absent {
		delete(l.entries, e.Key)
	} else {
		l.entries[e.Key] = next
	}
	l.stamp.Digest += next.sum() - last.sum()
	l.stamp.Sequence++
	l.changed[l.stamp.Sequence%uint64(len(l.changed))] = e.Key
	return true
}

// Stamp names what the log holds now.
func (l *Log) Stamp() Stamp { return l.stamp }

// Len is the number of entries.
func (l *Log) Len() int { return len(l.entries) }

// Since answers what leads from the state of that sequence to now: for each model that has changed meanwhile, its entry,
// Absent for those that went. Not ok: that is too long ago, or has not been yet; who asked needs a Snapshot.
func (l *Log) Since(sequence uint64) (entries []Entry, now Stamp, ok bool) {
	if sequence > l.stamp.Sequence || l.stamp.Sequence-sequence > uint64(len(l.changed)) {
		return nil, Stamp{}, false
	}
	count := int(l.stamp.Sequence - sequence)
	entries = make([]Entry, 0, count)
	var seen map[uint64]bool
	if count > 1 {
		seen = make(map[uint64]bool, count)
	}
	for s := sequence + 1; s <= l.stamp.Sequence; s++ {
		key := l.changed[s%uint64(len(l.changed))]
		if count > 1 {
			if seen[key] {
				continue
			}
			seen[key] = true
		}
		entries = append(entries, l.entry(key))
	}
	return entries, l.stamp, true
}

// Snapshot answers all entries, by key.
func (l *Log) Snapshot() ([]Entry, Stamp) {
	entries := make([]Entry, 0, len(l.entries))
	for _, s := range l.entries {
		entries = append(entries, s.entry())
	}
	slices.SortFunc(entries, func(a, b Entry) int { return cmp.Compare(a.Key, b.Key) })
	return entries, l.stamp
}

// Get answers what the log holds of a model, Absent for what is not there.
func (l *Log) Get(key uint64) Entry { return l.entry(key) }

// entry answers Absent for what is not there.
func (l *Log) entry(key uint64) Entry {
	if s, held := l.entries[key]; held {
		return s.entry()
	}
	return Entry{Key: key}
}
