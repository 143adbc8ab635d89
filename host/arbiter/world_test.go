package arbiter

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/wasmesh/wasmesh/host/members"
	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/host/peers/residency"
	"github.com/wasmesh/wasmesh/host/placement"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// world is a mesh without rules: hosts take, refuse, fail, forget and fall silent as they like. What holds of a Machine
// in it holds anywhere.
type world struct {
	t *testing.T
	*rand.Rand
	m, twin  *Machine // Fed the same, they must answer the same.
	now      time.Time
	timer    time.Time
	hosts    map[string]*members.Member
	seen     *members.View // hosts; nil when they have changed.
	rows     map[string]*syncv1.Model
	copies   map[uint64]map[string]residency.Copy
	failures map[string]*syncv1.Failure

	open     map[AskID]PlaceAsked
	asks     AskID
	reserves []Reserve // Without an answer, in order.
	sent     int
	out      map[string]sent // The Reserve of each model that counts.
	releases []Release
	ticks    int
}

// sent is a Reserve, and the host as it was then.
type sent struct {
	Reserve
	at    time.Time
	epoch uint64
}

var (
	worldHosts  = []string{"a", "b", "c", "d", "e"}
	worldModels = []string{"m0", "m1", "m2", "m3"}
)

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{
		t: t, Rand: rand.New(rand.NewPCG(seed, 7)), now: time.UnixMilli(1_700_000_000_000), hosts: map[string]*members.Member{},
		rows: map[string]*syncv1.Model{}, copies: map[uint64]map[string]residency.Copy{}, failures: map[string]*syncv1.Failure{},
		open: map[AskID]PlaceAsked{}, out: map[string]sent{},
	}
	config := Config{
		Self: "a", View: w.view, Copies: w.copiesOf, AsksPerModel: 8, Background: 2, History: 3,
		Failure: func(key uint64, host string) *syncv1.Failure { return w.failures[fmt.Sprint(key, host)] },
		Place: func(now time.Time, model placement.Model, hosts []placement.Host) placement.Decision {
			// What it names depends on what it is asked alone, so that both machines are told the same.
			request := placement.Ask(now, model.Asker, model, hosts)
			var answers []policyabi.PlaceAnswer
			for i := range request.Rows {
				row := (i + int(model.Key%7)) % len(hosts)
				if (uint64(row)+model.Key)%5 != 0 {
					answers = append(answers, policyabi.PlaceAnswer{Row: uint32(row)})
				}
			}
			return placement.Decision{Choice: placement.Choose(model, hosts, answers), ID: 1}
		},
	}
	w.m, w.twin = New(config), New(config)
	return w
}

func (w *world) view() *members.View {
	if w.seen == nil {
		var all []members.Member
		for _, h := range w.hosts {
			all = append(all, *h)
		}
		w.seen = members.NewView("a", all)
	}
	return w.seen
}

func (w *world) copiesOf(key uint64, into []residency.Copy) []residency.Copy {
	copies := w.copies[key]
	for _, host := range slices.Sorted(maps.Keys(copies)) {
		into = append(into, copies[host])
	}
	return into
}

// one of some.
func one[T any](w *world, of []T) T { return of[w.IntN(len(of))] }

func (w *world) some() (hosts []string) {
	for _, h := range worldHosts {
		if w.IntN(4) == 0 {
			hosts = append(hosts, h)
		}
	}
	return hosts
}

// act does one thing at random.
func (w *world) act() {
	switch w.IntN(60) {
	case 0:
		w.advance(time.Duration(w.IntN(90)) * time.Second)
	case 1, 2, 3:
		w.advance(time.Duration(w.IntN(2000)) * time.Millisecond)
	default:
		w.advance(time.Duration(w.IntN(50)) * time.Millisecond)
	}
	switch w.IntN(14) {
	case 0:
		w.changeHost()
	case 1:
		w.changeModel()
	case 2, 3:
		w.changeCopies()
	case 4, 5, 6:
		w.askPlace()
	case 7, 8, 9, 10:
		w.answerReserve()
	case 11:
		w.answerRelease()
	case 12:
		w.reportUse()
	case 13:
		w.step(Remembered{Host: one(w, worldHosts), Usage: []Usage{{
			Key: keyOf(one(w, worldModels)), Size: w.Int64N(150) - 10, LastUsed: w.now.Add(time.Duration(w.IntN(100)-50) * time.Minute),
			Record: modelcache.UsageRecord{At: w.now, Count: w.Float64() * 100}, LoadCost: time.Duration(w.IntN(100)) * time.Second,
		}}})
	}
}

