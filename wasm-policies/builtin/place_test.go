package builtin_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
)

const gib = 1 << 30

// emptyHost has 16 GiB free; full has nothing free, and loses 100 with each sixteenth.
func emptyHost(name string) policyabi.PlaceRow {
	return policyabi.PlaceRow{Name: name, HostKey: uint64(name[0]), CapacityMemory: 16 * gib, FreeMemory: 16 * gib}
}

func fullHost(name string) policyabi.PlaceRow {
	return policyabi.PlaceRow{Name: name, HostKey: uint64(name[0]), CapacityMemory: 16 * gib,
		Reclaim16th: 100, Reclaim8th: 200, Reclaim4th: 400, ReclaimHalf: 800}
}

// with changes a row.
func with(row policyabi.PlaceRow, change func(*policyabi.PlaceRow)) policyabi.PlaceRow {
	change(&row)
	return row
}

// TestPlaceOrder: one difference at a time, in the order in which they count.
func TestPlaceOrder(t *testing.T) {
	type row = policyabi.PlaceRow
	for _, c := range []struct {
		name string
		rows []row
		want string
	}{
		{"free memory before anything else", []row{
			with(fullHost("a"), func(r *row) { r.Flags |= policyabi.HostFlagPreferred }),
			with(emptyHost("b"), func(r *row) { r.LoadsQueued, r.InFlight = 9, 900 }),
		}, "[b a]"},
		{"preferred runtime", []row{
			emptyHost("a"),
			with(emptyHost("b"), func(r *row) { r.Flags |= policyabi.HostFlagPreferred; r.LoadsRunning = 3 }),
		}, "[b a]"},
		{"less lost", []row{
			with(fullHost("a"), func(r *row) { r.Reclaim16th = 150 }), fullHost("b"),
		}, "[b a]"},
		{"a little more lost, but no loads ahead", []row{
			with(fullHost("a"), func(r *row) { r.LoadsQueued = 2; r.LoadsRunning = 1 }),
			with(fullHost("b"), func(r *row) { r.Reclaim16th = 110 }),
		}, "[b a]"},
		{"much more lost, and no loads ahead", []row{
			with(fullHost("a"), func(r *row) { r.LoadsQueued = 2; r.LoadsRunning = 1 }),
			with(fullHost("b"), func(r *row) { r.Reclaim16th = 200 }),
		}, "[a b]"},
		{"fewer loads ahead", []row{
			with(emptyHost("a"), func(r *row) { r.LoadsQueued = 1 }), with(emptyHost("b"), func(r *row) { r.InFlight = 50 }),
		}, "[b a]"},
		{"fewer requests", []row{
			with(emptyHost("a"), func(r *row) { r.InFlight = 200 }),
			with(emptyHost("b"), func(r *row) { r.InFlight = 100; r.Flags |= policyabi.HostFlagWarming }),
		}, "[b a]"},
		{"about as many requests, one has just started", []row{
			with(emptyHost("a"), func(r *row) { r.InFlight = 200; r.Flags |= policyabi.HostFlagWarming }),
			with(emptyHost("b"), func(r *row) { r.InFlight = 207; r.FreeMemory = 4 * gib }),
		}, "[b a]"},
		{"more room", []row{
			with(emptyHost("a"), func(r *row) { r.FreeMemory = 8 * gib; r.Flags |= policyabi.HostFlagSameZone }), emptyHost("b"),
		}, "[b a]"},
		{"fewer copies in the zone", []row{
			with(emptyHost("a"), func(r *row) { r.ZoneCopies = 1; r.Flags |= policyabi.HostFlagSameZone }), emptyHost("b"),
		}, "[b a]"},
		{"own zone", []row{
			emptyHost("a"), with(emptyHost("b"), func(r *row) { r.Flags |= policyabi.HostFlagSameZone }),
		}, "[b a]"},
		{"nearest key", []row{emptyHost("a"), emptyHost("b"), emptyHost("c")}, "[b c a]"},
		{"unable or unwanted", []row{
			with(emptyHost("a"), func(r *row) { r.Flags |= policyabi.HostFlagDraining }),
			with(emptyHost("b"), func(r *row) { r.Flags |= policyabi.HostFlagExcluded }),
			with(emptyHost("c"), func(r *row) { r.Flags |= policyabi.HostFlagHasCopy }),
			with(emptyHost("d"), func(r *row) { r.CapacityMemory = gib - 1 }),
			with(emptyHost("e"), func(r *row) { r.CapacityDevice = 1 }),
			emptyHost("f"),
		}, "[f]"},
		{"nobody", nil, "[]"},
		{"what is scarcest decides", []row{
			with(emptyHost("a"), func(r *row) { r.CapacityDevice = 8 * gib; r.Reclaim16th = 1 }),
			with(emptyHost("b"), func(r *row) { r.CapacityDevice, r.FreeDevice = 8*gib, 8*gib }),
		}, "[b a]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := policyabi.PlaceRequest{
				Context: policyabi.PlaceContext{ModelKey: 'b', NeedMemory: gib, NeedDevice: gib / 2}, Rows: c.rows,
			}
			names := []string{}
			for _, a := range place(t, r) {
				names = append(names, c.rows[a.Row].Name)
			}
			if got := fmt.Sprint(names); got != c.want {
				t.Errorf("ranking %v, want %v", got, c.want)
			}
		})
	}
}

