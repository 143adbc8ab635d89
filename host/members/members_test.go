package members

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/wasmesh/wasmesh/sdk/modelid"
)

const runtime = "mlserver"

// host is one that takes part in everything.
func host(id string) Member {
	return Member{ID: id, Runtime: runtime, Live: true, Arbiter: true, RuntimeReady: true}
}

func hosts(n int) (all []Member) {
	for i := range n {
		all = append(all, host(fmt.Sprint("host-", i)))
	}
	return all
}

func key(i int) uint64 { return uint64(modelid.KeyOf("ns", fmt.Sprint("model-", i))) }

func ids(members []*Member) (ids []string) {
	for _, m := range members {
		ids = append(ids, m.ID)
	}
	return ids
}

// arbiters answers the order for a key, as the first host sees it.
func arbiters(all []Member, key uint64) []string {
	return ids(NewView(all[0].ID, slices.Clone(all)).Arbiters(key, []string{runtime}))
}

func TestModelsSpreadEvenly(t *testing.T) {
	const models = 20_000
	for _, n := range []int{2, 8, 64} {
		view := NewView("host-0", hosts(n))
		first, second := map[string]int{}, map[string]int{}
		for i := range models {
			order := view.Arbiters(key(i), []string{runtime})
			first[order[0].ID]++
			second[order[1].ID]++
		}
		// Five standard deviations of a fair choice are 28 % of the mean at 64 hosts, and less for fewer.
		least, most := models/n*7/10, models/n*13/10
		for _, m := range view.All() {
			if c := first[m.ID]; c < least || c > most {
				t.Errorf("%d hosts: %s comes first for %d of %d models", n, m.ID, c, models)
			}
			if c := second[m.ID]; c < least || c > most {
				t.Errorf("%d hosts: %s comes second for %d of %d models", n, m.ID, c, models)
			}
		}
	}
}

// When a host leaves, nothing changes but that it is no longer in the orders; so when one joins, models go to it and to
// nobody else.
func TestLittleChangesHands(t *testing.T) {
	all := hosts(9)
	leaves := all[4]
	fewer := slices.Delete(slices.Clone(all), 4, 5)
	moved := 0
	for i := range 5_000 {
		with, without := arbiters(all, key(i)), arbiters(fewer, key(i))
		if with[0] == leaves.ID {
			moved++
		}
		if want := slices.DeleteFunc(with, func(id string) bool { return id == leaves.ID }); !slices.Equal(without, want) {
			t.Fatalf("model %d: %v without %s, want %v", i, without, leaves.ID, want)
		}
	}
	if moved < 400 || moved > 720 {
		t.Errorf("%d of 5000 models change hands, want about a ninth", moved)
	}
}

// All hosts answer the same order, whatever the order in which they heard of each other, and one of them is home.
func TestAllViewsAgree(t *testing.T) {
	all := hosts(7)
	all[2].Draining, all[3].Gateway, all[5].Arbiter = true, true, false
	random := rand.New(rand.NewPCG(1, 1))
	for i := range 500 {
		var want []string
		var homes []string
		for _, self := range all {
			heard := slices.Clone(all)
			random.Shuffle(len(heard), func(i, j int) { heard[i], heard[j] = heard[j], heard[i] })
			view := NewView(self.ID, heard)
			got := ids(view.Arbiters(key(i), []string{"other", runtime}))
			if want == nil {
				want = got
			}
			if !slices.Equal(got, want) {
				t.Fatalf("model %d: %s says %v, another %v", i, self.ID, got, want)
			}
			if view.Home(key(i), []string{"other", runtime}) {
				homes = append(homes, self.ID)
			}
		}
		if !slices.Equal(homes, want[:1]) {
			t.Fatalf("model %d: home at %v, order %v", i, homes, want)
		}
	}
}

