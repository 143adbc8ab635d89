package policytest

import (
	"fmt"
	"time"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
)

// Typical is an encoded request of so many rows with plausible values, the same in every run: what a policy's cost is
// measured with.
func Typical(hook policyabi.Hook, rows int) []byte {
	now, _ := time.Parse(time.RFC3339, defaultNow)
	g := generator{state: 1, now: now}
	var request Request
	header := policyabi.Header{DecisionID: 1, NowMs: now.UnixMilli(), Seed: 1}
	switch hook {
	case policyabi.HookPlace:
		r := &policyabi.PlaceRequest{Header: header, Context: policyabi.PlaceContext{
			ModelKey: 1, NeedMemory: 300 << 20, Rate: 40_000, LoadMs: 800, Purpose: policyabi.PurposeMiss, Zone: 1, Name: "model",
		}}
		for i := range rows {
			r.Rows = append(r.Rows, g.host(i))
		}
		request = r
	case policyabi.HookEvict:
		r := &policyabi.EvictRequest{Header: header, Context: policyabi.EvictContext{
			ModelKey: 1, NeedMemory: 300 << 20, CapacityMemory: 64 << 30, Purpose: policyabi.PurposeMiss, Name: "model",
		}}
		for i := range rows {
			r.Rows = append(r.Rows, g.copy(i))
		}
		request = r
	default:
		r := &policyabi.StatusRequest{Header: header, Context: policyabi.StatusContext{
			Transition: policyabi.TransitionUpToDate, Flags: policyabi.StatusFlagReached, HostsConnected: 3, Name: "default/InferenceService/model",
		}}
		for i := range rows {
			r.Rows = append(r.Rows, policyabi.StatusRow{ModelKey: uint64(i + 1), Loaded: 1, HostsReady: 3, Name: fmt.Sprintf("model-%d", i)})
		}
		if rows > 1 {
			r.Context.Transition = policyabi.TransitionInProgress
			r.Rows[1].Flags, r.Rows[1].Loaded, r.Rows[1].Loading = policyabi.RevisionFlagTarget, 0, 1
		}
		request = r
	}
	encoded := make([]byte, request.Size())
	request.Encode(encoded)
	return encoded
}

// generator answers numbers that look like those of a mesh.
type generator struct {
	state uint64
	now   time.Time
}

// below answers the next number under n (splitmix64).
func (g *generator) below(n int64) int64 {
	g.state += 0x9e3779b97f4a7c15
	z := g.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return int64((z ^ z>>31) % uint64(n))
}

func (g *generator) host(i int) policyabi.PlaceRow {
	const capacity = 64 << 30
	curve := g.below(1 << 20)
	row := policyabi.PlaceRow{
		HostKey: uint64(i + 1), Zone: uint16(1 + g.below(3)), CapacityMemory: capacity, FreeMemory: g.below(capacity / 64),
		Reclaim16th: curve, Reclaim8th: 2 * curve, Reclaim4th: 5 * curve, ReclaimHalf: 12 * curve,
		OldestMs: g.now.UnixMilli() - g.below(86_400_000), StartedMs: g.now.UnixMilli() - g.below(1_000_000_000),
		LoadsQueued: uint32(g.below(3)), LoadsRunning: uint32(g.below(3)), InFlight: uint32(g.below(64)),
		Copies: uint32(g.below(400)), Rate: uint64(g.below(1_000_000_000)), Name: fmt.Sprintf("host-%d", i),
	}
	if g.below(20) == 0 {
		row.Flags |= policyabi.HostFlagDraining
	}
	if row.Zone == 1 {
		row.Flags |= policyabi.HostFlagSameZone
	}
	return row
}

func (g *generator) copy(i int) policyabi.EvictRow {
	rate := uint64(g.below(10_000_000))
	row := policyabi.EvictRow{
		CopyID: uint64(i + 1), ModelKey: uint64(i + 1), SizeMemory: 1<<20 + g.below(1<<30),
		LastUsedMs: g.now.UnixMilli() - g.below(3_600_000), LoadedAtMs: g.now.UnixMilli() - 3_600_000 - g.below(86_400_000),
		Rate: rate, RateRecent: rate / 2, Uses: 1 + uint64(g.below(10_000)), LoadMs: uint32(200 + g.below(5_000)),
		Inflation: g.below(1 << 20), Name: fmt.Sprintf("model-%d", i),
	}
	if g.below(10) == 0 {
		row.InFlight, row.Flags = 1, policyabi.CopyFlagInFlight
	}
	return row
}
