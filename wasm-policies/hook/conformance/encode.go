package conformance

import "github.com/wasmesh/wasmesh/sdk/policyabi"

// Plausible limits of what fields hold.
const (
	now       = 1_700_000_000_000 // ms since 1970
	day       = 86_400_000        // ms
	gigabytes = 64 << 30
	perMega   = 1_000_000_000 // requests per 1e6 s: a thousand a second
	few       = 4
	many      = 1000
)

// filler fills structs field by field from a shape.
type filler struct {
	shape
	source source
}

func (f *filler) number(limit uint64) uint64 { return f.values.next(&f.source, limit) }
func (f *filler) i64(limit uint64) int64     { return int64(f.number(limit)) }
func (f *filler) u32(limit uint64) uint32    { return uint32(f.number(limit)) }
func (f *filler) i32(limit uint64) int32     { return int32(f.number(limit)) }
func (f *filler) u16(limit uint64) uint16    { return uint16(f.number(limit)) }

// past is a time, of plausible ones in the last day.
func (f *filler) past() int64 {
	if f.values.raw {
		return f.i64(0)
	}
	return now - f.i64(day)
}

// one is a value of an enum of so many, all known: policies may pass them on into answers, where others are not allowed.
func (f *filler) one(of uint64) uint16 { return 1 + f.upTo(of-1) }

// upTo is one, or 0 for nothing.
func (f *filler) upTo(last uint64) uint16 { return uint16(f.number(last+1) % (last + 1)) }

// purpose may be one that a newer host knows.
func (f *filler) purpose() policyabi.Purpose {
	if f.values.raw {
		return policyabi.Purpose(f.u16(0))
	}
	return policyabi.Purpose(f.one(6))
}

func (f *filler) header() policyabi.Header {
	h := policyabi.Header{Flags: policyabi.RequestFlagPreflight, DecisionID: 1, NowMs: now, Seed: 1}
	if f.values.raw {
		h.DecisionID, h.NowMs, h.Seed = f.number(0), f.i64(0), f.number(0)
	}
	return h
}

// encode makes the request of a shape for a hook; not ok for hooks that no policy answers.
func encode(hook policyabi.Hook, s shape) (request []byte, ok bool) {
	f := &filler{shape: s, source: source{state: uint64(hook)<<32 | uint64(s.rows)}}
	var r interface {
		Size() int
		Encode([]byte)
	}
	switch hook {
	case policyabi.HookPlace:
		r = f.place()
	case policyabi.HookEvict:
		r = f.evict()
	case policyabi.HookStatus:
		r = f.status()
	default:
		return nil, false
	}
	request = make([]byte, r.Size())
	r.Encode(request)
	return request, true
}

func (f *filler) place() *policyabi.PlaceRequest {
	r := &policyabi.PlaceRequest{Header: f.header(), Context: policyabi.PlaceContext{
		ModelKey: f.number(1 << 62), NeedMemory: f.i64(gigabytes), NeedDevice: f.i64(few), NeedSlots: f.i64(few),
		LastUsedMs: f.past(), Rate: f.number(perMega), RateRecent: f.number(perMega), LoadMs: f.u32(many), Priority: f.i32(few),
		Purpose: f.purpose(), Flags: policyabi.ModelFlag(f.u16(few)), Zone: f.u16(few), Copies: f.u16(few),
		Name: f.text(-1),
	}}
	for i := range f.rows {
		r.Rows = append(r.Rows, policyabi.PlaceRow{
			HostKey: f.number(1 << 62), Flags: policyabi.HostFlag(f.u32(1 << 7)), Zone: f.u16(few), ZoneCopies: f.u16(few),
			FreeMemory: f.i64(gigabytes), FreeDevice: f.i64(few), FreeSlots: f.i64(few),
			CapacityMemory: f.i64(gigabytes), CapacityDevice: f.i64(few), CapacitySlots: f.i64(few),
			Reclaim16th: f.i64(many), Reclaim8th: f.i64(many), Reclaim4th: f.i64(many), ReclaimHalf: f.i64(many),
			OldestMs: f.past(), StartedMs: f.past(), LoadsQueued: f.u32(few), LoadsRunning: f.u32(few), InFlight: f.u32(many),
			Copies: f.u32(many), Rate: f.number(perMega), Name: f.text(i),
		})
	}
	return r
}

func (f *filler) evict() *policyabi.EvictRequest {
	r := &policyabi.EvictRequest{Header: f.header(), Context: policyabi.EvictContext{
		ModelKey: f.number(1 << 62), NeedMemory: f.i64(gigabytes), NeedDevice: f.i64(few), NeedSlots: f.i64(few),
		FreeMemory: f.i64(gigabytes), FreeDevice: f.i64(few), FreeSlots: f.i64(few),
		CapacityMemory: f.i64(gigabytes), CapacityDevice: f.i64(few), CapacitySlots: f.i64(few),
		Purpose: f.purpose(), Flags: policyabi.ModelFlag(f.u16(few)), Priority: f.i32(few), Name: f.text(-1),
	}}
	for i := range f.rows {
		r.Rows = append(r.Rows, policyabi.EvictRow{
			CopyID: f.number(1 << 62), ModelKey: f.number(1 << 62),
			SizeMemory: f.i64(gigabytes), SizeDevice: f.i64(few), SizeSlots: f.i64(few),
			LastUsedMs: f.past(), LoadedAtMs: f.past(), Rate: f.number(perMega), RateRecent: f.number(perMega), Uses: f.number(many),
			Inflation: f.i64(many), LoadMs: f.u32(many), InFlight: f.u32(few), Priority: f.i32(few),
			Flags: policyabi.CopyFlag(f.u16(1 << 3)), CopiesElsewhere: f.u16(few), Name: f.text(i),
		})
	}
	return r
}

func (f *filler) status() *policyabi.StatusRequest {
	r := &policyabi.StatusRequest{Header: f.header(), Context: policyabi.StatusContext{
		Flags: policyabi.StatusFlag(f.u32(few)), Transition: policyabi.Transition(f.one(4)), SpecFault: policyabi.Failure(f.upTo(6)),
		HostsConnected: f.u32(few), PreviousTransition: policyabi.Transition(f.upTo(4)), PreviousFailure: policyabi.Failure(f.upTo(6)),
		Name: f.text(-1),
	}}
	for i := range f.rows {
		r.Rows = append(r.Rows, policyabi.StatusRow{
			ModelKey: f.number(1 << 62), FailedAtMs: f.past(), RetryAtMs: f.past(), Loaded: f.u32(few), Loading: f.u32(few),
			Draining: f.u32(few), Failed: f.u32(few), HostsReady: f.u32(few), HostsWaiting: f.u32(few),
			Flags: policyabi.RevisionFlag(f.u16(1 << 3)), NewestFailure: policyabi.Failure(f.upTo(6)),
			Unsupported: policyabi.Failure(f.upTo(6)), PreviousState: policyabi.ModelState(f.upTo(5)), Name: f.text(i),
		})
	}
	return r
}
