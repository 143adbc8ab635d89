package placement

import (
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/wasmesh/wasmesh/host/members"
	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
)

func memory(n int64) modelcache.Resources { return modelcache.Resources{modelcache.HostMemory: n} }

func host(id string, free int64) Host { return Host{ID: id, Free: memory(free), Capacity: memory(100)} }

func ranked(rows ...uint32) []policyabi.PlaceAnswer {
	var answers []policyabi.PlaceAnswer
	for i, row := range rows {
		answers = append(answers, policyabi.PlaceAnswer{Row: row, Score: int32(-i), Reason: policyabi.ReasonFree})
	}
	return answers
}

func TestChoose(t *testing.T) {
	plain := []Host{host("a", 10), host("b", 50), host("c", 50), host("d", 90)}
	unable := []Host{host("leaves", 90), host("has", 90), host("failed", 90), {ID: "small", Capacity: memory(20)}, host("able", 1)}
	unable[0].Draining, unable[1].HasCopy, unable[2].Excluded = true, true, true
	tests := []struct {
		name       string
		purpose    policyabi.Purpose
		hosts      []Host
		answers    []policyabi.PlaceAnswer
		candidates []string
		hits       []Rule
	}{
		{"as ranked", policyabi.PurposeMiss, plain, ranked(2, 0, 3, 1), []string{"c", "a", "d", "b"}, nil},
		{"unnamed follow, most room first", policyabi.PurposeMiss, plain, ranked(0), []string{"a", "d", "b", "c"}, nil},
		{"nobody named", policyabi.PurposeMiss, plain, nil, []string{"d", "b", "c", "a"}, []Rule{RuleNobody}},
		{"nobody named, and nobody waits", policyabi.PurposeBackground, plain, nil, nil, nil},
		{"unnamed follow for a copy in use that has to move", policyabi.PurposeDrain, plain, ranked(1), []string{"b", "d", "c", "a"}, nil},
		{"unnamed do not follow when nobody waits", policyabi.PurposeRebalance, plain, ranked(1), []string{"b"}, nil},
		{"unknown and doubled rows", policyabi.PurposeBackground, plain, ranked(9, 1, 1, math.MaxUint32), []string{"b"}, []Rule{RuleUnknown}},
		{
			"the unable", policyabi.PurposeMiss, unable, ranked(3, 2, 1, 0),
			[]string{"able"}, []Rule{RuleTooSmall, RuleExcluded, RuleHasCopy, RuleDraining, RuleNobody},
		},
		{"the unable, and nobody waits", policyabi.PurposeBackground, unable, ranked(0, 4), []string{"able"}, []Rule{RuleDraining}},
		{"none is able", policyabi.PurposeMiss, unable[:4], ranked(0), nil, []Rule{RuleDraining}},
		{"no hosts", policyabi.PurposeMiss, nil, ranked(0), nil, []Rule{RuleUnknown}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			choice := Choose(Model{Need: memory(30), Purpose: test.purpose}, test.hosts, test.answers)
			var got []string
			for _, c := range choice.Candidates {
				got = append(got, c.Host)
			}
			if !reflect.DeepEqual(got, test.candidates) || !reflect.DeepEqual(choice.Hits, test.hits) {
				t.Errorf("candidates %v, hits %v; want %v, %v", got, choice.Hits, test.candidates, test.hits)
			}
		})
	}
}

