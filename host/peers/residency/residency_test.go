package residency

import (
	"errors"
	"math"
	"reflect"
	"slices"
	"testing"
)

const mib = 1 << 20

func loaded(key uint64) Entry { return Entry{Key: key, State: Loaded, Size: mib, Used: 7} }

// follow brings what the table knows of a host up to its log, by what changed if it can.
func follow(t *testing.T, table *Table, host string, epoch uint64, log *Log, after uint64) []uint64 {
	t.Helper()
	entries, stamp, ok := log.Since(after)
	if !ok {
		t.Fatalf("the log does not reach back to %d", after)
	}
	changed, err := table.Advance(host, epoch, after, entries, stamp)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(changed)
	return changed
}

func replace(t *testing.T, table *Table, host string, epoch uint64, log *Log) []uint64 {
	t.Helper()
	entries, stamp := log.Snapshot()
	changed, err := table.Replace(host, epoch, entries, stamp)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(changed)
	return changed
}

func TestLogSaysWhatChanged(t *testing.T) {
	log := NewLog(4)
	for _, step := range []struct {
		entry   Entry
		changes bool
	}{
		{loaded(1), true},
		{loaded(1), false},
		{Entry{Key: 1, State: Loaded, Size: mib - 1, Used: 7}, false}, // the same in 64 KiB
		{Entry{Key: 1, State: Loaded, Size: mib + 1, Used: 7}, true},
		{Entry{Key: 2, Size: 9, Used: 9}, false}, // was not there
		{Entry{Key: 3, State: Failed + 1}, false},
		{Entry{Key: 3, State: Queued, Size: -5}, true},
		{Entry{Key: 3}, true},
	} {
		before := log.Stamp()
		if got := log.Set(step.entry); got != step.changes || (log.Stamp() != before) != step.changes {
			t.Errorf("%+v: changes %v, stamp %+v after %+v", step.entry, got, log.Stamp(), before)
		}
	}
	entries, stamp, ok := log.Since(1)
	want := []Entry{{Key: 1, State: Loaded, Size: mib + SizeUnit, Used: 7}, {Key: 3}}
	if !ok || !reflect.DeepEqual(entries, want) || stamp != log.Stamp() || stamp.Sequence != 4 {
		t.Errorf("since 1: %+v, %+v, %v; want %+v", entries, stamp, ok, want)
	}
	if entries, _ := log.Snapshot(); !reflect.DeepEqual(entries, want[:1]) || log.Len() != 1 {
		t.Errorf("snapshot %+v", entries)
	}
}

func TestLogForgets(t *testing.T) {
	log := NewLog(3)
	for key := range uint64(5) {
		log.Set(loaded(key))
	}
	for after, want := range map[uint64]bool{1: false, 2: true, 5: true, 6: false, math.MaxUint64: false} {
		if _, _, ok := log.Since(after); ok != want {
			t.Errorf("since %d: %v, want %v", after, ok, want)
		}
	}
}

func TestSizes(t *testing.T) {
	for bytes, want := range map[int64]int64{
		math.MinInt64: 0, 0: 0, 1: SizeUnit, SizeUnit: SizeUnit, SizeUnit + 1: 2 * SizeUnit,
		math.MaxInt64: math.MaxUint32 * SizeUnit,
	} {
		log, table := NewLog(1), NewTable()
		log.Set(Entry{Key: 1, State: Loaded, Size: bytes})
		replace(t, table, "a", 1, log)
		if got := table.Copies(1, nil)[0].Size; got != want {
			t.Errorf("%d bytes became %d, want %d", bytes, got, want)
		}
	}
}

