package hook

import (
	"slices"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// differenceBit in an id tells a shadow's record from a decision.
const differenceBit = 1 << (hookBits - 1)

// Filter chooses records.
type Filter struct {
	// Model keeps those about this model or with it as a victim; empty keeps all.
	Model string
	// Limit is how many, the newest; 0 is all.
	Limit int
}

// Records answers what has been decided, and what shadows would have decided otherwise, newest first.
func (h *Hook) Records(filter Filter) []*syncv1.Decision {
	records := append(h.read(h.recorder, filter), h.read(h.differences, filter)...)
	slices.SortStableFunc(records, NewestFirst)
	if filter.Limit > 0 && len(records) > filter.Limit {
		records = records[:filter.Limit]
	}
	return records
}

// NewestFirst orders records by time, then by id.
func NewestFirst(a, b *syncv1.Decision) int {
	if a.GetTimeMs() != b.GetTimeMs() {
		return int(min(max(b.GetTimeMs()-a.GetTimeMs(), -1), 1))
	}
	if a.GetId() == b.GetId() {
		return 0
	}
	if a.GetId() > b.GetId() {
		return -1
	}
	return 1
}

func (h *Hook) read(r *recorder, filter Filter) (records []*syncv1.Decision) {
	r.each(func(e *entry, request []byte) bool {
		if filter.Model == "" || e.model == filter.Model || slices.Contains(e.victims, filter.Model) {
			records = append(records, h.message(e, request))
		}
		return filter.Limit <= 0 || len(records) < filter.Limit
	})
	return records
}

// message copies an entry. The response area of the request is blank again, as it was when it was asked.
func (h *Hook) message(e *entry, request []byte) *syncv1.Decision {
	d := &syncv1.Decision{
		HostId: h.config.Host, Id: e.id, Hook: h.config.Hook.String(), TimeMs: e.timeMS, Outcome: e.outcome,
		Generation: e.generation, Fuel: e.fuel, Effect: e.effect, ModelId: e.model, Victims: slices.Clone(e.victims),
		Request: slices.Clone(request), Answer: slices.Clone(request[e.response : e.response+e.answer]),
	}
	clear(d.Request[e.response:])
	if e.err != nil {
		d.Error = clip(e.err.Error(), maxText)
	}
	return d
}

// Note adds to a record what came of the decision: a sentence for people, and the ids of the models that went.
func (h *Hook) Note(decision uint64, effect string, victims []string) {
	victims = slices.Clone(victims[:min(len(victims), maxVictims)])
	h.recorder.amend(decision, func(d *decided) {
		if effect != "" {
			d.effect = clip(effect, maxText)
		}
		d.victims = append(d.victims, victims...)
		d.victims = d.victims[:min(len(d.victims), maxVictims)]
	})
}

// Envelope records that a limit of the host forbade some of what a decision said. rule is one of a few words.
func (h *Hook) Envelope(decision uint64, rule string) {
	h.config.Observer.Count(EnvelopeHit, rule)
	h.recorder.amend(decision, func(d *decided) {
		if d.tally != nil {
			d.tally.envelope.Add(1)
		}
		if d.effect != "" {
			rule = d.effect + "; limit: " + rule
		} else {
			rule = "limit: " + rule
		}
		d.effect = clip(rule, maxText)
	})
}
