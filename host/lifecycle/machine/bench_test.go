package machine

import (
	"fmt"
	"testing"
	"time"

	"github.com/wasmesh/wasmesh/host/modelcache"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// crowded is a host with so many loaded models of one byte each, all used once, and no room for another.
func crowded(b *testing.B, copies int) (*Machine, time.Time) {
	b.Helper()
	m := New(Config{
		Runtime: "r", Capacity: modelcache.Resources{int64(copies)}, Pulls: copies, Estimates: copies, Loads: copies, Waiters: 2 * copies, History: 2 * copies,
	})
	now := time.Unix(1_700_000_000, 0)
	m.Step(now, RuntimeReady{})
	var rows []*syncv1.Model
	for n := range 2 * copies {
		rows = append(rows, &syncv1.Model{
			Id: fmt.Sprintf("m%05d", n), Runtimes: []string{"elsewhere", "r"}, SizeHint: &syncv1.Resources{HostMemoryBytes: 1},
		})
	}
	m.Step(now, CatalogChanged{Upserts: rows})
	for n := range copies {
		now = now.Add(time.Millisecond)
		loadOne(m, now, n)
	}
	if m.Stats().Loaded != copies {
		b.Fatalf("stats %+v", m.Stats())
	}
	return m, now
}

// loadOne has a request come for a model and everything go well.
func loadOne(m *Machine, now time.Time, n int) {
	events := []Event{Wanted{Model: fmt.Sprintf("m%05d", n), Waiter: WaiterID(m.given.arrival + 1)}}
	for len(events) > 0 {
		ev := events[0]
		events = events[1:]
		for _, effect := range m.Step(now, ev) {
			switch e := effect.(type) {
			case Estimate:
				events = append(events, Estimated{ID: e.ID, Bytes: 1})
			case Pull:
				events = append(events, Pulled{ID: e.ID, Artifact: Artifact{Bytes: 1}})
			case Load:
				events = append(events, LoadDone{ID: e.ID})
			case Unload:
				events = append(events, Unloaded{ID: e.ID})
			case RemoveFiles:
				events = append(events, FilesRemoved(e))
			case Wake:
				e.Copy.Release()
			}
		}
	}
}

// BenchmarkEviction is a whole load that evicts, with 10,000 copies on the host: what the executor's goroutine works for
// each miss, the policy aside.
func BenchmarkEviction(b *testing.B) {
	const copies = 10_000
	m, now := crowded(b, copies)
	n := copies
	for b.Loop() {
		now = now.Add(time.Millisecond)
		loadOne(m, now, n%(2*copies))
		n++
	}
}

// BenchmarkSurvey is the look at 10,000 copies that comes each second, when none came or went.
func BenchmarkSurvey(b *testing.B) {
	m, now := crowded(b, 10_000)
	m.Step(now, Survey{})
	for b.Loop() {
		m.Step(now, Survey{})
	}
}