func TestDigestIsOfWhatIsHeld(t *testing.T) {
	one, two := NewLog(9), NewLog(9)
	one.Set(loaded(1))
	one.Set(loaded(2))
	two.Set(loaded(3))
	two.Set(loaded(2))
	two.Set(Entry{Key: 3})
	two.Set(loaded(1))
	if one.Stamp().Digest != two.Stamp().Digest {
		t.Error("equal entries, different digests")
	}
	entries, stamp := one.Snapshot()
	if DigestOf(entries) != stamp.Digest {
		t.Error("a digest of the entries is not that of the log")
	}
	for _, e := range []Entry{
		{Key: 1, State: Draining, Size: mib, Used: 7}, {Key: 1, State: Loaded, Size: mib, Used: 8},
		{Key: 1, State: Loaded, Size: 2 * mib, Used: 7}, {Key: 1},
	} {
		before := two.Stamp().Digest
		if two.Set(e); two.Stamp().Digest == before {
			t.Errorf("the digest does not show %+v", e)
		}
	}
}

func TestTableFollows(t *testing.T) {
	table, a, b := NewTable(), NewLog(10), NewLog(10)
	b.Set(loaded(5))
	replace(t, table, "b", 1, b)
	a.Set(Entry{Key: 5, State: Queued})
	a.Set(loaded(6))
	if got := replace(t, table, "a", 1, a); !reflect.DeepEqual(got, []uint64{5, 6}) {
		t.Errorf("a's snapshot changes %v", got)
	}
	into := []Copy{{Host: "z"}}
	want := []Copy{{Host: "z"}, {Host: "a", State: Queued}, {Host: "b", State: Loaded, Size: mib, Used: 7}}
	if got := table.Copies(5, into); !reflect.DeepEqual(got, want) {
		t.Errorf("copies %+v, want %+v", got, want)
	}
	if table.Len() != 3 || table.HeldBy("a") != 2 || table.HeldBy("b") != 1 || table.HeldBy("c") != 0 {
		t.Errorf("%d entries, %d of a", table.Len(), table.HeldBy("a"))
	}

	after := a.Stamp().Sequence
	a.Set(Entry{Key: 6, State: Loaded, Size: mib, Used: 8}) // mere use
	a.Set(Entry{Key: 5, State: Loading})
	a.Set(loaded(9))
	a.Set(Entry{Key: 9})
	if got := follow(t, table, "a", 1, a, after); !reflect.DeepEqual(got, []uint64{5}) {
		t.Errorf("changed %v, want the one with another state", got)
	}
	if got := table.Copies(6, nil); got[0].Used != 8 {
		t.Errorf("the use was lost: %+v", got)
	}
	if !table.Matches("a", 1, a.Stamp()) || table.Matches("a", 2, a.Stamp()) || table.Matches("b", 1, a.Stamp()) || table.Matches("c", 1, Stamp{}) {
		t.Error("the stamps do not match what is there")
	}

	got := slices.Sorted(slices.Values(table.Drop("a")))
	if !reflect.DeepEqual(got, []uint64{5, 6}) || table.Drop("a") != nil {
		t.Errorf("dropping a changes %v", got)
	}
	if left := table.Copies(5, nil); len(left) != 1 || left[0].Host != "b" || table.Len() != 1 || table.HeldBy("a") != 0 {
		t.Errorf("left %+v", left)
	}
}

// A snapshot replaces: what it does not list has gone.
func TestReplaceTellsTheDifference(t *testing.T) {
	table, log, again := NewTable(), NewLog(10), NewLog(10)
	for key := range uint64(6) {
		log.Set(loaded(key))
	}
	replace(t, table, "a", 1, log)
	for key := uint64(2); key < 8; key++ {
		again.Set(loaded(key))
	}
	again.Set(Entry{Key: 4, State: Draining})
	again.Set(Entry{Key: 5, State: Loaded, Size: 2 * mib})
	if got := replace(t, table, "a", 2, again); !reflect.DeepEqual(got, []uint64{0, 1, 4, 6, 7}) {
		t.Errorf("changed %v", got)
	}
	if !table.Matches("a", 2, again.Stamp()) || table.HeldBy("a") != 6 {
		t.Error("the table does not have what the host has")
	}
}