func TestFromMember(t *testing.T) {
	m := members.Member{ID: "a", Zone: "z", Runtime: "r", Started: time.UnixMilli(5), Draining: true, Warming: true}
	m.Figures.Free = memory(1)
	newer := members.Figures{
		Free: memory(10), Capacity: memory(100), Reclaim: modelcache.Curve{1, 2, 3, 4}, Oldest: time.UnixMilli(3), LoadsQueued: 1,
		LoadsRunning: 2, InFlight: 3, Copies: 4, Rate: 5,
	}
	want := Host{
		ID: "a", Zone: "z", Free: memory(10), Capacity: memory(100), Reclaim: modelcache.Curve{1, 2, 3, 4}, Oldest: time.UnixMilli(3),
		Started: time.UnixMilli(5), LoadsQueued: 1, LoadsRunning: 2, InFlight: 3, Copies: 4, Rate: 5, Draining: true, Warming: true,
		Preferred: true,
	}
	if got := FromMember(&m, &newer, []string{"r", "s"}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if FromMember(&m, &newer, []string{"s", "r"}).Preferred {
		t.Error("the second choice is preferred")
	}
}

func TestWhatThePolicySaidIsKept(t *testing.T) {
	answers := []policyabi.PlaceAnswer{{Row: 1, Score: -7, Reason: policyabi.ReasonZone}}
	got := Choose(Model{Purpose: policyabi.PurposeMiss}, []Host{host("a", 1), host("b", 1)}, answers).Candidates
	if want := []Candidate{{Host: "b", Score: -7, Reason: policyabi.ReasonZone}, {Host: "a"}}; !reflect.DeepEqual(got, want) {
		t.Errorf("candidates %+v, want %+v", got, want)
	}
}

func TestAsk(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_123)
	hosts := []Host{host("a", 10), host("b", 20), host("c", 30)}
	hosts[0].Zone, hosts[1].Zone = "west", "east"
	hosts[0].HasCopy, hosts[2].HasCopy = true, true
	hosts[1].Reclaim, hosts[1].InFlight, hosts[1].Started = modelcache.Curve{1, 2, 3, 4}, 1<<40, now
	hosts[1].Preferred, hosts[1].Warming = true, true
	request := Ask(now, "b", Model{
		ID: "m", Key: 5, Need: memory(30), Declared: true, Keep: modelcache.Keep{Pinned: true, Priority: -3},
		Rate: 6, RateRecent: 7, LoadCost: 1500 * time.Millisecond, Purpose: policyabi.PurposeMiss,
	}, hosts)
	want := policyabi.PlaceContext{
		Name: "m", ModelKey: 5, NeedMemory: 30, Rate: 6, RateRecent: 7, LoadMs: 1500, Priority: -3, Purpose: policyabi.PurposeMiss,
		Flags: policyabi.ModelFlagPinned | policyabi.ModelFlagDeclared, Zone: 1, Copies: 2,
	}
	if request.Context != want || request.Header.NowMs != now.UnixMilli() {
		t.Errorf("context %+v at %d, want %+v", request.Context, request.Header.NowMs, want)
	}
	row := request.Rows[1]
	key := row.HostKey
	row.HostKey = 0
	wantRow := policyabi.PlaceRow{
		Name: "b", Zone: 1, FreeMemory: 20, CapacityMemory: 100, Reclaim16th: 1, Reclaim8th: 2, Reclaim4th: 3, ReclaimHalf: 4,
		InFlight: math.MaxUint32, StartedMs: now.UnixMilli(),
		Flags: policyabi.HostFlagSelf | policyabi.HostFlagSameZone | policyabi.HostFlagPreferred | policyabi.HostFlagWarming,
	}
	if row != wantRow {
		t.Errorf("row %+v, want %+v", row, wantRow)
	}
	if key == request.Rows[0].HostKey || key == 0 {
		t.Errorf("key %x of one host, %x of another", key, request.Rows[0].HostKey)
	}
	if a := request.Rows[0]; a.Zone != 2 || a.ZoneCopies != 1 || a.Flags != policyabi.HostFlagHasCopy {
		t.Errorf("row of the host in the other zone %+v", a)
	}
	if c := request.Rows[2]; c.Zone != 0 || c.ZoneCopies != 0 || c.Flags != policyabi.HostFlagHasCopy {
		t.Errorf("row of the host without zone %+v", c)
	}
}

// Whatever a policy answers: never a host that is not able, each at most once, and never none when a request waits and one
// is able.
func FuzzChoose(f *testing.F) {
	for seed := range uint64(50) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		random := rand.New(rand.NewPCG(seed, 3))
		var hosts []Host
		byID := map[string]Host{}
		able := 0
		model := Model{Need: memory(random.Int64N(150)), Purpose: policyabi.PurposeMiss}
		if random.IntN(3) == 0 {
			model.Purpose = policyabi.PurposeBackground
		}
		for i := range random.IntN(8) {
			h := host(string(rune('a'+i)), random.Int64N(100))
			h.Draining, h.HasCopy, h.Excluded = random.IntN(4) == 0, random.IntN(4) == 0, random.IntN(4) == 0
			hosts = append(hosts, h)
			byID[h.ID] = h
			if !h.Draining && !h.HasCopy && !h.Excluded && model.Need[0] <= 100 {
				able++
			}
		}
		var answers []policyabi.PlaceAnswer
		for range random.IntN(12) {
			answers = append(answers, policyabi.PlaceAnswer{Row: uint32(random.IntN(10)), Score: int32(random.Uint32())})
		}
		choice := Choose(model, hosts, answers)
		seen := map[string]bool{}
		for _, c := range choice.Candidates {
			h, known := byID[c.Host]
			if !known || seen[c.Host] || h.Draining || h.HasCopy || h.Excluded || model.Need[0] > 100 {
				t.Fatalf("candidate %+v of %+v for %+v", c, hosts, model)
			}
			seen[c.Host] = true
		}
		if model.Purpose == policyabi.PurposeMiss && len(choice.Candidates) != able {
			t.Fatalf("%d candidates, %d hosts are able", len(choice.Candidates), able)
		}
	})
}
