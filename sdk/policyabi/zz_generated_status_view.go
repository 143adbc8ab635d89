// Code generated from abi.yaml by sdk/policyabi/internal/generate. DO NOT EDIT.

package policyabi

// StatusView reads a request in place.
type StatusView struct{ v view }

// ViewStatus checks the request once. Errors wrap ErrRequest.
func ViewStatus(b []byte) (StatusView, error) {
	v, err := parse(b, HookStatus, 16, true)
	return StatusView{v}, err
}

// Header of the request.
func (v *StatusView) Header() HeaderView { return HeaderView{record{b: v.v.header}} }

// Context of the request.
func (v *StatusView) Context() StatusContextView { return StatusContextView{v.v.context} }

// Len is the number of rows.
func (v *StatusView) Len() int { return v.v.count }

// Row panics when i is not below Len, like an index.
func (v *StatusView) Row(i int) StatusRowView { return StatusRowView{v.v.row(i)} }

// Answers writes where the request has room for them.
func (v *StatusView) Answers() StatusAnswers { return StatusAnswers{response: v.v.response} }

// StatusContextView reads a StatusContext in place.
type StatusContextView struct{ r record }

// Flags.
func (s StatusContextView) Flags() StatusFlag { return StatusFlag(s.r.u32(0)) }

// Transition: as the controller sees it: which model answers is not a policy's decision.
func (s StatusContextView) Transition() Transition { return Transition(s.r.u16(4)) }

// SpecFault: why no model can be made of the spec.
func (s StatusContextView) SpecFault() Failure { return Failure(s.r.u16(6)) }

// HostsConnected: in its namespace.
func (s StatusContextView) HostsConnected() uint32 { return s.r.u32(8) }

// PreviousTransition: in the present status.
func (s StatusContextView) PreviousTransition() Transition { return Transition(s.r.u16(12)) }

// PreviousFailure: in the present status.
func (s StatusContextView) PreviousFailure() Failure { return Failure(s.r.u16(14)) }

// Name: namespace/kind/name. It is nil when it is not within the request.
func (s StatusContextView) Name() []byte { return s.r.text(16) }

func (s StatusContextView) decode() StatusContext {
	return StatusContext{
		Name:               string(s.Name()),
		Flags:              s.Flags(),
		Transition:         s.Transition(),
		SpecFault:          s.SpecFault(),
		HostsConnected:     s.HostsConnected(),
		PreviousTransition: s.PreviousTransition(),
		PreviousFailure:    s.PreviousFailure(),
	}
}

// StatusRowView reads a StatusRow in place.
type StatusRowView struct{ r record }

// ModelKey.
func (s StatusRowView) ModelKey() uint64 { return s.r.u64(0) }

// FailedAtMs: time of its newest failure, ms since 1970.
func (s StatusRowView) FailedAtMs() int64 { return int64(s.r.u64(8)) }

// RetryAtMs: it is tried again; 0 when only a change can help, ms since 1970.
func (s StatusRowView) RetryAtMs() int64 { return int64(s.r.u64(16)) }

// Loaded: copies in memory.
func (s StatusRowView) Loaded() uint32 { return s.r.u32(24) }

// Loading: copies queued or loading.
func (s StatusRowView) Loading() uint32 { return s.r.u32(28) }

// Draining: copies that leave.
func (s StatusRowView) Draining() uint32 { return s.r.u32(32) }

// Failed: copies that failed.
func (s StatusRowView) Failed() uint32 { return s.r.u32(36) }

// HostsReady: with a runtime that supports it and is up.
func (s StatusRowView) HostsReady() uint32 { return s.r.u32(40) }

// HostsWaiting: with a runtime that supports it and is not up.
func (s StatusRowView) HostsWaiting() uint32 { return s.r.u32(44) }

// Flags.
func (s StatusRowView) Flags() RevisionFlag { return RevisionFlag(s.r.u16(48)) }

// NewestFailure: of its copies, as their hosts told it.
func (s StatusRowView) NewestFailure() Failure { return Failure(s.r.u16(50)) }

// Unsupported: why no declared runtime can hold it.
func (s StatusRowView) Unsupported() Failure { return Failure(s.r.u16(52)) }

// PreviousState: in the present status.
func (s StatusRowView) PreviousState() ModelState { return ModelState(s.r.u16(54)) }

// Name: model id. It is nil when it is not within the request.
func (s StatusRowView) Name() []byte { return s.r.text(56) }

func (s StatusRowView) decode() StatusRow {
	return StatusRow{
		Name:          string(s.Name()),
		ModelKey:      s.ModelKey(),
		FailedAtMs:    s.FailedAtMs(),
		RetryAtMs:     s.RetryAtMs(),
		Loaded:        s.Loaded(),
		Loading:       s.Loading(),
		Draining:      s.Draining(),
		Failed:        s.Failed(),
		HostsReady:    s.HostsReady(),
		HostsWaiting:  s.HostsWaiting(),
		Flags:         s.Flags(),
		NewestFailure: s.NewestFailure(),
		Unsupported:   s.Unsupported(),
		PreviousState: s.PreviousState(),
	}
}
