// Code generated from abi.yaml by sdk/policyabi/internal/generate. DO NOT EDIT.

package policyabi

// EvictView reads a request in place.
type EvictView struct{ v view }

// ViewEvict checks the request once. Errors wrap ErrRequest.
func ViewEvict(b []byte) (EvictView, error) {
	v, err := parse(b, HookEvict, 16, false)
	return EvictView{v}, err
}

// Header of the request.
func (v *EvictView) Header() HeaderView { return HeaderView{record{b: v.v.header}} }

// Context of the request.
func (v *EvictView) Context() EvictContextView { return EvictContextView{v.v.context} }

// Len is the number of rows.
func (v *EvictView) Len() int { return v.v.count }

// Row panics when i is not below Len, like an index.
func (v *EvictView) Row(i int) EvictRowView { return EvictRowView{v.v.row(i)} }

// Answers writes where the request has room for them.
func (v *EvictView) Answers() EvictAnswers { return EvictAnswers{response: v.v.response} }

// EvictContextView reads an EvictContext in place.
type EvictContextView struct{ r record }

// ModelKey: of the model that is to come; 0 for none.
func (s EvictContextView) ModelKey() uint64 { return s.r.u64(0) }

// NeedMemory: it is expected to take, bytes.
func (s EvictContextView) NeedMemory() int64 { return int64(s.r.u64(8)) }

// NeedDevice: bytes.
func (s EvictContextView) NeedDevice() int64 { return int64(s.r.u64(16)) }

// NeedSlots.
func (s EvictContextView) NeedSlots() int64 { return int64(s.r.u64(24)) }

// FreeMemory: bytes.
func (s EvictContextView) FreeMemory() int64 { return int64(s.r.u64(32)) }

// FreeDevice: bytes.
func (s EvictContextView) FreeDevice() int64 { return int64(s.r.u64(40)) }

// FreeSlots.
func (s EvictContextView) FreeSlots() int64 { return int64(s.r.u64(48)) }

// CapacityMemory: bytes.
func (s EvictContextView) CapacityMemory() int64 { return int64(s.r.u64(56)) }

// CapacityDevice: bytes.
func (s EvictContextView) CapacityDevice() int64 { return int64(s.r.u64(64)) }

// CapacitySlots.
func (s EvictContextView) CapacitySlots() int64 { return int64(s.r.u64(72)) }

// Purpose.
func (s EvictContextView) Purpose() Purpose { return Purpose(s.r.u16(80)) }

// Flags.
func (s EvictContextView) Flags() ModelFlag { return ModelFlag(s.r.u16(82)) }

// Priority: of the model that is to come.
func (s EvictContextView) Priority() int32 { return int32(s.r.u32(84)) }

// Name: id of the model that is to come. It is nil when it is not within the request.
func (s EvictContextView) Name() []byte { return s.r.text(88) }

func (s EvictContextView) decode() EvictContext {
	return EvictContext{
		Name:           string(s.Name()),
		ModelKey:       s.ModelKey(),
		NeedMemory:     s.NeedMemory(),
		NeedDevice:     s.NeedDevice(),
		NeedSlots:      s.NeedSlots(),
		FreeMemory:     s.FreeMemory(),
		FreeDevice:     s.FreeDevice(),
		FreeSlots:      s.FreeSlots(),
		CapacityMemory: s.CapacityMemory(),
		CapacityDevice: s.CapacityDevice(),
		CapacitySlots:  s.CapacitySlots(),
		Purpose:        s.Purpose(),
		Flags:          s.Flags(),
		Priority:       s.Priority(),
	}
}

// EvictRowView reads an EvictRow in place.
type EvictRowView struct{ r record }

// CopyID: of this load of the model.
func (s EvictRowView) CopyID() uint64 { return s.r.u64(0) }

// ModelKey.
func (s EvictRowView) ModelKey() uint64 { return s.r.u64(8) }

// SizeMemory: it takes, bytes.
func (s EvictRowView) SizeMemory() int64 { return int64(s.r.u64(16)) }

// SizeDevice: bytes.
func (s EvictRowView) SizeDevice() int64 { return int64(s.r.u64(24)) }

// SizeSlots.
func (s EvictRowView) SizeSlots() int64 { return int64(s.r.u64(32)) }

// LastUsedMs: a request last came, ms since 1970.
func (s EvictRowView) LastUsedMs() int64 { return int64(s.r.u64(40)) }

// LoadedAtMs: its load ended, ms since 1970.
func (s EvictRowView) LoadedAtMs() int64 { return int64(s.r.u64(48)) }

// Rate: of the model on this host, decayed over hours; survives eviction, requests per 1e6 s.
func (s EvictRowView) Rate() uint64 { return s.r.u64(56) }

// RateRecent: decayed over minutes, requests per 1e6 s.
func (s EvictRowView) RateRecent() uint64 { return s.r.u64(64) }

// Uses: requests since its load.
func (s EvictRowView) Uses() uint64 { return s.r.u64(72) }

// Inflation: sum of the keep-values of what was evicted since its last use, each the largest of one eviction, tiers of priority aside: the clock of Greedy-Dual policies, keep-value.
func (s EvictRowView) Inflation() int64 { return int64(s.r.u64(80)) }

// LoadMs: its load took, ms.
func (s EvictRowView) LoadMs() uint32 { return s.r.u32(88) }

// InFlight: requests now.
func (s EvictRowView) InFlight() uint32 { return s.r.u32(92) }

// Priority: of its owner; higher is kept longer.
func (s EvictRowView) Priority() int32 { return int32(s.r.u32(96)) }

// Flags.
func (s EvictRowView) Flags() CopyFlag { return CopyFlag(s.r.u16(100)) }

// CopiesElsewhere: of the model on other hosts.
func (s EvictRowView) CopiesElsewhere() uint16 { return s.r.u16(102) }

// Name: model id. It is nil when it is not within the request.
func (s EvictRowView) Name() []byte { return s.r.text(104) }

func (s EvictRowView) decode() EvictRow {
	return EvictRow{
		Name:            string(s.Name()),
		CopyID:          s.CopyID(),
		ModelKey:        s.ModelKey(),
		SizeMemory:      s.SizeMemory(),
		SizeDevice:      s.SizeDevice(),
		SizeSlots:       s.SizeSlots(),
		LastUsedMs:      s.LastUsedMs(),
		LoadedAtMs:      s.LoadedAtMs(),
		Rate:            s.Rate(),
		RateRecent:      s.RateRecent(),
		Uses:            s.Uses(),
		Inflation:       s.Inflation(),
		LoadMs:          s.LoadMs(),
		InFlight:        s.InFlight(),
		Priority:        s.Priority(),
		Flags:           s.Flags(),
		CopiesElsewhere: s.CopiesElsewhere(),
	}
}