// advance delivers the ticks on the way.
func (w *world) advance(d time.Duration) {
	until := w.now.Add(d)
	for !w.timer.IsZero() && !w.timer.After(until) {
		if w.timer.After(w.now) {
			w.now, w.ticks = w.timer, 0
		}
		if w.ticks++; w.ticks > 50 {
			w.t.Fatalf("it ticks without time going on: %+v", w.m.Stats())
		}
		w.timer = time.Time{}
		w.step(Tick{})
	}
	w.now, w.ticks = until, 0
}

func (w *world) changeHost() {
	id := one(w, worldHosts)
	h := w.hosts[id]
	switch {
	case h == nil:
		h = &members.Member{ID: id, Epoch: 1, Runtime: "r", Zone: one(w, []string{"", "x", "y"})}
		h.Figures.Capacity[modelcache.HostMemory] = 100
		w.hosts[id] = h
	case w.IntN(6) == 0:
		delete(w.hosts, id)
	case w.IntN(6) == 0:
		h.Epoch++
	}
	h.Live, h.Draining = id == "a" || w.IntN(4) > 0, w.IntN(6) == 0
	h.RuntimeReady, h.Warming, h.Arbiter = w.IntN(5) > 0, w.IntN(5) == 0, id == "a" || w.IntN(3) == 0
	h.Figures.Sequence++
	h.Figures.Copies, h.Figures.LoadsQueued = w.IntN(4), w.IntN(3)
	h.Figures.Free[modelcache.HostMemory] = w.Int64N(100)
	maps.DeleteFunc(w.out, func(_ string, s sent) bool {
		return s.Host == id && (w.hosts[id] == nil || !h.Live || h.Epoch != s.epoch)
	})
	w.seen = nil
	w.step(ViewChanged{})
}

func (w *world) changeModel() {
	id := one(w, worldModels)
	if w.rows[id] != nil && w.IntN(4) == 0 {
		delete(w.rows, id)
		delete(w.out, id)
		w.step(CatalogChanged{Removed: []string{id}})
		return
	}
	r := row([]string{id, fmt.Sprint("size=", w.IntN(3)*w.IntN(80)), fmt.Sprint("min=", w.IntN(4)), "runtimes=" + one(w, []string{"r", "r,s", "s"})})
	if r.Knobs.MinCopies == 0 || w.IntN(2) == 0 {
		r.Knobs.MaxCopies = r.Knobs.MinCopies + uint32(w.IntN(3))
	}
	w.rows[id] = r
	w.step(CatalogChanged{Upserts: []*syncv1.Model{r}})
}

func (w *world) setCopy(key uint64, host string, state residency.State) {
	if w.copies[key] == nil {
		w.copies[key] = map[string]residency.Copy{}
	}
	if state == residency.Absent {
		delete(w.copies[key], host)
	} else {
		w.copies[key][host] = residency.Copy{Host: host, State: state, Size: w.Int64N(2) * w.Int64N(90), Used: uint32(w.IntN(5))}
	}
	if state == residency.Failed {
		f := &syncv1.Failure{Message: "bad", TimeMs: w.now.UnixMilli(), Reason: syncv1.FailureReason(1 + w.IntN(3))}
		if w.IntN(3) > 0 {
			f.RetryAtMs = w.now.Add(time.Duration(w.IntN(20)) * time.Second).UnixMilli()
		}
		w.failures[fmt.Sprint(key, host)] = f
	}
	w.step(CopiesChanged{Keys: []uint64{key}})
}

func (w *world) changeCopies() {
	w.setCopy(keyOf(one(w, worldModels)), one(w, worldHosts), residency.State(w.IntN(6)))
}

