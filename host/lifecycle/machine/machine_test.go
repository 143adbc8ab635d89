package machine

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/host/route"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// Ten thousand models are created at once on a full host: none of them holds up a request, no step looks at more than
// its share, and in the end all of them are on standby.
func TestManyCreationsDoNotDisturb(t *testing.T) {
	const created = 10_000
	m := New(Config{Runtime: "r", Capacity: modelcache.Resources{10}})
	now := time.Unix(1_700_000_000, 0)
	row := func(id string) *syncv1.Model {
		return &syncv1.Model{Id: id, Runtimes: []string{"r"}, SizeHint: &syncv1.Resources{HostMemoryBytes: 10}}
	}
	m.Step(now, RuntimeReady{})
	m.Step(now, CatalogChanged{Upserts: []*syncv1.Model{row("served")}})
	m.Step(now, Wanted{Model: "served", Waiter: 1})
	answerAll(t, m, now)

	var rows []*syncv1.Model
	for n := range created {
		rows = append(rows, row(fmt.Sprintf("m%04d", n)))
	}
	effects := m.Step(now, CatalogChanged{Upserts: rows})
	queued, steps := m.Stats().Queued, 0
	if queued < created-considerPerStep {
		t.Fatalf("the first step settled %d models, more than its share", created-queued)
	}
	for ; m.Stats().Queued > 0; steps++ {
		at, ok := timerOf(effects)
		if !ok || at.After(now) {
			t.Fatalf("%d models are queued and no step is due", m.Stats().Queued)
		}
		if woken := m.Step(now, Wanted{Model: "served", Waiter: WaiterID(2 + steps)}); len(woken) == 0 || !served(woken[0]) {
			t.Fatalf("a request for a loaded model was answered with %v", woken)
		}
		effects = m.Step(now, Tick{})
		if steps > created {
			t.Fatal("no progress")
		}
	}
	if stats := m.Stats(); stats.Loaded != 1 || stats.Managed != created+1 || stats.Running != 0 {
		t.Fatalf("stats %+v", stats)
	}
}

func timerOf(effects []Effect) (at time.Time, ok bool) {
	for _, effect := range effects {
		if timer, is := effect.(SetTimer); is {
			at, ok = timer.At, true
		}
	}
	return at, ok
}

func served(effect Effect) bool {
	wake, ok := effect.(Wake)
	return ok && wake.Copy != nil
}

// answerAll has everything that is under way succeed.
func answerAll(t *testing.T, m *Machine, now time.Time) {
	t.Helper()
	for id := modelcache.CopyID(1); id <= m.given.id; id++ {
		m.Step(now, Estimated{ID: id, Bytes: 1})
		m.Step(now, Pulled{ID: id, Artifact: Artifact{Bytes: 1}})
		m.Step(now, LoadDone{ID: id})
	}
	if m.Stats().Running != 0 {
		t.Fatalf("stats %+v", m.Stats())
	}
}

func TestBackoff(t *testing.T) {
	for _, test := range []struct {
		cause Cause
		want  []time.Duration
	}{
		{BadModel, []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second, 40 * time.Second}},
		{StorageUnavailable, []time.Duration{time.Second, 2 * time.Second, 4 * time.Second}},
	} {
		for i, want := range test.want {
			if got := backoff(test.cause, i+1); got != want {
				t.Errorf("pause after failure %d of cause %d: %v, want %v", i+1, test.cause, got, want)
			}
		}
	}
	if got := backoff(BadModel, 1<<30); got != 15*time.Minute {
		t.Errorf("longest pause %v", got)
	}
	if got := backoff(StorageUnavailable, 1<<30); got != 30*time.Second {
		t.Errorf("longest pause for storage %v", got)
	}
}

func TestRefusalSaysWhenToComeBack(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	f := &Failure{
		Reason: syncv1.FailureReason_FAILURE_REASON_MODEL_LOAD_FAILED, Message: "no such bucket",
		RetryAt: now.Add(90 * time.Second), Attempts: 3,
	}
	err := f.refusal("m", now)
	if err.Outcome != route.LoadFailed || err.RetryAfter != 90*time.Second {
		t.Fatalf("outcome %v, retry after %v", err.Outcome, err.RetryAfter)
	}
	if want := `model "m" failed to load: no such bucket (attempt 3; tried again in 1m30s)`; err.Message != want {
		t.Fatalf("message %q, want %q", err.Message, want)
	}
}

