package hook

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
	"github.com/wasmesh/wasmesh/wasm-policies/hook/conformance"
	"github.com/wasmesh/wasmesh/wasm-policies/hook/internal/header"
)

// maxJobs wait for the goroutine; what comes then is dropped and counted.
const maxJobs = 16

// job is a decision to be asked again, off the path: of a shadow, or of the generation that took it.
type job struct {
	asked   *Generation
	recheck bool
	// bytes are the request, with the answer that was decided in its response area.
	bytes *[]byte
	id    uint64
	decided
}

// followUp has a decision that is about to be committed looked at in the background, if anybody wants to. The price on the
// path of the decision is one copy.
func (h *Hook) followUp(s slot, d decided, live *Generation) {
	if shadow := h.shadow.Load(); shadow != nil {
		h.enqueue(job{asked: shadow, id: s.id, decided: d}, s.bytes)
	}
	if live == nil || !repeatable(d.outcome) || h.rechecks.Add(1)%recheckEvery != 0 {
		return
	}
	h.enqueue(job{asked: live, recheck: true, id: s.id, decided: d}, s.bytes)
}

func repeatable(outcome syncv1.DecisionOutcome) bool {
	return outcome == syncv1.DecisionOutcome_DECISION_OUTCOME_ANSWERED || outcome == syncv1.DecisionOutcome_DECISION_OUTCOME_ABSTAINED
}

func (h *Hook) enqueue(j job, request []byte) {
	if len(h.jobs) == cap(h.jobs) {
		h.drop(j)
		return
	}
	j.bytes = h.buffer(len(request))
	copy(*j.bytes, request)
	select {
	case h.jobs <- j:
	default:
		h.free(j.bytes)
		h.drop(j)
	}
}

func (h *Hook) drop(j job) {
	if !j.recheck {
		h.config.Observer.Count(ShadowDropped, "")
	}
}

// work is the Hook's goroutine.
func (h *Hook) work(ctx context.Context) {
	defer close(h.done)
	for {
		select {
		case <-ctx.Done():
			return
		case j := <-h.jobs:
			if j.recheck {
				h.lookAgain(j)
			} else {
				h.compare(j)
			}
			h.free(j.bytes)
		}
	}
}

// split takes the answer out of a job's bytes, which are then the request as it was asked.
func (j job) split() (request, answer []byte) {
	request = *j.bytes
	answer = slices.Clone(request[j.response : j.response+j.answer])
	clear(request[j.response:])
	return request, answer
}

// again has a program answer a request off the path; the answer is a copy.
func (h *Hook) again(p program, request []byte) (answer []byte, r reply, err error) {
	rows := header.Field(request, header.RowCount)
	r, err = ask(p, call{hook: h.config.Hook, request: request, rows: rows, accept: func(a []byte) error {
		answer = slices.Clone(a)
		return conformance.Valid(h.config.Hook, answer, rows)
	}})
	return answer, r, err
}

// lookAgain finds generations that answer the same question differently: they keep state, and replaying their decisions
// tells nothing.
func (h *Hook) lookAgain(j job) {
	request, before := j.split()
	answer, r, err := h.again(j.asked.program, request)
	if err != nil || r.outcome == syncv1.DecisionOutcome_DECISION_OUTCOME_BUSY {
		return
	}
	if r.outcome == j.outcome && (!j.byPolicy() || bytes.Equal(answer, before)) {
		return
	}
	h.config.Observer.Count(Impure, "")
	j.tally.blame(fmt.Sprintf("it is not a pure function: decision %d came out otherwise when it was asked again", j.id))
	if j.tally.impure.Add(1) == 1 {
		h.config.Logger.Warn("policy is not a pure function: a decision came out otherwise when it was asked again",
			"hook", h.config.Hook.String(), "policy", j.generation.GetPolicy(), "generation", j.generation.GetId(), "decision", j.id)
	}
}

// byPolicy says whether the answer is the generation's, not the built-in policy's.
func (d decided) byPolicy() bool {
	return d.outcome == syncv1.DecisionOutcome_DECISION_OUTCOME_ANSWERED
}

// compare asks a shadow. Where it has no answer, what would have been decided is the built-in policy's.
func (h *Hook) compare(j job) {
	g := j.asked
	request, live := j.split()
	header.SetFlag(request, policyabi.RequestFlagShadow)
	answer, r, err := h.again(g.program, request)
	if err != nil {
		return // It has been replaced meanwhile.
	}
	if r.outcome == syncv1.DecisionOutcome_DECISION_OUTCOME_BUSY {
		h.drop(j)
		return
	}
	g.tally.add(r)
	if r.outcome != syncv1.DecisionOutcome_DECISION_OUTCOME_ANSWERED {
		d := decided{response: j.response}
		answer = slices.Clone(h.fallBack(request, &d))
		clear(request[j.response:])
	}
	text, err := Differ(h.config.Hook, request, live, answer)
	if err != nil {
		h.config.Logger.Error("compare a shadow's answer", "hook", h.config.Hook.String(), "error", err)
		return
	}
	g.tally.compared.Add(1)
	h.config.Observer.Count(ShadowCompared, "")
	if text == "" {
		return
	}
	g.tally.differed.Add(1)
	h.config.Observer.Count(ShadowDiffered, "")
	h.recordDifference(request, answer, decided{
		reply: r, generation: g.meta, tally: g.tally, timeMS: j.timeMS, model: j.model, response: j.response, answer: len(answer),
		effect: fmt.Sprintf("shadow, beside decision %d: %s", j.id, text),
	})
}

func (h *Hook) recordDifference(request, answer []byte, d decided) {
	s := h.differences.reserve(len(request), true)
	if s.entry < 0 {
		return
	}
	copy(s.bytes, request)
	copy(s.bytes[d.response:], answer)
	h.differences.commit(s, d)
}
