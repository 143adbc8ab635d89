// Code generated from abi.yaml by sdk/policyabi/internal/generate. DO NOT EDIT.

package policyabi

// PlaceView reads a request in place.
type PlaceView struct{ v view }

// ViewPlace checks the request once. Errors wrap ErrRequest.
func ViewPlace(b []byte) (PlaceView, error) {
	v, err := parse(b, HookPlace, 16, false)
	return PlaceView{v}, err
}

// Header of the request.
func (v *PlaceView) Header() HeaderView { return HeaderView{record{b: v.v.header}} }

// Context of the request.
func (v *PlaceView) Context() PlaceContextView { return PlaceContextView{v.v.context} }

// Len is the number of rows.
func (v *PlaceView) Len() int { return v.v.count }

// Row panics when i is not below Len, like an index.
func (v *PlaceView) Row(i int) PlaceRowView { return PlaceRowView{v.v.row(i)} }

// Answers writes where the request has room for them.
func (v *PlaceView) Answers() PlaceAnswers { return PlaceAnswers{response: v.v.response} }

// PlaceContextView reads a PlaceContext in place.
type PlaceContextView struct{ r record }

// ModelKey: of the model.
func (s PlaceContextView) ModelKey() uint64 { return s.r.u64(0) }

// NeedMemory: expected in the runtime's memory, bytes.
func (s PlaceContextView) NeedMemory() int64 { return int64(s.r.u64(8)) }

// NeedDevice: on its device, bytes.
func (s PlaceContextView) NeedDevice() int64 { return int64(s.r.u64(16)) }

// NeedSlots: slots.
func (s PlaceContextView) NeedSlots() int64 { return int64(s.r.u64(24)) }

// LastUsedMs: a request last came, before the one that waits, ms since 1970.
func (s PlaceContextView) LastUsedMs() int64 { return int64(s.r.u64(32)) }

// Rate: decayed over hours, requests per 1e6 s.
func (s PlaceContextView) Rate() uint64 { return s.r.u64(40) }

// RateRecent: decayed over minutes, requests per 1e6 s.
func (s PlaceContextView) RateRecent() uint64 { return s.r.u64(48) }

// LoadMs: a load takes, as measured, ms.
func (s PlaceContextView) LoadMs() uint32 { return s.r.u32(56) }

// Priority: of its owner; higher is kept longer.
func (s PlaceContextView) Priority() int32 { return int32(s.r.u32(60)) }

// Purpose.
func (s PlaceContextView) Purpose() Purpose { return Purpose(s.r.u16(64)) }

// Flags.
func (s PlaceContextView) Flags() ModelFlag { return ModelFlag(s.r.u16(66)) }

// Zone: of the host that asks; zones are numbered from 1 in each request.
func (s PlaceContextView) Zone() uint16 { return s.r.u16(68) }

// Copies: there are, loading ones included.
func (s PlaceContextView) Copies() uint16 { return s.r.u16(70) }

// Name: model id. It is nil when it is not within the request.
func (s PlaceContextView) Name() []byte { return s.r.text(72) }

func (s PlaceContextView) decode() PlaceContext {
	return PlaceContext{
		Name:       string(s.Name()),
		ModelKey:   s.ModelKey(),
		NeedMemory: s.NeedMemory(),
		NeedDevice: s.NeedDevice(),
		NeedSlots:  s.NeedSlots(),
		LastUsedMs: s.LastUsedMs(),
		Rate:       s.Rate(),
		RateRecent: s.RateRecent(),
		LoadMs:     s.LoadMs(),
		Priority:   s.Priority(),
		Purpose:    s.Purpose(),
		Flags:      s.Flags(),
		Zone:       s.Zone(),
		Copies:     s.Copies(),
	}
}

// PlaceRowView reads a PlaceRow in place.
type PlaceRowView struct{ r record }

// HostKey: of the host's id, the same in every request.
func (s PlaceRowView) HostKey() uint64 { return s.r.u64(0) }

// Flags.
func (s PlaceRowView) Flags() HostFlag { return HostFlag(s.r.u32(8)) }

