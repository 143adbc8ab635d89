package hook

import (
	"errors"
	"fmt"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
	"github.com/wasmesh/wasmesh/wasm-policies/hook/internal/header"
)

// About says, for the record, whom a decision is about.
type About struct {
	// Model is the id of the model that is to be placed, or that is to come; of a status the object's name.
	Model string
	// Passing: nothing is done about the answer, which is asked for again and again, so it is not recorded. It counts as a
	// decision in all other ways.
	Passing bool
}

// Result says how a decision came about.
type Result struct {
	// Decision is its id, unique on this host: see Note.
	Decision uint64
	// Generation is the id of the one that was asked; empty when none was.
	Generation string
	// Outcome: unless it is ANSWERED, the built-in policy decided.
	Outcome syncv1.DecisionOutcome
}

// Placed is a ranking of hosts, best first. A host that is not named is not wanted.
type Placed struct {
	Result
	Answers []policyabi.PlaceAnswer
}

// Evicted has one answer for each row; the lowest Keep goes first.
type Evicted struct {
	Result
	Answers []policyabi.EvictAnswer
}

// Stated says how a status reads.
type Stated struct {
	Result
	Answer policyabi.StatusAnswer
}

// Place ranks hosts. The Hook fills the header's id and seed, and its time unless the caller did.
func (h *Hook) Place(request *policyabi.PlaceRequest, about About) Placed {
	answers := make([]policyabi.PlaceAnswer, 0, len(request.Rows))
	result := h.decide(question{
		header: &request.Header, request: request, rows: len(request.Rows), about: about,
		accept: func(answer []byte) (err error) {
			answers, err = policyabi.AppendPlaceAnswers(answers[:0], answer, len(request.Rows))
			return err
		},
	})
	return Placed{Result: result, Answers: answers}
}

// Evict says what each copy is worth. The Hook fills the header as for Place.
func (h *Hook) Evict(request *policyabi.EvictRequest, about About) Evicted {
	answers := make([]policyabi.EvictAnswer, 0, len(request.Rows))
	result := h.decide(question{
		header: &request.Header, request: request, rows: len(request.Rows), about: about,
		accept: func(answer []byte) (err error) {
			answers, err = policyabi.AppendEvictAnswers(answers[:0], answer, len(request.Rows))
			return err
		},
	})
	return Evicted{Result: result, Answers: answers}
}

// Status says how a status reads. The Hook fills the header as for Place.
func (h *Hook) Status(request *policyabi.StatusRequest, about About) Stated {
	var stated policyabi.StatusAnswer
	result := h.decide(question{
		header: &request.Header, request: request, rows: len(request.Rows), about: about,
		accept: func(answer []byte) (err error) {
			stated, err = policyabi.DecodeStatusAnswer(answer)
			return err
		},
	})
	return Stated{Result: result, Answer: stated}
}

// question is a decision to be taken.
type question struct {
	header  *policyabi.Header
	request interface {
		Size() int
		Encode([]byte)
	}
	rows  int
	about About
	// accept checks an answer and keeps it; on an error it has kept nothing that matters.
	accept func(answer []byte) error
}

// encode writes the request. Its header keeps the decision's id, for the caller, but not the time: a request that is used
// again would be asked at the time of the first.
func (q question) encode(s slot, now int64) {
	callers := q.header.NowMs
	q.header.DecisionID, q.header.NowMs, q.header.Seed = s.id, now, seed(s.id)
	q.request.Encode(s.bytes)
	q.header.NowMs = callers
}