func TestWhoIsAsked(t *testing.T) {
	with := func(change func([]Member)) []Member {
		all := hosts(4)
		change(all)
		return all
	}
	for _, test := range []struct {
		name string
		all  []Member
		want []string // in any order, those in brackets after the others
		last []string
	}{
		{"all", hosts(4), []string{"host-0", "host-1", "host-2", "host-3"}, nil},
		{"not the dead", with(func(m []Member) { m[1].Live = false }), []string{"host-0", "host-2", "host-3"}, nil},
		{"not gateways", with(func(m []Member) { m[1].Gateway = true }), []string{"host-0", "host-2", "host-3"}, nil},
		{"not other runtimes", with(func(m []Member) { m[1].Runtime = "triton" }), []string{"host-0", "host-2", "host-3"}, nil},
		{"not who leaves", with(func(m []Member) { m[1].Draining, m[2].Draining = true, true }), []string{"host-0", "host-3"}, nil},
		{"who leaves, when nobody else is left", with(func(m []Member) {
			m[0].Live, m[3].Live, m[1].Draining, m[2].Draining = false, false, true, true
		}), []string{"host-1", "host-2"}, nil},
		{"last those that know little", with(func(m []Member) { m[0].Arbiter, m[2].Arbiter = false, false }),
			[]string{"host-1", "host-3"}, []string{"host-0", "host-2"}},
		{"one that knows little before one that leaves", with(func(m []Member) {
			m[0].Arbiter = false
			m[1].Draining, m[2].Draining, m[3].Draining = true, true, true
		}), []string{"host-0"}, nil},
		{"nobody", with(func(m []Member) {
			for i := range m {
				m[i].Live = false
			}
		}), nil, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			for i := range 20 {
				got := arbiters(test.all, key(i))
				if len(got) != len(test.want)+len(test.last) {
					t.Fatalf("order %v", got)
				}
				first, last := slices.Clone(got[:len(test.want)]), slices.Clone(got[len(test.want):])
				slices.Sort(first)
				slices.Sort(last)
				if !slices.Equal(first, test.want) || !slices.Equal(last, test.last) {
					t.Fatalf("order %v, want %v and then %v", got, test.want, test.last)
				}
			}
		})
	}
}

// Who leaves is home to nothing, even alone: it would start what it is about to hand over.
func TestHome(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*Member)
		want   bool
	}{
		{"alone", func(*Member) {}, true},
		{"knows little, but nobody knows more", func(m *Member) { m.Arbiter = false }, true},
		{"leaves", func(m *Member) { m.Draining = true }, false},
		{"gateway", func(m *Member) { m.Gateway = true }, false},
		{"another runtime", func(m *Member) { m.Runtime = "triton" }, false},
	} {
		m := host("a")
		test.change(&m)
		if got := NewView("a", []Member{m}).Home(1, []string{runtime}); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
	knows := host("knows")
	little := host("little")
	little.Arbiter = false
	for i := range 20 {
		if NewView("little", []Member{knows, little}).Home(key(i), []string{runtime}) {
			t.Errorf("model %d is at home where little is known", i)
		}
	}
}

func TestFind(t *testing.T) {
	view := NewView("b", []Member{host("c"), host("a"), host("b")})
	for _, id := range []string{"a", "b", "c"} {
		if m := view.Find(id); m == nil || m.ID != id {
			t.Errorf("find %s: %+v", id, m)
		}
	}
	if view.Find("") != nil || view.Find("d") != nil || view.Self().ID != "b" || len(view.All()) != 3 {
		t.Error("found somebody else")
	}
	if stranger := NewView("x", []Member{host("a")}); stranger.Self() != nil || stranger.Home(1, []string{runtime}) {
		t.Error("a host that has not joined is in its view")
	}
	var none *View
	if none.Self() != nil || none.Find("a") != nil || none.All() != nil || none.Arbiters(1, nil) != nil || none.Home(1, nil) {
		t.Error("no view has somebody in it")
	}
}
