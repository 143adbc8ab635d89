package eviction

import (
	"math"
	"slices"
	"time"

	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
)

// Ask writes a ranking as a request to the evict policy, one row for each copy, in order, over whatever the request held.
func Ask(request *policyabi.EvictRequest, r modelcache.Ranking) {
	in := r.Incoming
	request.Header = policyabi.Header{NowMs: r.Now.UnixMilli()}
	request.Context = policyabi.EvictContext{
		Name: in.Model, ModelKey: in.Key,
		NeedMemory: in.Need[modelcache.HostMemory], NeedDevice: in.Need[modelcache.DeviceMemory], NeedSlots: in.Need[modelcache.Slots],
		FreeMemory: r.Free[modelcache.HostMemory], FreeDevice: r.Free[modelcache.DeviceMemory], FreeSlots: r.Free[modelcache.Slots],
		CapacityMemory: r.Capacity[modelcache.HostMemory], CapacityDevice: r.Capacity[modelcache.DeviceMemory],
		CapacitySlots: r.Capacity[modelcache.Slots],
		Purpose:       purposeOf(in.Purpose), Priority: in.Keep.Priority,
	}
	if in.Keep.Pinned {
		request.Context.Flags |= policyabi.ModelFlagPinned
	}
	if in.Declared {
		request.Context.Flags |= policyabi.ModelFlagDeclared
	}
	request.Rows = slices.Grow(request.Rows[:0], len(r.Copies))
	for i := range r.Copies {
		request.Rows = append(request.Rows, row(r.Now, &r.Copies[i]))
	}
}

// Ranked puts the answers to a request that Ask wrote into the words of the ranking. Rows that there are not are dropped.
func Ranked(r modelcache.Ranking, answers []policyabi.EvictAnswer) []modelcache.Ranked {
	ranked := make([]modelcache.Ranked, 0, len(answers))
	for _, a := range answers {
		if uint64(a.Row) < uint64(len(r.Copies)) {
			ranked = append(ranked, modelcache.Ranked{ID: r.Copies[a.Row].ID, Keep: a.Keep, Reason: uint16(a.Reason)})
		}
	}
	return ranked
}

func row(now time.Time, c *modelcache.Candidate) policyabi.EvictRow {
	row := policyabi.EvictRow{
		Name: c.Model, CopyID: uint64(c.ID), ModelKey: c.Key,
		SizeMemory: c.Size[modelcache.HostMemory], SizeDevice: c.Size[modelcache.DeviceMemory], SizeSlots: c.Size[modelcache.Slots],
		LastUsedMs: c.UsedAt(now).UnixMilli(), Rate: c.Rate, RateRecent: c.RateRecent, Uses: c.Uses, Inflation: c.Inflation,
		LoadMs:   loadMs(c.LoadCost),
		InFlight: uint32(min(max(c.InFlight, 0), math.MaxUint32)), Priority: c.Keep.Priority,
		CopiesElsewhere: uint16(min(max(c.CopiesElsewhere, 0), math.MaxUint16)),
	}
	if !c.LoadedAt.IsZero() {
		row.LoadedAtMs = c.LoadedAt.UnixMilli()
	}
	if c.Keep.Pinned {
		row.Flags |= policyabi.CopyFlagPinned
	}
	if c.Loading {
		row.Flags |= policyabi.CopyFlagLoading
	}
	if c.InFlight > 0 {
		row.Flags |= policyabi.CopyFlagInFlight
	}
	return row
}

// loadMs rounds up, for 0 is a load that was never measured.
func loadMs(cost time.Duration) uint32 {
	ms := max(cost, 0) / time.Millisecond
	if cost > ms*time.Millisecond {
		ms++
	}
	return uint32(min(ms, math.MaxUint32))
}

func purposeOf(p modelcache.Purpose) policyabi.Purpose {
	switch p {
	case modelcache.Miss:
		return policyabi.PurposeMiss
	case modelcache.Background:
		return policyabi.PurposeBackground
	case modelcache.Worth:
		return policyabi.PurposeWorth
	}
	return 0
}