// decide answers a question and records how.
func (h *Hook) decide(q question) Result {
	start := h.config.Now()
	size := q.request.Size()
	s := h.recorder.reserve(size, !q.about.Passing)
	if s.entry < 0 {
		if !q.about.Passing {
			h.config.Observer.Count(Unrecorded, "")
		}
		scratch := h.buffer(size)
		defer h.free(scratch)
		s.bytes = *scratch
	}
	now := q.header.NowMs
	if now == 0 {
		now = start.UnixMilli()
	}
	q.encode(s, now)
	d := decided{timeMS: now, model: q.about.Model, response: header.Field(s.bytes, header.ResponseOff)}
	room := s.bytes[d.response:]

	generation := h.ask(&d, call{hook: h.config.Hook, request: s.bytes, rows: q.rows, accept: func(answer []byte) error {
		d.answer = copy(room, answer)
		return q.accept(room[:d.answer])
	}})
	if d.outcome != syncv1.DecisionOutcome_DECISION_OUTCOME_ANSWERED {
		if err := q.accept(h.fallBack(s.bytes, &d)); err != nil && q.rows > 0 {
			h.config.Logger.Error("the built-in policy broke a rule of the ABI", "hook", h.config.Hook.String(), "error", err)
		}
	}
	h.followUp(s, d, generation)
	h.recorder.commit(s, d)
	h.config.Observer.Decided(d.outcome, h.config.Now().Sub(start), d.fuel)
	return Result{Decision: s.id, Generation: d.generation.GetId(), Outcome: d.outcome}
}

// fallBack has the built-in policy answer in place, over whatever a guest's answer has left in the response area.
func (h *Hook) fallBack(request []byte, d *decided) []byte {
	answer, err := h.config.BuiltIn.Decide(request)
	if err != nil {
		h.config.Logger.Error("the built-in policy cannot read a request", "hook", h.config.Hook.String(), "error", err)
	}
	d.answer = len(answer)
	return answer
}

// errResting is recorded while a degraded generation is not asked.
var errResting = errors.New("it has failed too often and rests")

// ask has the active generation answer, if there is one that may be asked, and fills the reply. It answers the generation
// that was called.
func (h *Hook) ask(d *decided, c call) *Generation {
	for {
		g := h.active.Load()
		d.reply = reply{outcome: syncv1.DecisionOutcome_DECISION_OUTCOME_BUILT_IN}
		if g == nil {
			return nil
		}
		allowed, probe := g.breaker.allow(h.config.Now())
		if !allowed {
			d.err = fmt.Errorf("generation %s of policy %s was not asked: %w", g.meta.GetId(), g.meta.GetPolicy(), errResting)
			return nil
		}
		r, err := ask(g.program, c)
		if err != nil {
			g.breaker.undecided(probe)
			if h.active.Load() == g {
				d.err = err // Closed though active: its owner is shutting down.
				return nil
			}
			continue
		}
		d.reply, d.generation, d.tally = r, g.meta, g.tally
		g.tally.add(r)
		h.judge(g, r, probe)
		return g
	}
}

// judge tells the breaker.
func (h *Hook) judge(g *Generation, r reply, probe bool) {
	now := h.config.Now()
	switch r.outcome {
	case syncv1.DecisionOutcome_DECISION_OUTCOME_ANSWERED, syncv1.DecisionOutcome_DECISION_OUTCOME_ABSTAINED:
		g.breaker.succeeded(now, probe)
	case syncv1.DecisionOutcome_DECISION_OUTCOME_BUSY:
		g.breaker.undecided(probe) // Load is not the policy's fault.
	default:
		if g.breaker.failed(now, probe) {
			h.config.Logger.Warn("policy is degraded: the built-in policy decides until it has rested",
				"hook", h.config.Hook.String(), "policy", g.meta.GetPolicy(), "generation", g.meta.GetId(), "error", r.err)
			h.config.Changed()
		}
	}
}

// seed is the randomness of a decision, the same whenever the decision is repeated: splitmix64 of its id.
func seed(id uint64) uint64 {
	id += 0x9e3779b97f4a7c15
	id = (id ^ id>>30) * 0xbf58476d1ce4e5b9
	id = (id ^ id>>27) * 0x94d049bb133111eb
	return id ^ id>>31
}