// Zone: 0 when it has none.
func (s PlaceRowView) Zone() uint16 { return s.r.u16(12) }

// ZoneCopies: copies of the model in its zone.
func (s PlaceRowView) ZoneCopies() uint16 { return s.r.u16(14) }

// FreeMemory: of the runtime's memory, bytes.
func (s PlaceRowView) FreeMemory() int64 { return int64(s.r.u64(16)) }

// FreeDevice: bytes.
func (s PlaceRowView) FreeDevice() int64 { return int64(s.r.u64(24)) }

// FreeSlots.
func (s PlaceRowView) FreeSlots() int64 { return int64(s.r.u64(32)) }

// CapacityMemory: bytes.
func (s PlaceRowView) CapacityMemory() int64 { return int64(s.r.u64(40)) }

// CapacityDevice: bytes.
func (s PlaceRowView) CapacityDevice() int64 { return int64(s.r.u64(48)) }

// CapacitySlots.
func (s PlaceRowView) CapacitySlots() int64 { return int64(s.r.u64(56)) }

// Reclaim16th: lost to free 1/16 of the capacity: the lowest keep-values of its evict policy, each at least 0, weighed by the memory that goes with them and added up, keep-value x MiB.
func (s PlaceRowView) Reclaim16th() int64 { return int64(s.r.u64(64)) }

// Reclaim8th: lost to free 1/8, keep-value x MiB.
func (s PlaceRowView) Reclaim8th() int64 { return int64(s.r.u64(72)) }

// Reclaim4th: lost to free 1/4, keep-value x MiB.
func (s PlaceRowView) Reclaim4th() int64 { return int64(s.r.u64(80)) }

// ReclaimHalf: lost to free 1/2, keep-value x MiB.
func (s PlaceRowView) ReclaimHalf() int64 { return int64(s.r.u64(88)) }

// OldestMs: last use of its least recently used copy, ms since 1970.
func (s PlaceRowView) OldestMs() int64 { return int64(s.r.u64(96)) }

// StartedMs: start of the host, ms since 1970.
func (s PlaceRowView) StartedMs() int64 { return int64(s.r.u64(104)) }

// LoadsQueued.
func (s PlaceRowView) LoadsQueued() uint32 { return s.r.u32(112) }

// LoadsRunning.
func (s PlaceRowView) LoadsRunning() uint32 { return s.r.u32(116) }

// InFlight: requests.
func (s PlaceRowView) InFlight() uint32 { return s.r.u32(120) }

// Copies: of all models.
func (s PlaceRowView) Copies() uint32 { return s.r.u32(124) }

// Rate: all requests that it serves, requests per 1e6 s.
func (s PlaceRowView) Rate() uint64 { return s.r.u64(128) }

// Name: host id. It is nil when it is not within the request.
func (s PlaceRowView) Name() []byte { return s.r.text(136) }

func (s PlaceRowView) decode() PlaceRow {
	return PlaceRow{
		Name:           string(s.Name()),
		HostKey:        s.HostKey(),
		Flags:          s.Flags(),
		Zone:           s.Zone(),
		ZoneCopies:     s.ZoneCopies(),
		FreeMemory:     s.FreeMemory(),
		FreeDevice:     s.FreeDevice(),
		FreeSlots:      s.FreeSlots(),
		CapacityMemory: s.CapacityMemory(),
		CapacityDevice: s.CapacityDevice(),
		CapacitySlots:  s.CapacitySlots(),
		Reclaim16th:    s.Reclaim16th(),
		Reclaim8th:     s.Reclaim8th(),
		Reclaim4th:     s.Reclaim4th(),
		ReclaimHalf:    s.ReclaimHalf(),
		OldestMs:       s.OldestMs(),
		StartedMs:      s.StartedMs(),
		LoadsQueued:    s.LoadsQueued(),
		LoadsRunning:   s.LoadsRunning(),
		InFlight:       s.InFlight(),
		Copies:         s.Copies(),
		Rate:           s.Rate(),
	}
}
