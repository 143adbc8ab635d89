package sim

import (
	"slices"

	"github.com/wasmesh/wasmesh/host/simulate/scenario"
)

// Shrink makes a scenario smaller for as long as it still fails: without steps, then without hosts and models, by halves,
// quarters and so on, and again until nothing more can go. It ends early when fails has had enough and answers false.
func Shrink(s *scenario.Scenario, fails func(*scenario.Scenario) bool) *scenario.Scenario {
	ask := func(candidate *scenario.Scenario) bool { return candidate.Check() == nil && fails(candidate) }
	for smaller := true; smaller; {
		smaller = false
		for _, part := range []func(*scenario.Scenario, func(*scenario.Scenario) bool) (*scenario.Scenario, bool){
			withoutSteps, withoutModels, withoutHosts, withoutCounts,
		} {
			var less bool
			s, less = part(s, ask)
			smaller = smaller || less
		}
	}
	return s
}

// without tries to do without chunks of a list, large ones first; make makes the scenario of what is left.
func without[T any](list []T, build func([]T) *scenario.Scenario, fails func(*scenario.Scenario) bool) (left []T, smaller bool) {
	for chunk := max(len(list)/2, 1); len(list) > 0; chunk /= 2 {
		for at := 0; at < len(list); {
			candidate := slices.Concat(list[:at], list[min(at+chunk, len(list)):])
			if fails(build(candidate)) {
				list, smaller = candidate, true
			} else {
				at += chunk
			}
		}
		if chunk <= 1 {
			break
		}
	}
	return list, smaller
}

func withoutSteps(s *scenario.Scenario, fails func(*scenario.Scenario) bool) (*scenario.Scenario, bool) {
	build := func(steps []scenario.Step) *scenario.Scenario {
		c := *s
		c.Steps = steps
		return &c
	}
	steps, smaller := without(s.Steps, build, fails)
	return build(steps), smaller
}

// withoutModels leaves models out that no step needs.
func withoutModels(s *scenario.Scenario, fails func(*scenario.Scenario) bool) (*scenario.Scenario, bool) {
	build := func(models []scenario.Model) *scenario.Scenario {
		c := *s
		c.Models = models
		return &c
	}
	models, smaller := without(s.Models, build, fails)
	return build(models), smaller
}

// withoutHosts leaves hosts out that no step needs.
func withoutHosts(s *scenario.Scenario, fails func(*scenario.Scenario) bool) (*scenario.Scenario, bool) {
	build := func(hosts []scenario.Host) *scenario.Scenario {
		c := *s
		c.Hosts = hosts
		return &c
	}
	hosts, smaller := without(s.Hosts, build, fails)
	return build(hosts), smaller
}

// withoutCounts has fewer requests come at once.
func withoutCounts(s *scenario.Scenario, fails func(*scenario.Scenario) bool) (*scenario.Scenario, bool) {
	smaller := false
	for i := range s.Steps {
		for s.Steps[i].Count > 1 {
			c := *s
			c.Steps = slices.Clone(s.Steps)
			c.Steps[i].Count /= 2
			if !fails(&c) {
				break
			}
			s, smaller = &c, true
		}
	}
	return s, smaller
}
