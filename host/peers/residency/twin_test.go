package residency

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

// twin is a Table as a map of maps.
type twin struct {
	held   map[string]map[uint64]Entry
	epochs map[string]uint64
	at     map[string]Stamp
}

// set makes the host hold exactly this, and answers the keys whose state changed.
func (w *twin) set(host string, entries map[uint64]Entry) (changed []uint64) {
	before := w.held[host]
	for key := range before {
		if entries[key].State != before[key].State {
			changed = append(changed, key)
		}
	}
	for key := range entries {
		if _, was := before[key]; !was {
			changed = append(changed, key)
		}
	}
	w.held[host] = entries
	slices.Sort(changed)
	return changed
}

func (w *twin) copies(key uint64) (copies []Copy) {
	for _, host := range slices.Sorted(maps.Keys(w.held)) {
		if e, ok := w.held[host][key]; ok {
			copies = append(copies, Copy{Host: host, State: e.State, Size: e.Size, Used: e.Used})
		}
	}
	return copies
}

// source is a host with its log.
type source struct {
	id    string
	epoch uint64
	log   *Log
	holds map[uint64]Entry
}

func (s *source) change(random *rand.Rand, keys uint64) {
	e := Entry{Key: random.Uint64N(keys), State: State(random.IntN(6)), Size: random.Int64N(4) * SizeUnit, Used: random.Uint32N(3)}
	s.log.Set(e)
	if e.State == Absent {
		delete(s.holds, e.Key)
		return
	}
	s.holds[e.Key] = e
}

func FuzzTableAgainstItsTwin(f *testing.F) {
	for seed := range uint64(30) {
		f.Add(seed, uint16(1+seed*seed*7))
	}
	f.Fuzz(func(t *testing.T, seed uint64, keys uint16) {
		random := rand.New(rand.NewPCG(seed, 1))
		table, w := NewTable(), &twin{map[string]map[uint64]Entry{}, map[string]uint64{}, map[string]Stamp{}}
		sources := make([]*source, 5)
		for i := range sources {
			sources[i] = &source{id: fmt.Sprint("host-", i), epoch: 1, log: NewLog(64), holds: map[uint64]Entry{}}
		}
		for i := range 60 {
			s := sources[random.IntN(len(sources))]
			for range random.IntN(150) {
				s.change(random, 1+uint64(keys))
			}
			turn(t, random, table, w, s)
			if i%3 == 0 {
				compare(t, table, w, 1+uint64(keys))
			}
		}
	})
}

// turn lets one thing happen between a host and the table.
func turn(t *testing.T, random *rand.Rand, table *Table, w *twin, s *source) {
	var changed, want []uint64
	var err error
	switch random.IntN(10) {
	case 0:
		changed = table.Drop(s.id)
		want = w.set(s.id, nil)
		delete(w.held, s.id)
		delete(w.epochs, s.id)
		delete(w.at, s.id)
	case 1: // The host starts again, and holds nothing.
		s.epoch++
		s.log, s.holds = NewLog(64), map[uint64]Entry{}
		fallthrough
	case 2, 3:
		entries, stamp := s.log.Snapshot()
		random.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
		changed, err = table.Replace(s.id, s.epoch, entries, stamp)
		want = w.set(s.id, maps.Clone(s.holds))
		w.epochs[s.id], w.at[s.id] = s.epoch, stamp
	default:
		after := w.at[s.id].Sequence
		if random.IntN(8) == 0 {
			after += random.Uint64N(3)
		}
		entries, stamp, ok := s.log.Since(after)
		if !ok {
			return
		}
		if random.IntN(8) == 0 && len(entries) > 0 {
			entries = entries[1:] // One was lost.
		}
		changed, err = table.Advance(s.id, s.epoch, after, entries, stamp)
		next := maps.Clone(w.held[s.id])
		if next == nil {
			next = map[uint64]Entry{}
		}
		for _, e := range entries {
			if next[e.Key] = e; e.State == Absent {
				delete(next, e.Key)
			}
		}
		epoch, known := w.epochs[s.id]
		fits := known && epoch == s.epoch && after == w.at[s.id].Sequence && reflect.DeepEqual(next, s.holds)
		if fits != (err == nil) {
			t.Fatalf("%s: advance from %d: %v, and it should fit: %v", s.id, after, err, fits)
		}
		if err != nil {
			return
		}
		want = w.set(s.id, next)
		w.at[s.id] = stamp
	}
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(changed)
	if !slices.Equal(changed, want) {
		t.Fatalf("%s: changed %v, want %v", s.id, changed, want)
	}
	if at, known := w.at[s.id]; known && !table.Matches(s.id, s.epoch, at) {
		t.Fatalf("%s: is not at %+v", s.id, at)
	}
}

func compare(t *testing.T, table *Table, w *twin, keys uint64) {
	t.Helper()
	total := 0
	for host, held := range w.held {
		total += len(held)
		got := map[uint64]Entry{}
		for e := range table.Entries(host) {
			if _, twice := got[e.Key]; twice {
				t.Fatalf("%s: %x comes twice", host, e.Key)
			}
			got[e.Key] = e
		}
		if len(got) != len(held) || len(held) > 0 && !reflect.DeepEqual(got, held) || table.HeldBy(host) != len(held) {
			t.Fatalf("%s: has %v, want %v", host, got, held)
		}
	}
	if table.Len() != total {
		t.Fatalf("%d entries, want %d", table.Len(), total)
	}
	var copies []Copy
	for key := range min(keys, 500) {
		copies = table.Copies(key, copies[:0])
		if want := w.copies(key); !slices.Equal(copies, want) {
			t.Fatalf("copies of %d: %v, want %v", key, copies, want)
		}
	}
}