func (w *world) askPlace() {
	w.asks++
	event := PlaceAsked{
		Ask: w.asks, Model: one(w, worldModels), Purpose: policyabi.Purpose(w.IntN(8)), Exclude: w.some(), PassedOver: w.some(),
		Asker: one(w, worldHosts),
	}
	known := event
	known.Exclude = slices.DeleteFunc(slices.Clone(event.Exclude), func(host string) bool { return w.hosts[host] == nil })
	w.open[event.Ask] = known
	w.step(event)
}

func (w *world) answerReserve() {
	if len(w.reserves) == 0 {
		return
	}
	i := w.IntN(len(w.reserves))
	r := w.reserves[i]
	w.reserves = slices.Delete(w.reserves, i, i+1)
	event := Reserved{ID: r.ID}
	switch w.IntN(6) {
	case 0:
		return // Never answered.
	case 1:
		event.Err = errors.New("reset")
	case 2, 3:
		event.Reason = peerv1.UnplacedReason(w.IntN(8))
		if event.Reason == peerv1.UnplacedReason_UNPLACED_REASON_FAILED {
			event.Failure = &syncv1.Failure{TimeMs: w.now.UnixMilli()}
		}
	default:
		event.Granted, event.State = true, residency.State(1+w.IntN(3))
		if w.IntN(3) > 0 {
			w.setCopy(r.Key, r.Host, event.State)
		}
	}
	if w.IntN(2) == 0 {
		event.Figures = &members.Figures{Sequence: w.Uint64N(100)}
		event.Figures.Free[modelcache.HostMemory], event.Figures.Capacity[modelcache.HostMemory] = w.Int64N(100), 100
	}
	if w.out[r.Model].ID == r.ID {
		delete(w.out, r.Model)
	}
	w.step(event)
}

func (w *world) answerRelease() {
	if len(w.releases) == 0 {
		return
	}
	r := w.releases[0]
	w.releases = w.releases[1:]
	released := w.IntN(3) > 0
	if w.IntN(4) > 0 {
		w.step(Released{ID: r.ID, Released: released})
	}
	if released && w.IntN(4) > 0 {
		w.setCopy(r.Key, r.Host, residency.State(w.IntN(2)*int(residency.Draining)))
	}
}

func (w *world) reportUse() {
	event := UseReported{Host: one(w, worldHosts)}
	for _, m := range worldModels {
		if w.IntN(2) == 0 {
			event.Uses = append(event.Uses, Use{
				Key: keyOf(m), ConcurrencyMilli: w.Uint32N(6000), TargetMilli: w.Uint32N(3) * 700, Steady: w.IntN(4) == 0,
			})
		}
	}
	w.step(event)
}

// step feeds both machines, and checks what they answer.
func (w *world) step(event Event) {
	effects := w.m.Step(w.now, event)
	if twin := w.twin.Step(w.now, event); !reflect.DeepEqual(effects, twin) {
		w.t.Fatalf("%T: the same events, other effects:\n%+v\n%+v", event, effects, twin)
	}
	for _, effect := range effects {
		switch e := effect.(type) {
		case Answer:
			w.answered(e)
		case Reserve:
			w.reserved(e)
		case Release:
			w.released(e)
		case SetTimer:
			w.timer = e.At
		}
	}
	if stats := w.m.Stats(); stats.Asks != len(w.open) || stats.Decisions > len(w.rows) || stats.History > 3 {
		w.t.Fatalf("%d asks are open, of %d models: %+v", len(w.open), len(w.rows), stats)
	}
}

func (w *world) answered(e Answer) {
	for _, id := range e.Asks {
		ask, open := w.open[id]
		if !open {
			w.t.Fatalf("ask %d is answered again, or never was", id)
		}
		delete(w.open, id)
		placed, unplaced := e.Result.Placed, e.Result.Unplaced
		switch {
		case (placed == nil) == (unplaced == nil):
			w.t.Fatalf("ask %d: %+v", id, e.Result)
		case placed != nil && slices.Contains(ask.Exclude, placed.Host):
			w.t.Fatalf("ask %d is sent to host %s, which it excluded", id, placed.Host)
		case unplaced != nil && (unplaced.Reason == 0 || unplaced.Message == ""):
			w.t.Fatalf("ask %d: %+v", id, unplaced)
		case unplaced != nil && unplaced.Reason == peerv1.UnplacedReason_UNPLACED_REASON_ENOUGH && ask.Purpose != policyabi.PurposeScale &&
			ask.Purpose != policyabi.PurposeMinCopies:
			w.t.Fatalf("ask %d for %v: %+v", id, ask.Purpose, unplaced)
		}
	}
}

