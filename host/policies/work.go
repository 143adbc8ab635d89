package policies

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
	"github.com/wasmesh/wasmesh/wasm-policies/hook"
)

const (
	// maxGenerations bounds what is kept compiled: each takes megabytes. A plan of two hooks has at most eight.
	maxGenerations = 8
	// builtInGeneration is what metrics call a built-in policy's.
	builtInGeneration = "built-in"

	firstRetry = time.Second
	maxRetry   = 30 * time.Second
)

// work is the loop: bring everything in line with the plan, prepare one generation, again.
func (s *Set) work(ctx context.Context) {
	for ctx.Err() == nil {
		s.adopt()
		g, wait := s.next(time.Now())
		if g != nil {
			s.prepare(ctx, g)
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-s.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// urgency orders roles by who is prepared first.
var urgency = map[syncv1.PolicyRole]int{
	syncv1.PolicyRole_POLICY_ROLE_ACTIVE: 4, syncv1.PolicyRole_POLICY_ROLE_CANDIDATE: 3,
	syncv1.PolicyRole_POLICY_ROLE_SHADOW: 2, syncv1.PolicyRole_POLICY_ROLE_PREVIOUS: 1,
}

// adopt brings generations and hooks in line with the newest plan, as far as that is possible without preparing anything.
func (s *Set) adopt() {
	s.mu.Lock()
	plan, renewed := s.plan, s.plan != s.adopted && !proto.Equal(s.plan, s.adopted)
	if renewed {
		s.line(plan)
	}
	s.adopted = plan
	for _, of := range []policyabi.Hook{policyabi.HookPlace, policyabi.HookEvict} {
		s.steer(of)
	}
	for id, g := range s.generations {
		if g.failed || !mentions(plan, id) {
			g.release()
		}
		if !mentions(plan, id) {
			delete(s.generations, id)
		}
	}
	s.mu.Unlock()
	if renewed {
		s.keepPlan(plan)
	}
	signal(s.changed)
}

// line gives every generation that a plan names its role. What had failed is tried again.
func (s *Set) line(plan *syncv1.PolicyPlan) {
	entries := slices.Clone(plan.GetEntries())
	slices.SortStableFunc(entries, func(a, b *syncv1.PolicyPlan_Entry) int {
		return cmp.Compare(urgency[b.GetRole()], urgency[a.GetRole()])
	})
	seen := make(map[string]bool)
	for _, entry := range entries {
		id := entry.GetGeneration().GetId()
		if seen[id] {
			continue // In several roles: the most urgent counts.
		}
		seen[id] = true
		g := s.generations[id]
		if g == nil {
			g = &generation{meta: entry.GetGeneration()}
			s.generations[id] = g
		}
		g.role = entry.GetRole()
		g.rename(entry.GetGeneration())
		if g.program == nil {
			g.failed, g.message, g.attempts, g.retryAt = false, "", 0, time.Time{}
		}
		if problem := s.problem(g, len(seen)); problem != "" {
			g.failed, g.message = true, problem
		}
	}
}

// rename has a generation go by what the newest plan calls it: of two ConfigMaps with the same content, another may have it
// now. Its figures begin anew.
func (g *generation) rename(meta *syncv1.Generation) {
	if g.meta.GetPolicy() == meta.GetPolicy() {
		return
	}
	g.meta = meta
	if g.program != nil {
		g.decider = hook.NewGeneration(meta, g.program)
	}
}

// problem says why a generation cannot be used, as far as its description tells; number is its place in the plan.
func (s *Set) problem(g *generation, number int) string {
	switch {
	case s.byName(g.meta.GetHook()) == nil:
		return fmt.Sprintf("policy %s: hook %q is not decided by policies on this host: it knows place and evict", g.meta.GetPolicy(), g.meta.GetHook())
	case len(g.meta.GetModuleDigest()) != digestBytes:
		return fmt.Sprintf("policy %s: the digest of its module has %d bytes, not %d", g.meta.GetPolicy(), len(g.meta.GetModuleDigest()), digestBytes)
	case number > maxGenerations:
		return fmt.Sprintf("policy %s: this host keeps at most %d generations: remove others", g.meta.GetPolicy(), maxGenerations)
	}
	return ""
}

// steer has a hook use what the plan wants of what is prepared; the caller holds s.mu.
func (s *Set) steer(of policyabi.Hook) {
	h := s.byName(of.String())
	var active, shadow *hook.Generation
	for _, entry := range slices.Backward(s.adopted.GetEntries()) { // Of several, the first counts.
		g := s.generations[entry.GetGeneration().GetId()]
		switch {
		case g.failed || g.meta.GetHook() != of.String():
		case g.role == syncv1.PolicyRole_POLICY_ROLE_ACTIVE:
			active = g.decider
		case g.role == syncv1.PolicyRole_POLICY_ROLE_SHADOW:
			shadow = g.decider
		}
	}
	h.Shadow(shadow)
	if h.Active() == active {
		return
	}
	if active == nil {
		h.Deactivate()
		s.metrics.Decides(of, h.BuiltIn(), builtInGeneration)
		s.config.Logger.Info("the built-in policy decides", "hook", of.String(), "policy", h.BuiltIn())
		return
	}
	h.Activate(active)
	s.metrics.Decides(of, active.Meta().GetPolicy(), active.Meta().GetId())
	s.config.Logger.Info("policy decides", "hook", of.String(), "policy", active.Meta().GetPolicy(), "generation", active.Meta().GetId())
}

// next answers what to prepare now, or how long to wait for what may be tried again.
func (s *Set) next(now time.Time) (*generation, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var best *generation
	wait := time.Hour
	for _, g := range s.generations {
		switch {
		case g.failed || g.program != nil:
		case now.Before(g.retryAt):
			wait = min(wait, g.retryAt.Sub(now))
		case best == nil || urgency[g.role] > urgency[best.role] || urgency[g.role] == urgency[best.role] && g.meta.GetId() < best.meta.GetId():
			best = g
		}
	}
	return best, wait
}
