package syncserver

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

func TestPublishRefusesUnsortedRows(t *testing.T) {
	for _, rows := range [][]*syncv1.Row{{model("b"), model("a")}, {model("a"), model("a")}} {
		c := NewCatalog(1)
		if changed, err := c.Publish(time.Time{}, rows); err == nil || changed || c.current != nil {
			t.Errorf("published %v and %v: changed %t, error %v", rows[0].Key, rows[1].Key, changed, err)
		}
	}
}

// twin is what the catalog must amount to, kept in the simplest way, with two hosts that follow it at their own pace.
type twin struct {
	t       *testing.T
	catalog *Catalog
	now     time.Time
	wanted  map[string]string
	// unwantedSince holds, of each model that was published and is not wanted, the version and time from which on.
	unwantedSince map[string]leaving
	hosts         [2]follower
}

type leaving struct {
	version *syncv1.Version
	at      time.Time
}

// follower applies steps as a host does; at is the snapshot up to which it has.
type follower struct {
	at    *snapshot
	rows  map[string]string
	acked *syncv1.Version
}

// fuzzRows takes three bits for each of four models, value 0 for absent, and two for each of two aliases.
func fuzzRows(choice uint16) (rows []*syncv1.Row) {
	for i := range 2 {
		if value := choice >> (12 + 2*i) & 3; value > 0 {
			rows = append(rows, alias(fmt.Sprint("a", i), fmt.Sprint(value)))
		}
	}
	for i := range 4 {
		if value := choice >> (3 * i) & 7; value > 0 {
			rows = append(rows, modelIn("default", fmt.Sprint("m", i), fmt.Sprint(value)))
		}
	}
	return rows
}

func (w *twin) publish(choice uint16) {
	rows := fuzzRows(choice)
	changed, err := w.catalog.Publish(w.now, rows)
	if err != nil {
		w.t.Fatal(err)
	}
	if changed {
		w.checkSince()
	}
	before := w.wanted
	w.wanted = map[string]string{}
	for _, row := range rows {
		w.wanted[row.Key] = fmt.Sprint(row.Value)
		delete(w.unwantedSince, row.Key)
	}
	for key := range before {
		if _, still := w.wanted[key]; !still && strings.HasPrefix(key, "model/") {
			w.unwantedSince[key] = leaving{w.catalog.current.version, w.now}
		}
	}
}

func (w *twin) sweep() {
	all := func(_ string, v *syncv1.Version) bool {
		return compareVersions(w.hosts[0].acked, v) >= 0 && compareVersions(w.hosts[1].acked, v) >= 0
	}
	w.catalog.Sweep(w.now, all)
	for key, l := range w.unwantedSince {
		if all("", l.version) || w.now.Sub(l.at) >= retireAfter {
			delete(w.unwantedSince, key)
		}
	}
}

// check compares the catalog with the twin: what is wanted with its value, and what is leaving.
func (w *twin) check() {
	w.t.Helper()
	got := map[string]bool{}
	for _, e := range w.catalog.current.entries {
		got[e.row.Key] = true
		if value, wanted := w.wanted[e.row.Key]; wanted && value != fmt.Sprint(e.row.Value) {
			w.t.Errorf("row %s has value %v, want %s", e.row.Key, e.row.Value, value)
		}
	}
	want := map[string]bool{}
	for key := range w.wanted {
		want[key] = true
	}
	for key := range w.unwantedSince {
		want[key] = true
	}
	if !maps.Equal(got, want) {
		w.t.Errorf("catalog holds %v, want %v", got, want)
	}
}

// checkSince: a row whose value is new is of this version, any other of an older one.
func (w *twin) checkSince() {
	for _, e := range w.catalog.current.entries {
		value, published := w.wanted[e.row.Key]
		isNew := e.since == w.catalog.current.version
		if same := published && value == fmt.Sprint(e.row.Value); same && isNew {
			w.t.Errorf("row %s is called new though its value is old", e.row.Key)
		}
	}
}

// follow takes a host to the present version and, perhaps, has it acknowledge.
func (w *twin) follow(h *follower, acknowledge bool) {
	current := w.catalog.current
	var d delta
	if h.at == nil {
		d.upserts = current.entries
	} else {
		d = current.since(h.at)
	}
	for _, e := range d.upserts {
		h.rows[e.row.Key] = string(e.row.Digest)
	}
	for _, e := range d.removed {
		delete(h.rows, e.row.Key)
	}
	h.at = current
	want := map[string]string{}
	for _, e := range current.entries {
		want[e.row.Key] = string(e.row.Digest)
	}
	if !maps.Equal(h.rows, want) {
		w.t.Errorf("a host that follows holds %d rows, the catalog %d", len(h.rows), len(want))
	}
	if acknowledge {
		h.acked = current.version
	}
}

// Whatever is published, acknowledged and waited for, in whatever order, the catalog holds what is wanted and what is
// leaving, and a host that takes steps of any length holds the same.
func FuzzCatalog(f *testing.F) {
	f.Add([]byte{0, 0xff, 0xff, 4, 6, 0, 0, 0, 4, 6, 8})
	f.Add([]byte{0, 1, 0x10, 5, 7, 0, 2, 0x20, 4, 0, 1, 0x10, 8, 5, 7, 6})
	f.Fuzz(func(t *testing.T, program []byte) {
		w := &twin{t: t, catalog: NewCatalog(1), unwantedSince: map[string]leaving{}}
		for i := range w.hosts {
			w.hosts[i].rows = map[string]string{}
		}
		w.publish(0)
		for len(program) > 2 {
			operation, choice := program[0]%10, uint16(program[1])|uint16(program[2])<<8
			program = program[1:]
			switch {
			case operation < 4:
				w.publish(choice)
				program = program[2:]
			case operation < 8:
				w.follow(&w.hosts[operation%2], operation < 6)
			case operation == 8:
				w.now = w.now.Add(25 * time.Second)
			}
			w.sweep()
			w.check()
		}
	})
}
