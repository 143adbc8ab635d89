package modelcache

import (
	"errors"
	"reflect"
	"testing"
	"time"
)

var start = time.Unix(1_700_000_000, 0)

func memory(n int64) Resources { return Resources{HostMemory: n} }

// loaded makes a ledger of this capacity that holds copies 1, 2, ... of these sizes, each used a second after the last.
func loaded(t *testing.T, capacity int64, sizes ...int64) (*Ledger, []*Copy) {
	t.Helper()
	l := New(memory(capacity))
	var copies []*Copy
	for i, size := range sizes {
		r, victims, err := l.Reserve(CopyID(i+1), memory(size), nil)
		if err != nil || len(victims) != 0 {
			t.Fatalf("reserve %d: %v, victims %v", size, err, victims)
		}
		at := start.Add(time.Duration(i) * time.Second)
		c, err := r.Commit(at, at, Keep{})
		if err != nil {
			t.Fatal(err)
		}
		copies = append(copies, c)
	}
	return l, copies
}

func (l *Ledger) byRecency() []CopyID { return recency(start.Add(time.Hour), l.Snapshot()) }

func TestReserveTakesAsFewVictimsAsTheOrderAllows(t *testing.T) {
	tests := []struct {
		name  string
		sizes []int64 // Least recently used first; what is left of 100 is free.
		need  int64
		want  []CopyID
	}{
		{"free memory first", []int64{30, 30}, 40, nil},
		{"the first in order suffices", []int64{40, 30, 30}, 30, []CopyID{1}},
		{"two of three", []int64{30, 30, 40}, 50, []CopyID{1, 2}},
		{"free memory counts", []int64{30, 30}, 60, []CopyID{1}},
		{"one that turns out unnecessary stays", []int64{10, 80, 10}, 70, []CopyID{2}},
		{"the most recently used of the unnecessary stays", []int64{10, 50, 40}, 50, []CopyID{2}},
		{"everything", []int64{30, 30, 40}, 100, []CopyID{1, 2, 3}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l, _ := loaded(t, 100, test.sizes...)
			r, victims, err := l.Reserve(9, memory(test.need), l.byRecency())
			if err != nil {
				t.Fatal(err)
			}
			if got := victimIDs(victims); !reflect.DeepEqual(got, test.want) {
				t.Fatalf("victims %v, want %v", got, test.want)
			}
			for _, v := range victims {
				if r.Ready() {
					t.Fatal("ready before the last victim was unloaded")
				}
				l.Unloaded(v.ID)
			}
			if !r.Ready() {
				t.Fatal("not ready although every victim was unloaded")
			}
		})
	}
}

func TestReserveLeavesAloneWhatMayNotGo(t *testing.T) {
	l, copies := loaded(t, 100, 20, 20, 20, 20, 20)
	copies[0].Acquire(start)
	l.SetKeep(2, Keep{Pinned: true})
	l.Drain(3)

	_, _, err := l.Reserve(9, memory(70), l.byRecency())
	refused, ok := errors.AsType[*NoRoomError](err)
	if !ok {
		t.Fatalf("err = %v, want *NoRoomError", err)
	}
	if want := (NoRoomError{Need: memory(70), Free: memory(20), Evictable: memory(40), Missing: memory(50)}); *refused != want {
		t.Fatalf("refused with %+v, want %+v", *refused, want)
	}
	if s := l.Stats(); s.Copies != 4 || s.Draining != memory(20) {
		t.Fatalf("a refused reservation changed the ledger: %+v", s)
	}
	r, victims, err := l.Reserve(9, memory(60), l.byRecency())
	if err != nil || !reflect.DeepEqual(victimIDs(victims), []CopyID{4, 5}) {
		t.Fatalf("victims %v, err %v; want 4 and 5 beside what is on its way", victimIDs(victims), err)
	}
	for _, id := range []CopyID{3, 4, 5} {
		l.Unloaded(id)
	}
	if !r.Ready() {
		t.Fatal("not ready")
	}
}

func TestRefusedReservationHearsOfTheNextIdleCopy(t *testing.T) {
	l, copies := loaded(t, 100, 50, 50)
	copies[0].Acquire(start)
	copies[0].Acquire(start)
	copies[1].Acquire(start)
	if copies[1].Release() {
		t.Fatal("told although nobody asked")
	}
	if _, _, err := l.Reserve(9, memory(100), l.byRecency()); kindOf(err) != "no room" {
		t.Fatal(err)
	}
	if copies[0].Release() {
		t.Fatal("told while another request is in flight")
	}
	if !copies[0].Release() {
		t.Fatal("the last release did not tell")
	}
	if _, victims, err := l.Reserve(9, memory(100), l.byRecency()); err != nil || len(victims) != 2 {
		t.Fatalf("victims %v, err %v", victims, err)
	}
}

