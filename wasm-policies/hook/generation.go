package hook

import (
	"sync"
	"sync/atomic"
	"time"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"

	"github.com/wasmesh/wasmesh/wasm-policies/engine"
)

// Generation is a program in the service of one hook, with its figures. Whoever makes one owns the program and releases it
// only after the hook has been told to use another.
type Generation struct {
	meta    *syncv1.Generation
	program program
	breaker breaker
	tally   *tally
}

// tally are the figures of a generation. Apart, so that records keep no program alive.
type tally struct {
	answered, abstained, failed, envelope, compared, differed, impure, fuelMax atomic.Uint64

	mu      sync.Mutex
	problem string // the last, for people
}

// Figures are what a generation has been through since it was made.
type Figures struct {
	// Answered, Abstained and Failed count decisions; a failed one was the built-in policy's.
	Answered, Abstained, Failed uint64
	// EnvelopeHits count limits of the host that answers ran into.
	EnvelopeHits uint64
	// Compared and Differed count what it said as a shadow.
	Compared, Differed uint64
	// Impure counts second looks that came out otherwise.
	Impure uint64
	// FuelMax is the fuel of the most expensive decision.
	FuelMax uint64
	// Degraded: it fails so often that it should be rolled back.
	Degraded bool
	// Problem is the last thing that went wrong, for people; empty for nothing.
	Problem string
}

// NewGeneration makes a generation of a program that implements the hook. meta must not be changed afterwards.
func NewGeneration(meta *syncv1.Generation, p *engine.Program) *Generation {
	return newGeneration(meta, compiled{p})
}

func newGeneration(meta *syncv1.Generation, p program) *Generation {
	return &Generation{meta: meta, program: p, tally: &tally{}}
}

// Meta is what the generation was made of.
func (g *Generation) Meta() *syncv1.Generation { return g.meta }

// Figures is a snapshot.
func (g *Generation) Figures(now time.Time) Figures {
	t := g.tally
	t.mu.Lock()
	problem := t.problem
	t.mu.Unlock()
	return Figures{
		Answered: t.answered.Load(), Abstained: t.abstained.Load(), Failed: t.failed.Load(),
		EnvelopeHits: t.envelope.Load(), Compared: t.compared.Load(), Differed: t.differed.Load(),
		Impure: t.impure.Load(), FuelMax: t.fuelMax.Load(),
		Degraded: g.breaker.degraded(now), Problem: problem,
	}
}

// add counts one reply.
func (t *tally) add(r reply) {
	switch r.outcome {
	case syncv1.DecisionOutcome_DECISION_OUTCOME_ANSWERED:
		t.answered.Add(1)
	case syncv1.DecisionOutcome_DECISION_OUTCOME_ABSTAINED:
		t.abstained.Add(1)
	case syncv1.DecisionOutcome_DECISION_OUTCOME_BUSY:
		t.failed.Add(1) // And nobody to blame: there was more to decide at a time than it has instances.
	default:
		t.failed.Add(1)
		t.blame(r.err.Error())
	}
	for seen := t.fuelMax.Load(); r.fuel > seen && !t.fuelMax.CompareAndSwap(seen, r.fuel); {
		seen = t.fuelMax.Load()
	}
}

func (t *tally) blame(problem string) {
	t.mu.Lock()
	t.problem = clip(problem, maxText)
	t.mu.Unlock()
}
