package policies

import (
	"context"
	"log/slog"
	"slices"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
	"github.com/wasmesh/wasmesh/wasm-policies/builtin"
	"github.com/wasmesh/wasmesh/wasm-policies/engine"
	"github.com/wasmesh/wasmesh/wasm-policies/hook"
)

// hostID is the controller's, in records and reports of the hook that it decides itself.
const hostID = "controller"

// maxRemembered answers are kept: those of 64,000 objects, in about 20 MiB.
const maxRemembered = 64_000

// statusHook decides how statuses read. It does for the controller what a host does for itself: prepares the generations
// of a plan, uses them, and reports.
//
// An object whose facts have not changed is not asked about again: a pass looks at all objects whenever one of them has
// changed, and the record of decisions is to show what happened, not how often it was looked at. What the status said
// before is no fact of its own: it is what the last answer has made of it, and a policy that answered to it could have a
// status change for ever while nothing happens.
type statusHook struct {
	hook   *hook.Hook
	engine *engine.Engine
	logger *slog.Logger

	// The rest, up to the lock, belongs to Runner.Run's goroutine.
	plan     *syncv1.PolicyPlan
	prepared map[string]*prepared

	mu         sync.Mutex
	remembered *lru.LRU[string, rememberedStatus]
	// version counts how often a request may have come to be answered otherwise than before.
	version uint64
}

// prepared is a generation that was compiled, or could not be.
type prepared struct {
	program    *engine.Program
	generation *hook.Generation
	// fault says why it cannot be used; empty when it can.
	fault string
}

// rememberedStatus is an answer with what was asked.
type rememberedStatus struct {
	context policyabi.StatusContext
	rows    []policyabi.StatusRow
	answer  policyabi.StatusAnswer
}

// isOf says whether the request has the same facts.
func (r rememberedStatus) isOf(request *policyabi.StatusRequest) bool {
	context := request.Context
	context.PreviousTransition, context.PreviousFailure = r.context.PreviousTransition, r.context.PreviousFailure
	return context == r.context && slices.EqualFunc(r.rows, request.Rows, func(a, b policyabi.StatusRow) bool {
		a.PreviousState = b.PreviousState
		return a == b
	})
}

func newStatusHook(e *engine.Engine, changed func(), logger *slog.Logger) (*statusHook, error) {
	h, err := hook.New(hook.Config{
		Hook: policyabi.HookStatus, BuiltIn: builtin.Default(policyabi.HookStatus), Host: hostID, Changed: changed, Logger: logger,
	})
	if err != nil {
		return nil, err
	}
	remembered, err := lru.NewLRU[string, rememberedStatus](maxRemembered, nil)
	if err != nil {
		panic(err) // Only a size that is not positive is refused.
	}
	return &statusHook{
		hook: h, engine: e, logger: logger, prepared: map[string]*prepared{}, remembered: remembered,
	}, nil
}

// decide answers a request. The request's header has the decision's id when the hook was asked, and 0 when the answer was
// remembered.
func (s *statusHook) decide(request *policyabi.StatusRequest) policyabi.StatusAnswer {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := request.Context.Name
	if r, found := s.remembered.Get(name); found && r.isOf(request) {
		return r.answer
	}
	about := hook.About{Model: name} // Of an object without a model.
	if len(request.Rows) > 0 {
		about.Model = request.Rows[len(request.Rows)-1].Name
	}
	stated := s.hook.Status(request, about)
	switch stated.Outcome {
	case syncv1.DecisionOutcome_DECISION_OUTCOME_ANSWERED, syncv1.DecisionOutcome_DECISION_OUTCOME_ABSTAINED,
		syncv1.DecisionOutcome_DECISION_OUTCOME_BUILT_IN:
		s.remembered.Add(name, rememberedStatus{
			context: request.Context, rows: slices.Clone(request.Rows), answer: stated.Answer,
		})
	default:
		s.remembered.Remove(name) // It is asked again, until it answers or is taken back.
		s.version++
	}
	return stated.Answer
}

// forget all answers: somebody else decides.
func (s *statusHook) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remembered.Purge()
	s.version++
}

// answering is decide.Input.StatusVersion.
func (s *statusHook) answering() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.version
}

// missing answers a generation of the plan that has not been prepared; nil for none.
func (s *statusHook) missing() *syncv1.Generation {
	for _, e := range s.plan.GetEntries() {
		if s.prepared[e.GetGeneration().GetId()] == nil {
			return e.GetGeneration()
		}
	}
	return nil
}

// prepare compiles a generation and tries it. It touches nothing of the hook's, and runs off the runner's goroutine; nil
// when the context ended first.
func (s *statusHook) prepare(ctx context.Context, meta *syncv1.Generation, module []byte) *prepared {
	program, err := s.engine.Compile(ctx, engine.Source{Name: meta.GetPolicy(), Module: module, Config: meta.GetConfig()})
	if err == nil {
		if _, err = s.hook.Preflight(ctx, program); err != nil {
			program.Release()
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return &prepared{fault: err.Error()}
	}
	return &prepared{program: program, generation: hook.NewGeneration(meta, program)}
}

// adopt takes over what prepare made. It answers whether another generation decides now.
func (s *statusHook) adopt(id string, p *prepared) (changed bool) {
	if before := s.prepared[id]; before != nil || !s.planned(id) {
		p.release()
		return false
	}
	s.prepared[id] = p
	return s.apply(s.plan)
}

func (s *statusHook) planned(id string) bool {
	return slices.ContainsFunc(s.plan.GetEntries(), func(e *syncv1.PolicyPlan_Entry) bool { return e.GetGeneration().GetId() == id })
}

// apply follows a plan as far as its generations are prepared. It answers whether another generation decides now. One that
// is active and not prepared is not replaced by an older one, but by the built-in policy.
func (s *statusHook) apply(plan *syncv1.PolicyPlan) (changed bool) {
	s.plan = plan
	var active, shadow *hook.Generation
	for _, e := range plan.GetEntries() {
		p := s.prepared[e.GetGeneration().GetId()]
		if p == nil {
			continue
		}
		if p.generation != nil && p.generation.Meta().GetPolicy() != e.GetGeneration().GetPolicy() {
			// Of two ConfigMaps with the same content another has it now, and records are to name that one.
			p.generation = hook.NewGeneration(e.GetGeneration(), p.program)
		}
		switch e.GetRole() {
		case syncv1.PolicyRole_POLICY_ROLE_ACTIVE:
			active = p.generation
		case syncv1.PolicyRole_POLICY_ROLE_SHADOW:
			shadow = p.generation
		}
	}
	changed = active != s.hook.Active()
	s.hook.Activate(active)
	s.hook.Shadow(shadow)
	if changed {
		s.forget()
	}
	for id, p := range s.prepared {
		if !s.planned(id) {
			p.release()
			delete(s.prepared, id)
		}
	}
	return changed
}

func (p *prepared) release() {
	if p.program != nil {
		p.program.Release()
	}
}

// close releases everything. Statuses are the built-in policy's afterwards.
func (s *statusHook) close() {
	s.apply(nil)
	s.hook.Close()
}
