package eviction

import (
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
	"github.com/wasmesh/wasmesh/wasm-policies/builtin"
	"github.com/wasmesh/wasmesh/wasm-policies/hook"
)

var now = time.UnixMilli(1_700_000_000_000)

func TestAsk(t *testing.T) {
	used, loaded := now.Add(-time.Minute), now.Add(-time.Hour)
	for _, test := range []struct {
		name string
		copy modelcache.Candidate
		want policyabi.EvictRow
	}{
		{"all of it", modelcache.Candidate{
			CopyInfo: modelcache.CopyInfo{ID: 7, Size: modelcache.Resources{1, 2, 3}, LoadedAt: loaded, LastUsed: used, Uses: 4, Keep: modelcache.Keep{Priority: -5}},
			Model:    "m", Key: 6, Rate: 8, RateRecent: 9, LoadCost: 1500 * time.Millisecond, CopiesElsewhere: 10, Inflation: 11,
		}, policyabi.EvictRow{
			Name: "m", CopyID: 7, ModelKey: 6, SizeMemory: 1, SizeDevice: 2, SizeSlots: 3, LastUsedMs: used.UnixMilli(), LoadedAtMs: loaded.UnixMilli(),
			Rate: 8, RateRecent: 9, Uses: 4, Inflation: 11, LoadMs: 1500, Priority: -5, CopiesElsewhere: 10,
		}},
		{"in use now, whatever its stamp says", modelcache.Candidate{CopyInfo: modelcache.CopyInfo{LastUsed: used, InFlight: 3}},
			policyabi.EvictRow{LastUsedMs: now.UnixMilli(), InFlight: 3, Flags: policyabi.CopyFlagInFlight}},
		{"pinned, and not loaded yet", modelcache.Candidate{CopyInfo: modelcache.CopyInfo{LastUsed: used, Keep: modelcache.Keep{Pinned: true}}, Loading: true},
			policyabi.EvictRow{LastUsedMs: used.UnixMilli(), Flags: policyabi.CopyFlagPinned | policyabi.CopyFlagLoading}},
		{"a load of no time is not one that was never measured", modelcache.Candidate{CopyInfo: modelcache.CopyInfo{LastUsed: used}, LoadCost: time.Microsecond},
			policyabi.EvictRow{LastUsedMs: used.UnixMilli(), LoadMs: 1}},
		{"more than a field holds", modelcache.Candidate{CopyInfo: modelcache.CopyInfo{LastUsed: used}, LoadCost: math.MaxInt64, CopiesElsewhere: 1 << 20},
			policyabi.EvictRow{LastUsedMs: used.UnixMilli(), LoadMs: math.MaxUint32, CopiesElsewhere: math.MaxUint16}},
	} {
		t.Run(test.name, func(t *testing.T) {
			request := policyabi.EvictRequest{Rows: []policyabi.EvictRow{{Name: "of before"}, {Name: "of before"}}}
			Ask(&request, modelcache.Ranking{Now: now, Copies: []modelcache.Candidate{test.copy}})
			if !reflect.DeepEqual(request.Rows, []policyabi.EvictRow{test.want}) {
				t.Errorf("rows %+v, want %+v", request.Rows, test.want)
			}
		})
	}
}

func TestRanked(t *testing.T) {
	r := modelcache.Ranking{Copies: []modelcache.Candidate{{CopyInfo: modelcache.CopyInfo{ID: 11}}, {CopyInfo: modelcache.CopyInfo{ID: 12}}}}
	got := Ranked(r, []policyabi.EvictAnswer{{Row: 1, Keep: 5, Reason: policyabi.ReasonRate}, {Row: 2, Keep: 1}, {Row: math.MaxUint32}, {Row: 0, Keep: -6}})
	want := []modelcache.Ranked{{ID: 12, Keep: 5, Reason: uint16(policyabi.ReasonRate)}, {ID: 11, Keep: -6}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("ranked %+v, want %+v", got, want)
	}
}

// A policy in Go answers about more copies than a module is asked about.
func TestDecideWhatDoesNotFit(t *testing.T) {
	request := &policyabi.EvictRequest{Header: policyabi.Header{NowMs: now.UnixMilli()}}
	for i := range 40_000 {
		request.Rows = append(request.Rows, policyabi.EvictRow{Name: "m", SizeMemory: 1, LastUsedMs: now.UnixMilli() - 1, Rate: uint64(i)})
	}
	if Fits(request) {
		t.Fatal("it fits")
	}
	answers, err := Decide(request, builtin.Default(policyabi.HookEvict).Decide)
	if err != nil || len(answers) != len(request.Rows) {
		t.Fatalf("%d answers, %v", len(answers), err)
	}
	for i := 1; i < len(answers); i++ {
		if answers[i].Row != uint32(i) || answers[i].Keep < answers[i-1].Keep {
			t.Fatalf("row %d is worth %d, and %d of lower rate %d", i, answers[i].Keep, i-1, answers[i-1].Keep)
		}
	}
	request.Rows = request.Rows[:1000]
	if !Fits(request) {
		t.Error("a thousand rows do not fit")
	}
}

// Who goes is the one that the record of the decision names: hook.Victims reads the order off the rows, modelcache.Arrange
// off the ranking.
func TestVictimsAreThoseOfTheRecord(t *testing.T) {
	for seed := range uint64(500) {
		random := rand.New(rand.NewPCG(seed, 3))
		r := modelcache.Ranking{Now: now}
		for i := range 1 + random.IntN(20) {
			r.Copies = append(r.Copies, modelcache.Candidate{CopyInfo: modelcache.CopyInfo{
				ID: modelcache.CopyID(i + 1), LastUsed: now.Add(-time.Duration(random.IntN(3_000_000))), // Within 3 ms.
				InFlight: max(random.IntN(4)-2, 0), Keep: modelcache.Keep{Pinned: random.IntN(5) == 0},
			}, Loading: random.IntN(6) == 0})
		}
		var request policyabi.EvictRequest
		Ask(&request, r)
		answers, err := Decide(&request, func(b []byte) ([]byte, error) {
			v, err := policyabi.ViewEvict(b)
			a := v.Answers()
			for _, i := range random.Perm(v.Len()) {
				a.Add(i, int32(random.IntN(3)), 0)
			}
			return a.Bytes(), err
		})
		if err != nil {
			t.Fatal(err)
		}
		encoded := make([]byte, request.Size())
		request.Encode(encoded)
		view, err := policyabi.ViewEvict(encoded)
		if err != nil {
			t.Fatal(err)
		}
		var want, got []modelcache.CopyID
		for _, row := range hook.Victims(view, answers) {
			want = append(want, r.Copies[row].ID)
		}
		for _, said := range modelcache.Arrange(r, Ranked(r, answers)) {
			if r.Copies[said.ID-1].May() {
				got = append(got, said.ID)
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d: they go in the order %v, and by the record in the order %v", seed, got, want)
		}
	}
}