// A row may state any number; none of them may wrap around into one that fits.
func TestSizesDoNotWrap(t *testing.T) {
	for _, hint := range []uint64{1<<63 - 1, 1 << 63, 1<<64 - 1} {
		m := New(Config{Runtime: "r", Capacity: modelcache.Resources{1 << 40}})
		now := time.Unix(1_700_000_000, 0)
		m.Step(now, RuntimeReady{})
		m.Step(now, CatalogChanged{Upserts: []*syncv1.Model{{
			Id: "m", Runtimes: []string{"r"}, SizeHint: &syncv1.Resources{HostMemoryBytes: hint},
		}}})
		m.Step(now, Estimated{ID: 1, Bytes: 1})
		if stats := m.Stats(); stats.Failed != 1 {
			t.Errorf("a model of %d bytes was taken: %+v", hint, stats)
		}
	}
	m := New(Config{})
	for _, bytes := range []int64{1<<63 - 1, 1 << 62, (1<<63 - 1) / 5 * 4} {
		if got := m.inMemory(bytes); got < bytes {
			t.Errorf("%d bytes on disk need %d in memory", bytes, got)
		}
	}
}

// However often homes change, each model is looked at in its turn.
func TestReviewsGoOn(t *testing.T) {
	mesh := &scriptMesh{home: map[uint64]bool{}, elsewhere: map[uint64]int{}}
	m := New(Config{Runtime: "r", Capacity: modelcache.Resources{1000}, Mesh: mesh})
	now := time.Unix(1_700_000_000, 0)
	m.Step(now, RuntimeReady{})
	var rows []*syncv1.Model
	for i := range 3 * considerPerStep {
		row := &syncv1.Model{Id: fmt.Sprintf("m%04d", i), Runtimes: []string{"r"}}
		mesh.home[key(row.Id)] = false
		rows = append(rows, row)
	}
	m.Step(now, CatalogChanged{Upserts: rows})
	clear(mesh.home)
	offered := 0
	for range 4 {
		for _, effect := range m.Step(now, MeshChanged{All: true}) {
			if p, ok := effect.(Publish); ok && p.State == Queued {
				offered++
			}
		}
	}
	if offered < len(rows) {
		t.Errorf("%d of %d models looked at", offered, len(rows))
	}
}

// What is looked up about all copies at once is what asking about each of them says.
func TestReplacesSome(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	for seed := range uint64(2000) {
		random := rand.New(rand.NewPCG(seed, 1))
		m := New(Config{Runtime: "r", Capacity: modelcache.Resources{10}})
		m.step = step{now: now, copies: []modelcache.CopyInfo{}}
		ago := func() time.Time { return now.Add(-time.Duration(random.IntN(4)) * 30 * time.Second) }
		for range random.IntN(4) {
			m.step.copies = append(m.step.copies, modelcache.CopyInfo{
				LoadedAt: ago(), LastUsed: ago(), InFlight: random.IntN(4) / 3,
				Keep: modelcache.Keep{Pinned: random.IntN(4) == 0, Priority: int32(random.IntN(2))},
			})
		}
		if random.IntN(8) == 0 {
			m.background.evictions = quota{since: now, used: m.config.Envelope.EvictionsPerMinute}
		}
		for range 3 {
			mo := &model{use: usage{last: ago()}, row: &syncv1.Model{
				Knobs: &syncv1.Knobs{Pinned: random.IntN(8) == 0, Priority: int32(random.IntN(2))},
			}}
			if got, want := m.replacesSome(mo), slices.ContainsFunc(m.step.copies, m.mayReplace(mo)); got != want {
				t.Fatalf("seed %d: %v, want %v, for a model used at %v with %+v among %+v", seed, got, want, mo.use.last, mo.keep(), m.step.copies)
			}
		}
	}
}

// What another host says of a model's size holds until it says otherwise: its first word may have been a guess.
func TestTheLastWordForASizeHolds(t *testing.T) {
	m := New(Config{Runtime: "r", Capacity: modelcache.Resources{100}})
	now := time.Unix(1_700_000_000, 0)
	m.Step(now, CatalogChanged{Upserts: []*syncv1.Model{{Id: "m", Runtimes: []string{"else", "r"}}}})
	for _, size := range []int64{1, 50} {
		m.Step(now, Remembered{Models: []Remember{{Model: "m", Size: modelcache.Resources{size}}}})
	}
	if need := m.need(m.models["m"]); need[modelcache.HostMemory] != 50 {
		t.Errorf("expected to take %d, told 50", need[modelcache.HostMemory])
	}
}
