package node

import (
	"math"
	"slices"
	"time"

	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
)

// fillEvict writes a ranking as the evict hook's request, one row for each copy, in order, over whatever the request held.
func fillEvict(request *policyabi.EvictRequest, r modelcache.Ranking) {
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
		request.Rows = append(request.Rows, evictRow(r.Now, &r.Copies[i]))
	}
}

func evictRow(now time.Time, c *modelcache.Candidate) policyabi.EvictRow {
	row := policyabi.EvictRow{
		Name: c.Model, CopyID: uint64(c.ID), ModelKey: c.Key,
		SizeMemory: c.Size[modelcache.HostMemory], SizeDevice: c.Size[modelcache.DeviceMemory], SizeSlots: c.Size[modelcache.Slots],
		LastUsedMs: c.UsedAt(now).UnixMilli(), Rate: c.Rate, RateRecent: c.RateRecent, Uses: c.Uses, Inflation: c.Inflation,
		LoadMs:   uint32(min(max(c.LoadCost.Milliseconds(), 0), math.MaxUint32)),
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
