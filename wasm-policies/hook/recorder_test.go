package hook

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
	"github.com/wasmesh/wasmesh/wasm-policies/builtin"
	"github.com/wasmesh/wasmesh/wasm-policies/hook/hooktest"
)

// pattern is a request's bytes that tell whose they are.
func pattern(id uint64, size int) []byte {
	var eight [8]byte
	binary.LittleEndian.PutUint64(eight[:], id*0x9e3779b97f4a7c15)
	return bytes.Repeat(eight[:], size/8+1)[:size]
}

// FuzzRecorder holds the ring against a list of everything that was ever recorded: what the ring still has are the newest,
// without a gap, whole, and as many as its bytes hold.
func FuzzRecorder(f *testing.F) {
	f.Add(uint16(1000), []byte{1, 2, 3, 40, 50, 60, 255, 255, 1, 1, 1, 128})
	f.Add(uint16(64), bytes.Repeat([]byte{8}, 300))
	f.Add(uint16(300), bytes.Repeat([]byte{255, 1, 30}, 50))
	f.Fuzz(func(t *testing.T, arena uint16, sizes []byte) {
		r := newRecorder(int(arena)+1, 1)
		var twin []uint64
		length := make(map[uint64]int)
		for _, size := range sizes {
			n := int(size)*3 + 1
			s := r.reserve(n, true)
			if fits := n <= int(arena)+1; fits != (s.entry >= 0) {
				t.Fatalf("%d bytes in %d: recorded %v", n, int(arena)+1, !fits)
			} else if !fits {
				continue
			}
			copy(s.bytes, pattern(s.id, n))
			r.commit(s, decided{})
			twin = append(twin, s.id)
			length[s.id] = n
			kept, total := 0, 0
			r.each(func(e *entry, request []byte) bool {
				want := twin[len(twin)-1-kept]
				if e.id != want || !bytes.Equal(request, pattern(want, length[want])) {
					t.Fatalf("entry %d is decision %d with %d bytes, want %d with %d as they were written", kept, e.id, len(request), want, length[want])
				}
				kept++
				total += len(request)
				return true
			})
			// What does not fit is at most what had to make room, and the end that a request did not fit into.
			if kept < len(twin) && kept < len(r.entries) && total+3*3*256 < int(arena) {
				t.Fatalf("only %d of %d bytes are used", total, int(arena)+1)
			}
		}
	})
}

func TestRecorderUnderConcurrency(t *testing.T) {
	r := newRecorder(64<<10, 1)
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := range 2000 {
				n := 100 + (i*37+worker*1000)%5000
				s := r.reserve(n, true)
				if s.entry < 0 {
					continue
				}
				copy(s.bytes, pattern(s.id, n))
				r.commit(s, decided{model: "m"})
				r.amend(s.id, func(d *decided) { d.effect = "noted" })
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		last := ^uint64(0)
		r.each(func(e *entry, request []byte) bool {
			if e.id >= last || !bytes.Equal(request, pattern(e.id, len(request))) {
				t.Errorf("decision %d after %d, or with another's bytes", e.id, last)
				return false
			}
			last = e.id
			return true
		})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.arena) != 64<<10 || len(r.entries) != minEntries || r.count == 0 {
		t.Fatalf("arena %d, table %d, %d entries", len(r.arena), len(r.entries), r.count)
	}
}

// What is read while decisions are taken, in a ring that they go round again and again, is whole and what was asked: by
// whoever looks at records, by the trial of another generation, and by shadows.
func TestReadingWhileDeciding(t *testing.T) {
	e := newEngine(t)
	for _, arena := range []int{3000, 50_000} {
		h := newHook(t, policyabi.HookEvict, func(c *Config) { c.RecorderBytes = arena })
		h.Activate(generation(t, e, "live", hooktest.Module{}))
		shadow := &fake{answer: func(memory []byte) (int, uint64, error) {
			if _, err := policyabi.DecodeEvictRequest(memory); err != nil {
				t.Errorf("a shadow was asked %v", err)
			}
			return inOrder(memory)
		}}
		h.Shadow(newGeneration(meta("shadow"), shadow))
		var deciding sync.WaitGroup
		for worker := range 3 {
			deciding.Go(func() {
				for i := range 400 {
					request := evictRequest((i*7 + worker) % 23)
					request.Context.Name = fmt.Sprintf("model-%d-%d", worker, i)
					d := h.Evict(request, About{Model: request.Context.Name, Passing: i%10 == 0})
					h.Note(d.Decision, "noted", []string{"victim"})
				}
			})
		}
		done := make(chan struct{})
		go func() { deciding.Wait(); close(done) }()
		check := func(encoded []byte, model string) {
			if r, err := policyabi.DecodeEvictRequest(encoded); err != nil || r.Context.Name != model {
				t.Errorf("decision about %s: request %v, %v", model, r, err)
			}
		}
		for running := true; running; {
			select {
			case <-done:
				running = false
			default:
			}
			for _, record := range h.Records(Filter{}) {
				check(record.GetRequest(), record.GetModelId())
			}
			for _, r := range h.replays() {
				_, model, _ := strings.Cut(r.request.Name, "about ")
				check(r.request.Bytes, model)
			}
		}
	}
}