func TestNeverFitsSaysBothNumbers(t *testing.T) {
	l := New(Resources{HostMemory: 3 << 30, Slots: 4})
	_, _, err := l.Reserve(1, Resources{HostMemory: 5 << 30, Slots: 1}, nil)
	if err == nil || err.Error() != "needs 5.0 GiB and 1 slots, more than the whole capacity of 3.0 GiB and 4 slots" {
		t.Fatalf("err = %v", err)
	}
	if _, _, err := l.Reserve(1, Resources{HostMemory: 1, DeviceMemory: 1 << 62}, nil); err != nil {
		t.Fatalf("a dimension without capacity was counted: %v", err)
	}
}

func TestOneLargeVictimServesTwoReservations(t *testing.T) {
	l, _ := loaded(t, 100, 100)
	first, victims, err := l.Reserve(2, memory(30), l.byRecency())
	if err != nil || len(victims) != 1 {
		t.Fatalf("victims %v, err %v", victims, err)
	}
	second, victims, err := l.Reserve(3, memory(70), l.byRecency())
	if err != nil || len(victims) != 0 {
		t.Fatalf("victims %v, err %v", victims, err)
	}
	if _, _, err := l.Reserve(4, memory(1), l.byRecency()); kindOf(err) != "no room" {
		t.Fatalf("memory on its way was promised twice: %v", err)
	}
	l.Unloaded(1)
	if !first.Ready() || !second.Ready() {
		t.Fatal("not ready")
	}
}

func TestFull(t *testing.T) {
	l, _ := loaded(t, 100, 60)
	if l.Full() || l.Free() != memory(40) {
		t.Fatalf("full with %v free", l.Free())
	}
	if _, _, err := l.Reserve(8, memory(40), nil); err != nil {
		t.Fatal(err)
	}
	if !l.Full() {
		t.Fatalf("not full with %v free", l.Free())
	}
	l.Drain(1)
	if l.Full() || l.Free() != memory(60) {
		t.Fatalf("what is on its way does not count as free: %v", l.Free())
	}
	if New(Resources{}).Full() {
		t.Fatal("full without any bound")
	}
}

func TestMemoryGoesToTheOldestReservation(t *testing.T) {
	l, _ := loaded(t, 100, 50, 50)
	first, _, _ := l.Reserve(8, memory(50), []CopyID{1})
	second, _, _ := l.Reserve(9, memory(50), []CopyID{2})
	l.Unloaded(2)
	if !first.Ready() || second.Ready() {
		t.Fatalf("first %v, second %v; want the older one served first", first.Ready(), second.Ready())
	}
	first.Abort()
	if !second.Ready() {
		t.Fatal("aborted memory did not reach the reservation that waits")
	}
}

func TestGrowthBeyondTheReservation(t *testing.T) {
	l, copies := loaded(t, 100, 40)
	r, _, err := l.Reserve(2, memory(50), nil)
	if err != nil {
		t.Fatal(err)
	}
	victims, err := r.Resize(memory(70), l.byRecency())
	if err != nil || !reflect.DeepEqual(victimIDs(victims), []CopyID{1}) {
		t.Fatalf("victims %v, err %v", victims, err)
	}
	if _, err := r.Commit(start, start, Keep{}); !errors.Is(err, ErrNotReady) {
		t.Fatalf("commit before the victim was unloaded: %v", err)
	}
	if copies[0].Acquire(start) {
		t.Fatal("a claimed copy takes requests")
	}
	l.Unloaded(1)
	if _, err := r.Commit(start, start, Keep{}); err != nil {
		t.Fatal(err)
	}
	if s := l.Stats(); s.Used != memory(70) || s.Reserved != memory(0) {
		t.Fatalf("stats %+v", s)
	}
}

func TestStalledVictimIsReplaced(t *testing.T) {
	l, _ := loaded(t, 100, 50, 50)
	r, _, _ := l.Reserve(9, memory(50), l.byRecency())
	victims, ok := l.Stall(1, l.byRecency())
	if !ok || !reflect.DeepEqual(victimIDs(victims), []CopyID{2}) {
		t.Fatalf("victims %v, want 2 in place of the one that would not go", victimIDs(victims))
	}
	if victims, ok := l.Stall(2, l.byRecency()); ok || len(victims) != 0 {
		t.Fatalf("victims %v, %v, though nothing is left to go", victimIDs(victims), ok)
	}
	l.Unloaded(2)
	if !r.Ready() {
		t.Fatal("not ready")
	}
	if s := l.Stats(); s.Draining != memory(50) {
		t.Fatalf("the stalled copy no longer counts: %+v", s)
	}
}

func TestResourcesString(t *testing.T) {
	for want, r := range map[string]Resources{
		"0 B":                      {},
		"1023 B":                   {HostMemory: 1023},
		"1.5 KiB":                  {HostMemory: 1536},
		"20.0 GiB":                 {HostMemory: 20 << 30},
		"1.0 MiB of device memory": {DeviceMemory: 1 << 20},
		"8.0 EiB and 2 slots":      {HostMemory: 1<<63 - 1, Slots: 2},
	} {
		if got := r.String(); got != want {
			t.Errorf("%#v = %q, want %q", r, got, want)
		}
	}
}