// staying are the copies that count; those on the host that is left out do not.
func (w *world) staying(key uint64, without string, states ...residency.State) (n int) {
	for host, c := range w.copies[key] {
		if h := w.hosts[host]; h != nil && h.Live && !h.Draining && host != without && slices.Contains(states, c.State) {
			n++
		}
	}
	return n
}

func (w *world) reserved(e Reserve) {
	h, r := w.hosts[e.Host], w.rows[e.Model]
	if h == nil || r == nil || !h.Eligible(r.Runtimes) || h.Draining {
		w.t.Fatalf("%+v on host %+v for %v", e, h, r)
	}
	if held := w.copies[e.Key][e.Host]; holds(held.State) {
		w.t.Fatalf("%+v, which is there: %+v", e, held)
	}
	if most := int(r.Knobs.MaxCopies); most > 0 && (e.Purpose == policyabi.PurposeScale || e.Purpose == policyabi.PurposeMinCopies) {
		if n := w.staying(e.Key, "", residency.Queued, residency.Loading, residency.Loaded); n >= most {
			w.t.Fatalf("%+v on top of %d copies of at most %d", e, n, most)
		}
	}
	// The one before is over: it was answered, took too long, or its host has gone.
	if before, found := w.out[e.Model]; found && w.now.Sub(before.at) < DefaultReserveTimeout {
		w.t.Fatalf("%+v while another is under way: %+v", e, before)
	}
	w.sent++
	w.out[e.Model] = sent{Reserve: e, at: w.now, epoch: h.Epoch}
	w.reserves = append(w.reserves, e)
}

func (w *world) released(e Release) {
	r := w.rows[e.Model]
	keep := max(1, int(r.GetKnobs().GetMinCopies()))
	if most := int(r.GetKnobs().GetMaxCopies()); most > 0 {
		keep = min(keep, most)
	}
	hosts := 0
	for _, h := range w.hosts {
		if h.Eligible(r.GetRuntimes()) && !h.Draining {
			hosts++
		}
	}
	if n := w.staying(e.Key, e.Host, residency.Loaded); n < min(keep, max(hosts, 1)) {
		w.t.Fatalf("%+v leaves %d loaded copies of %d", e, n, keep)
	}
	w.releases = append(w.releases, e)
}

// settle lets time pass with nothing else happening: whoever asked has an answer then, and nothing goes round in circles.
func (w *world) settle() {
	before := w.sent
	w.advance(20 * time.Second)
	if len(w.open) > 0 {
		w.t.Fatalf("asks %v have no answer", slices.Sorted(maps.Keys(w.open)))
	}
	if n := w.sent - before; n > 40*len(worldModels) {
		w.t.Fatalf("%d Reserves in 20 s of quiet", n)
	}
}

func FuzzWorld(f *testing.F) {
	for seed := range uint64(100) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		w := newWorld(t, seed)
		for range 5 {
			w.changeHost()
		}
		for _, m := range worldModels {
			w.rows[m] = row([]string{m, "size=30"})
			w.step(CatalogChanged{Upserts: []*syncv1.Model{w.rows[m]}})
		}
		for range 400 {
			w.act()
		}
		w.settle()
	})
}

// What is not to happen for lack of asking: the random worlds do all of it.
func TestWorldsCoverEverything(t *testing.T) {
	var total Counts
	for seed := range uint64(60) {
		w := newWorld(t, seed)
		for range 300 {
			w.act()
		}
		s := w.m.Stats().Counts
		total.Placed += s.Placed
		total.Refused += s.Refused
		total.Unanswered += s.Unanswered
		total.Released += s.Released
	}
	if total.Placed == 0 || total.Refused == 0 || total.Unanswered == 0 || total.Released == 0 {
		t.Errorf("%+v", total)
	}
}
