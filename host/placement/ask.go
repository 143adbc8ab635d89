package placement

import (
	"math"
	"slices"
	"time"

	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/sdk/modelid"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
)

// Host is a host as others see it.
type Host struct {
	ID string
	// Key of the ID, for policies that hash; 0 has it computed.
	Key uint64
	// Zone is empty for a host that has none.
	Zone           string
	Free, Capacity modelcache.Resources
	Reclaim        modelcache.Curve
	// Oldest is the last use of its least recently used copy, zero when it has none; Started is when it came up.
	Oldest, Started time.Time
	// LoadsQueued and LoadsRunning are loads that are ahead of another; InFlight are requests, Copies copies of all models.
	LoadsQueued, LoadsRunning, InFlight, Copies int
	// Rate of all requests that it serves, as in modelcache.Candidate.
	Rate uint64

	// Draining: it leaves. Warming: it has just come. Preferred: its runtime is the model's first choice.
	Draining, Warming, Preferred bool
	// Excluded: it failed to load the model a moment ago, or is to be relieved of it.
	Excluded bool
	// HasCopy: it holds, queues or loads the model.
	HasCopy bool
}

// Model is what is to be loaded.
type Model struct {
	ID   string
	Key  uint64
	Need modelcache.Resources
	// Declared: the need is its owner's word, not an estimate.
	Declared bool
	Keep     modelcache.Keep
	// LastUsed is when it was used before the request that waits, if one does; zero for never.
	LastUsed time.Time
	// Rate, RateRecent and LoadCost as in modelcache.Candidate.
	Rate, RateRecent uint64
	LoadCost         time.Duration
	// Purpose is PurposeMiss when a request waits, PurposeDrain for a copy in use that has to go elsewhere, and another for a
	// load that nobody waits for.
	Purpose policyabi.Purpose
	// Asker is the host that wants it, whose zone is preferred; empty for none.
	Asker string
}

// Waits reports whether a load of this purpose may never be refused for lack of free memory: a request waits for it, or
// requests will as soon as a copy in use has gone.
func Waits(purpose policyabi.Purpose) bool {
	return purpose == policyabi.PurposeMiss || purpose == policyabi.PurposeDrain
}

// Ask writes the request to the place policy, one row for each host, in order. self is the id of the host that asks.
func Ask(now time.Time, self string, model Model, hosts []Host) *policyabi.PlaceRequest {
	zones := zonesOf(hosts)
	zoneCopies := make([]int, len(zones)+1)
	copies := 0
	for _, h := range hosts {
		if h.HasCopy {
			copies++
			zoneCopies[zones.number(h.Zone)]++
		}
	}
	request := &policyabi.PlaceRequest{
		Header: policyabi.Header{NowMs: now.UnixMilli()},
		Context: policyabi.PlaceContext{
			Name: model.ID, ModelKey: model.Key,
			NeedMemory: model.Need[modelcache.HostMemory], NeedDevice: model.Need[modelcache.DeviceMemory], NeedSlots: model.Need[modelcache.Slots],
			LastUsedMs: unixMilli(model.LastUsed), Rate: model.Rate, RateRecent: model.RateRecent, LoadMs: milliseconds(model.LoadCost),
			Priority: model.Keep.Priority, Purpose: model.Purpose, Flags: model.flags(), Copies: clip16(copies),
		},
		Rows: make([]policyabi.PlaceRow, len(hosts)),
	}
	for _, h := range hosts {
		if h.ID == self {
			request.Context.Zone = zones.number(h.Zone)
		}
	}
	for i, h := range hosts {
		row := h.row()
		row.Zone = zones.number(h.Zone)
		if row.Zone != 0 {
			row.ZoneCopies = clip16(zoneCopies[row.Zone])
			if row.Zone == request.Context.Zone {
				row.Flags |= policyabi.HostFlagSameZone
			}
		}
		if h.ID == self {
			row.Flags |= policyabi.HostFlagSelf
		}
		request.Rows[i] = row
	}
	return request
}

func (m Model) flags() (flags policyabi.ModelFlag) {
	if m.Keep.Pinned {
		flags |= policyabi.ModelFlagPinned
	}
	if m.Declared {
		flags |= policyabi.ModelFlagDeclared
	}
	return flags
}

// row is the host without what depends on the others.
func (h Host) row() policyabi.PlaceRow {
	if h.Key == 0 {
		h.Key = uint64(modelid.KeyOf("", h.ID))
	}
	row := policyabi.PlaceRow{
		Name: h.ID, HostKey: h.Key,
		FreeMemory: h.Free[modelcache.HostMemory], FreeDevice: h.Free[modelcache.DeviceMemory], FreeSlots: h.Free[modelcache.Slots],
		CapacityMemory: h.Capacity[modelcache.HostMemory], CapacityDevice: h.Capacity[modelcache.DeviceMemory],
		CapacitySlots: h.Capacity[modelcache.Slots],
		Reclaim16th:   h.Reclaim[0], Reclaim8th: h.Reclaim[1], Reclaim4th: h.Reclaim[2], ReclaimHalf: h.Reclaim[3],
		OldestMs: unixMilli(h.Oldest), StartedMs: unixMilli(h.Started),
		LoadsQueued: clip32(h.LoadsQueued), LoadsRunning: clip32(h.LoadsRunning), InFlight: clip32(h.InFlight), Copies: clip32(h.Copies),
		Rate: h.Rate,
	}
	for _, f := range [...]struct {
		set  bool
		flag policyabi.HostFlag
	}{
		{h.Draining, policyabi.HostFlagDraining}, {h.Warming, policyabi.HostFlagWarming}, {h.HasCopy, policyabi.HostFlagHasCopy},
		{h.Excluded, policyabi.HostFlagExcluded}, {h.Preferred, policyabi.HostFlagPreferred},
	} {
		if f.set {
			row.Flags |= f.flag
		}
	}
	return row
}

// zones are the names of all zones, in order, so that equal views number them alike.
type zones []string

func zonesOf(hosts []Host) (names zones) {
	for _, h := range hosts {
		if h.Zone != "" {
			names = append(names, h.Zone)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// number counts zones from 1; 0 is none.
func (z zones) number(name string) uint16 {
	if i, found := slices.BinarySearch(z, name); found && i < math.MaxUint16 {
		return uint16(i + 1)
	}
	return 0
}

// unixMilli answers 0 for no time.
func unixMilli(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func milliseconds(d time.Duration) uint32 {
	return uint32(min(max(d.Milliseconds(), 0), math.MaxUint32))
}

func clip16(n int) uint16 { return uint16(min(max(n, 0), math.MaxUint16)) }
func clip32(n int) uint32 { return uint32(min(max(n, 0), math.MaxUint32)) }