// A slot that is being written is not reused: the next decision goes unrecorded, and is numbered all the same.
func TestRecorderWaitsForNobody(t *testing.T) {
	r := newRecorder(1000, 1)
	slow := r.reserve(600, true)
	next := r.reserve(600, true)
	if next.entry >= 0 || next.id <= slow.id {
		t.Fatalf("got %+v beside a slot that is being written", next)
	}
	r.amend(slow.id, func(*decided) { t.Error("amended before it was committed") })
	r.commit(slow, decided{})
	r.commit(next, decided{})
	if after := r.reserve(600, true); after.entry < 0 {
		t.Fatal("not recorded though there is room")
	}
}

func TestRecordsAreFiltered(t *testing.T) {
	h := newHook(t, policyabi.HookEvict, nil)
	var ids []uint64
	for _, model := range []string{"a", "b", "a", "c"} {
		ids = append(ids, h.Evict(evictRequest(2), About{Model: model}).Decision)
	}
	h.Note(ids[1], "made room", []string{"a", "x"})
	h.Note(ids[1], "", []string{"y"})
	h.Note(12345, "nothing", nil)
	for _, test := range []struct {
		filter Filter
		want   []uint64
	}{
		{Filter{}, []uint64{ids[3], ids[2], ids[1], ids[0]}},
		{Filter{Limit: 2}, []uint64{ids[3], ids[2]}},
		{Filter{Model: "a"}, []uint64{ids[2], ids[1], ids[0]}},
		{Filter{Model: "a", Limit: 2}, []uint64{ids[2], ids[1]}},
		{Filter{Model: "y"}, []uint64{ids[1]}},
		{Filter{Model: "unknown"}, nil},
	} {
		var got []uint64
		for _, record := range h.Records(test.filter) {
			got = append(got, record.GetId())
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%+v: %v, want %v", test.filter, got, test.want)
		}
	}
	record := h.Records(Filter{Model: "x"})[0]
	if record.GetEffect() != "made room" || !slices.Equal(record.GetVictims(), []string{"a", "x", "y"}) || record.GetHostId() != "host-0" || record.GetHook() != "evict" {
		t.Errorf("record %v", record)
	}
	if _, err := policyabi.DecodeEvictRequest(record.GetRequest()); err != nil {
		t.Errorf("the recorded request cannot be read: %v", err)
	}
}

func TestLongTextsAndManyVictimsAreCut(t *testing.T) {
	h := newHook(t, policyabi.HookEvict, nil)
	d := h.Evict(evictRequest(1), About{Model: strings.Repeat("ä", maxText)}).Decision
	for range 3 {
		h.Note(d, strings.Repeat("x", 10*maxText), make([]string, 200))
	}
	record := h.Records(Filter{})[0]
	if len(record.GetEffect()) != maxText || len(record.GetVictims()) != maxVictims || len(record.GetModelId()) > maxText {
		t.Fatalf("effect of %d bytes, %d victims, id of %d bytes", len(record.GetEffect()), len(record.GetVictims()), len(record.GetModelId()))
	}
	if !strings.HasSuffix(record.GetModelId(), "ä") {
		t.Fatal("cut within a character")
	}
}

func TestEnvelopeHitsAreTheGenerations(t *testing.T) {
	observer := newCounting()
	h := newHook(t, policyabi.HookEvict, func(c *Config) { c.Observer = observer })
	g := newGeneration(meta("g1"), &fake{answer: inOrder})
	h.Activate(g)
	d := h.Evict(evictRequest(2), About{})
	h.Note(d.Decision, "nothing evicted", nil)
	h.Envelope(d.Decision, "in flight")
	h.Envelope(999, "unknown decision")
	if f := g.Figures(newClock().now()); f.EnvelopeHits != 1 || observer.event(EnvelopeHit) != 2 {
		t.Fatalf("figures %+v, observed %v", f, observer.events)
	}
	if effect := h.Records(Filter{})[0].GetEffect(); effect != "nothing evicted; limit: in flight" {
		t.Fatalf("effect %q", effect)
	}
}

func TestNewestFirst(t *testing.T) {
	records := []*syncv1.Decision{{TimeMs: 1, Id: 1}, {TimeMs: 3, Id: 2}, {TimeMs: 2, Id: 9}, {TimeMs: 3, Id: 5}}
	slices.SortFunc(records, NewestFirst)
	for i, want := range []uint64{5, 2, 9, 1} {
		if records[i].GetId() != want {
			t.Fatalf("place %d has decision %d, want %d", i, records[i].GetId(), want)
		}
	}
}

// A question that is asked again and again does not push out decisions that something came of.
func TestPassingQuestionsAreNotRecorded(t *testing.T) {
	h, err := New(Config{Hook: policyabi.HookEvict, BuiltIn: builtin.Default(policyabi.HookEvict), Host: "h"})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	request := &policyabi.EvictRequest{Rows: []policyabi.EvictRow{{CopyID: 1, Name: "a"}}}
	kept := h.Evict(request, About{Model: "m"})
	passing := h.Evict(request, About{Model: "m", Passing: true})
	if len(passing.Answers) != 1 || passing.Decision == kept.Decision {
		t.Errorf("answered %+v after %+v", passing, kept)
	}
	if records := h.Records(Filter{}); len(records) != 1 || records[0].GetId() != kept.Decision {
		t.Errorf("records %v, want only decision %d", records, kept.Decision)
	}
}
