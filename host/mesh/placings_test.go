package mesh

import (
	"reflect"
	"testing"

	"github.com/wasmesh/wasmesh/host/arbiter"
	"github.com/wasmesh/wasmesh/host/peers/residency"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// What comes of a placement is noted step by step and once, until it has come to rest; another host's copy is none of it.
func TestWhatComesOfAPlacement(t *testing.T) {
	failed := func(string) *syncv1.Failure { return &syncv1.Failure{Attempts: 2, Message: "no such bucket"} }
	for name, test := range map[string]struct {
		states []residency.State
		want   []string
	}{
		"loads": {
			[]residency.State{residency.Absent, residency.Queued, residency.Loading, residency.Loading, residency.Loaded, residency.Draining},
			[]string{"loading on a", "loaded on a"},
		},
		"is quick": {[]residency.State{residency.Loaded, residency.Loaded}, []string{"loaded on a"}},
		"fails": {
			[]residency.State{residency.Loading, residency.Failed, residency.Loading},
			[]string{"loading on a", "failed to load on a (attempt 2): no such bucket"},
		},
		"is given up": {
			[]residency.State{residency.Queued, residency.Absent},
			[]string{"not loaded on a: it was removed, nobody waited for it any more, or the host has gone"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := newPlacings()
			if err != nil {
				t.Fatal(err)
			}
			p.sent(arbiter.Reserve{ID: 1, Host: "a", Key: 7, Decision: 42})
			if key, granted := p.answered(arbiter.Reserved{ID: 1, Granted: true}); key != 7 || !granted {
				t.Fatalf("answered %d, %v", key, granted)
			}
			var notes []string
			for _, state := range test.states {
				copies := []residency.Copy{{Host: "a", State: state}, {Host: "b", State: residency.Failed}}
				if state == residency.Absent {
					copies = copies[1:]
				}
				if decision, note := p.look(7, copies, failed); note != "" {
					if decision != 42 {
						t.Errorf("decision %d", decision)
					}
					notes = append(notes, note)
				}
			}
			if !reflect.DeepEqual(notes, test.want) {
				t.Errorf("notes %q, want %q", notes, test.want)
			}
			if len(p.asked) != 0 || p.granted.Len() != 0 {
				t.Errorf("still following %v and %d", p.asked, p.granted.Len())
			}
		})
	}
	p, err := newPlacings()
	if err != nil {
		t.Fatal(err)
	}
	p.sent(arbiter.Reserve{ID: 1, Host: "a", Key: 7, Decision: 42})
	if _, granted := p.answered(arbiter.Reserved{ID: 1}); granted || len(p.asked) != 0 {
		t.Error("a refusal is followed")
	}
}