// TestPlaceLoss: what is lost is read off the reclaim curve, for what is not free.
func TestPlaceLoss(t *testing.T) {
	for _, c := range []struct {
		need, free int64
		score      int32
		reason     policyabi.Reason
	}{
		{gib, 0, -100, policyabi.ReasonLeastLost},
		{gib, gib / 2, -50, policyabi.ReasonLeastLost},
		{gib, gib, 0, policyabi.ReasonFree},
		{3 * gib, 0, -300, policyabi.ReasonLeastLost},
		{6 * gib, 0, -600, policyabi.ReasonLeastLost},
		{16 * gib, 0, -1600, policyabi.ReasonLeastLost},
		{8 * gib, -gib, -800, policyabi.ReasonLeastLost},
	} {
		row := with(fullHost("a"), func(r *policyabi.PlaceRow) { r.FreeMemory = c.free })
		got := place(t, policyabi.PlaceRequest{
			Context: policyabi.PlaceContext{NeedMemory: c.need}, Rows: []policyabi.PlaceRow{row},
		})
		if len(got) != 1 || got[0].Score != c.score || got[0].Reason != c.reason {
			t.Errorf("need %d, free %d: %+v, want score %d, reason %v", c.need, c.free, got, c.score, c.reason)
		}
	}
}

// TestPlaceManyHosts: the 32 best, in order, wherever they are among the rows.
func TestPlaceManyHosts(t *testing.T) {
	r := policyabi.PlaceRequest{Context: policyabi.PlaceContext{NeedMemory: gib}}
	for i := range 1000 {
		r.Rows = append(r.Rows, with(fullHost("a"), func(row *policyabi.PlaceRow) {
			row.Reclaim16th = int64(1+i*617%1000) << 20
		}))
	}
	got := place(t, r)
	if len(got) != 32 {
		t.Fatalf("%d hosts, want 32", len(got))
	}
	losses := make([]int64, len(r.Rows))
	for i, row := range r.Rows {
		losses[i] = row.Reclaim16th
	}
	slices.Sort(losses)
	for i, a := range got {
		// Losses that differ by less than a ninth count as equal.
		if lost := r.Rows[a.Row].Reclaim16th; lost > losses[i]*9/8 || i == 0 && lost != losses[0] {
			t.Errorf("place %d: loses %d, want about %d", i, lost, losses[i])
		}
	}
}

func place(t *testing.T, r policyabi.PlaceRequest) []policyabi.PlaceAnswer {
	t.Helper()
	got, err := policyabi.DecodePlaceAnswers(decide(t, policyabi.HookPlace, "balanced", &r), len(r.Rows))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestPlaceExtremes: nothing wraps around.
func TestPlaceExtremes(t *testing.T) {
	huge := policyabi.PlaceRow{
		FreeMemory: math.MinInt64, CapacityMemory: math.MaxInt64, Reclaim16th: math.MaxInt64, Reclaim8th: math.MinInt64,
		Reclaim4th: math.MaxInt64, ReclaimHalf: math.MaxInt64, LoadsQueued: math.MaxUint32, LoadsRunning: math.MaxUint32,
		InFlight: math.MaxUint32,
	}
	small := fullHost("a")
	got := place(t, policyabi.PlaceRequest{
		Context: policyabi.PlaceContext{NeedMemory: math.MaxInt64, NeedDevice: math.MaxInt64, NeedSlots: math.MinInt64},
		Rows:    []policyabi.PlaceRow{huge, small},
	})
	if len(got) != 1 || got[0].Row != 0 || got[0].Score != math.MinInt32 {
		t.Errorf("answer %+v, want row 0 alone, which loses more than a score can say", got)
	}
}
