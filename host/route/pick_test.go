package route

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/wasmesh/wasmesh/host/members"
	"github.com/wasmesh/wasmesh/host/peers/residency"
)

func TestPick(t *testing.T) {
	busy := func(counts map[string]int) func(string) int { return func(host string) int { return counts[host] } }
	tests := []struct {
		name string
		mesh string
		tell func(*Input)
		want Choice
	}{
		{"local first", "a=loaded b=loaded", nil, Choice{Local, "a", false}},
		{"local at its target, a peer with less", "a=loaded b=loaded", func(in *Input) { in.Target, in.LocalInFlight = 4, 4 }, Choice{Peer, "b", false}},
		{"local at its target, the peer no better", "a=loaded b=loaded", func(in *Input) {
			in.Target, in.LocalInFlight, in.InFlight = 4, 4, busy(map[string]int{"b": 4})
		}, Choice{Local, "a", false}},
		{"local below its target", "a=loaded b=loaded", func(in *Input) { in.Target, in.LocalInFlight = 4, 3 }, Choice{Local, "a", false}},
		{"local without a target", "a=loaded b=loaded", func(in *Input) { in.LocalInFlight = 400 }, Choice{Local, "a", false}},
		{"local at its target and alone", "a=loaded b", func(in *Input) { in.Target, in.LocalInFlight = 4, 400 }, Choice{Local, "a", false}},
		{"local though this host leaves", "a!=loaded b=loaded", nil, Choice{Local, "a", false}},
		{"the fewer in flight", "a b=loaded c=loaded", func(in *Input) { in.InFlight = busy(map[string]int{"b": 2}) }, Choice{Peer, "c", false}},
		{"a host that leaves comes last", "a b!=loaded c=loaded", func(in *Input) { in.InFlight = busy(map[string]int{"c": 50}) }, Choice{Peer, "c", false}},
		{"a host that leaves, rather than a load", "a b!=loaded c=loading", nil, Choice{Peer, "b", false}},
		{"a copy on a host that is not live", "a b?=loaded", nil, Choice{Kind: MustLoad}},
		{"a copy that is being unloaded, one that failed", "a b=draining c=failed", nil, Choice{Kind: MustLoad}},
		{"loading before queued", "a b=queued c=loading", nil, Choice{Held, "c", true}},
		{"here before there", "a=loading b=loading", nil, Choice{Held, "a", true}},
		{"the first by id, so that all wait at one", "a c=queued b=queued", nil, Choice{Held, "b", true}},
		{"a load on a host that leaves", "a b!=loading c=queued", nil, Choice{Held, "c", true}},
		{"tried before", "a=loaded b=loaded", func(in *Input) { in.Tried = []string{"a", "b"} }, Choice{Kind: MustLoad}},
		{"excluded", "a=loaded b=loaded", func(in *Input) { in.Exclude = []string{"a", "b"} }, Choice{Kind: Nobody}},
		{"nobody has the runtime", "a- b-", nil, Choice{Kind: Nobody}},
		{"a host with the runtime that is not live", "a- b?", nil, Choice{Kind: Nobody}},
		{"before this host has joined", "", func(in *Input) { in.View = nil }, Choice{Kind: Nobody}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := picture(tt.mesh)
			if tt.tell != nil {
				tt.tell(&in)
			}
			for range 20 {
				in.Rand = rand.Uint64()
				if got := Pick(in); got != tt.want {
					t.Fatalf("got %+v, want %+v", got, tt.want)
				}
			}
		})
	}
}

func TestPickZones(t *testing.T) {
	in := picture("a b=loaded c=loaded")
	hosts := slices.Clone(in.View.All())
	hosts[0].Zone, hosts[1].Zone, hosts[2].Zone = "west", "east", "west"
	in.View = members.NewView("a", hosts)
	for there, want := range map[int]string{0: "c", 1: "c", 2: "b", 100: "b"} {
		in.InFlight = func(host string) int {
			if host == "c" {
				return there
			}
			return 0
		}
		for range 20 {
			in.Rand = rand.Uint64()
			if got := Pick(in).Host; got != want {
				t.Errorf("%d more in flight in the same zone: %s, want %s", there, got, want)
			}
		}
	}
}

// TestBusyHostsKeepTheirOwn is what would go wrong if only a host's own requests to a peer counted: two hosts that are
// equally busy would each send half of their requests to the other.
func TestBusyHostsKeepTheirOwn(t *testing.T) {
	in := picture("a=loaded b=loaded")
	hosts := slices.Clone(in.View.All())
	hosts[1].Figures.InFlight = 20
	in.View = members.NewView("a", hosts)
	in.Target, in.LocalInFlight = 8, 20
	if got := Pick(in); got.Kind != Local {
		t.Errorf("got %+v", got)
	}
	in.LocalInFlight = 40
	if got := Pick(in); got.Kind != Peer {
		t.Errorf("twice as busy: %+v", got)
	}
}

// TestTwoChoicesSpread: requests that stay go evenly to the copies, and every copy is chosen.
func TestTwoChoicesSpread(t *testing.T) {
	in := picture("a b=loaded c=loaded d=loaded e=loaded f=loaded g=loaded h=loaded i=loaded")
	counts := make(map[string]int)
	in.InFlight = func(host string) int { return counts[host] }
	dice := rand.New(rand.NewPCG(1, 2))
	const requests = 8 * 500
	for range requests {
		in.Rand = dice.Uint64()
		choice := Pick(in)
		if choice.Kind != Peer {
			t.Fatalf("got %+v", choice)
		}
		counts[choice.Host]++
	}
	if len(counts) != 8 {
		t.Fatalf("chosen: %v", counts)
	}
	for host, n := range counts {
		if n < 480 || n > 520 {
			t.Errorf("%s has %d of %d, want about 500", host, n, requests)
		}
	}
}

func TestAFirstHopAllocatesNothing(t *testing.T) {
	in := picture("a b=loaded c=loaded d=loading")
	in.InFlight = func(string) int { return 1 }
	var got Action
	allocated := testing.AllocsPerRun(100, func() {
		trip := NewTrip(TripConfig{Model: "digits"})
		got = trip.Next(in)
	})
	if allocated != 0 || got.Do != Forward {
		t.Errorf("%v allocations for %s", allocated, got.word())
	}
}

func BenchmarkPick(b *testing.B) {
	in := picture("a b=loaded c=loaded d=loading e f g h")
	in.Copies = append(in.Copies, residency.Copy{Host: "h", State: residency.Failed})
	in.InFlight = func(string) int { return 1 }
	b.ReportAllocs()
	for b.Loop() {
		in.Rand++
		Pick(in)
	}
}
