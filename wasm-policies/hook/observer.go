package hook

import (
	"time"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// Observer hears of what a hook does, for metrics. It is called on the path of decisions and must not block.
type Observer interface {
	// Decided is told of every decision: fuel is 0 when no guest ran.
	Decided(outcome syncv1.DecisionOutcome, took time.Duration, fuel uint64)
	// Count is told of an event; detail is the rule of an EnvelopeHit, else empty.
	Count(event Event, detail string)
}

// Event is something that is only counted.
type Event uint8

const (
	// ShadowCompared: a shadow was asked what had been decided.
	ShadowCompared Event = iota + 1
	// ShadowDiffered: and would have decided otherwise.
	ShadowDiffered
	// ShadowDropped: the shadow was not asked, as it had not kept up.
	ShadowDropped
	// Impure: a generation, asked the same again, answered otherwise.
	Impure
	// EnvelopeHit: a limit of the host forbade some of an answer.
	EnvelopeHit
	// Unrecorded: the recorder had no room for a decision.
	Unrecorded
)

// silent observes nothing.
type silent struct{}

func (silent) Decided(syncv1.DecisionOutcome, time.Duration, uint64) {}
func (silent) Count(Event, string)                                   {}