func TestGaps(t *testing.T) {
	log := NewLog(10)
	log.Set(loaded(1))
	base := log.Stamp()
	log.Set(loaded(2))
	entries, next, _ := log.Since(base.Sequence)
	wrong := next
	wrong.Digest++
	advance := func(host string, epoch, after uint64, entries []Entry, stamp Stamp) func(*Table) error {
		return func(table *Table) error {
			_, err := table.Advance(host, epoch, after, entries, stamp)
			return err
		}
	}
	snapshot := func(entries []Entry, stamp Stamp) func(*Table) error {
		return func(table *Table) error {
			_, err := table.Replace("a", 1, entries, stamp)
			return err
		}
	}
	twice := []Entry{loaded(3), loaded(3)}
	for name, test := range map[string]struct {
		do   func(*Table) error
		want Gap
	}{
		"it fits":                {advance("a", 1, base.Sequence, entries, next), ""},
		"unknown":                {advance("b", 1, base.Sequence, entries, next), GapUnknown},
		"restarted":              {advance("a", 2, base.Sequence, entries, next), GapEpoch},
		"came before":            {advance("a", 1, base.Sequence-1, entries, next), GapSequence},
		"something is missing":   {advance("a", 1, next.Sequence, entries, next), GapSequence},
		"backwards":              {advance("a", 1, base.Sequence, nil, Stamp{Digest: base.Digest}), GapSequence},
		"not all changes":        {advance("a", 1, base.Sequence, nil, next), GapDigest},
		"another digest":         {advance("a", 1, base.Sequence, entries, wrong), GapDigest},
		"no such state":          {advance("a", 1, base.Sequence, []Entry{{Key: 2, State: Failed + 1}}, next), GapMalformed},
		"snapshot, other digest": {snapshot(entries, next), GapDigest},
		"snapshot, absent entry": {snapshot([]Entry{{Key: 3}}, Stamp{Sequence: 1}), GapMalformed},
		"snapshot, no state":     {snapshot([]Entry{{Key: 3, State: 77}}, Stamp{Sequence: 1}), GapMalformed},
		"snapshot, twice":        {snapshot(twice, Stamp{Sequence: 2, Digest: DigestOf(twice)}), GapMalformed},
		"snapshot, too many":     {snapshot(make([]Entry, MaxEntries+1), Stamp{}), GapTooMany},
	} {
		t.Run(name, func(t *testing.T) {
			table := NewTable()
			if err := snapshot([]Entry{loaded(1)}, base)(table); err != nil {
				t.Fatal(err)
			}
			err := test.do(table)
			gap, refused := errors.AsType[*GapError](err)
			if refused != (test.want != "") || refused && gap.Why != test.want {
				t.Fatalf("error %v, want %q", err, test.want)
			}
			if refused && (!table.Matches("a", 1, base) || table.Len() != 1 || len(table.Copies(1, nil)) != 1) {
				t.Error("something of it was taken in")
			}
		})
	}
}

// Hosts that come and go for ever take no memory for ever, and nobody's copies become another's.
func TestHostsComeAndGo(t *testing.T) {
	table, stays := NewTable(), NewLog(1)
	for key := range uint64(2000) {
		stays.Set(loaded(key))
	}
	replace(t, table, "stays", 1, stays)
	for i := range 300 {
		id := "pod-" + string(rune('a'+i%26)) + string(rune('a'+i/26))
		log := NewLog(1)
		log.Set(Entry{Key: uint64(i), State: Loading})
		replace(t, table, id, 1, log)
		if got := table.Copies(uint64(i), nil); len(got) != 2 || got[0].Host != id || got[1].Host != "stays" {
			t.Fatalf("with %s: %+v", id, got)
		}
		table.Drop(id)
	}
	if n := len(table.root.Load().hosts); n > 20 {
		t.Errorf("%d hosts are remembered", n)
	}
	if table.Len() != 2000 || table.HeldBy("stays") != 2000 {
		t.Errorf("%d entries", table.Len())
	}
	shards := len(table.root.Load().shards)
	table.Drop("stays")
	if now := len(table.root.Load().shards); now >= shards || table.Len() != 0 {
		t.Errorf("%d shards were %d, %d entries", now, shards, table.Len())
	}
}
