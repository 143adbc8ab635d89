package placement

import (
	"cmp"
	"slices"

	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
)

// Candidate is a host that the load may be asked of.
type Candidate struct {
	Host string
	// Score and Reason are what the policy said; nothing of a host that it did not name.
	Score  int32
	Reason policyabi.Reason
}

// Rule is what makes a host unable to take a load, or a policy's ranking unfit.
type Rule string

// The rules.
const (
	RuleDraining Rule = "draining"
	RuleHasCopy  Rule = "has-copy"
	RuleExcluded Rule = "excluded"
	RuleTooSmall Rule = "too-small"
	// RuleUnknown: the answer is about no row, or about one again.
	RuleUnknown Rule = "unknown"
	// RuleNobody: no host that is able was named, while somebody waits and one is able.
	RuleNobody Rule = "nobody"
)

// Decision is a Choice that the place hook has made.
type Decision struct {
	Choice
	// ID is the hook's number of it, 0 for none; what comes of it is noted there.
	ID uint64
}

// Choice is what became of a policy's ranking.
type Choice struct {
	// Candidates in the order in which to ask them; none when no host is able, or when nobody waits and the policy named
	// none that is.
	Candidates []Candidate
	// Hits are the rules that the ranking ran into, each once, in the order in which they were found.
	Hits []Rule
}

// Choose checks a ranking of hosts, best first, and takes the first that are able. hosts are those that Ask was given.
// When somebody waits (Waits), able hosts that the policy did not name follow, those with most room first.
func Choose(model Model, hosts []Host, answers []policyabi.PlaceAnswer) Choice {
	var choice Choice
	seen := make([]bool, len(hosts))
	for _, a := range answers {
		if uint64(a.Row) >= uint64(len(hosts)) || seen[a.Row] {
			choice.hit(RuleUnknown)
			continue
		}
		seen[a.Row] = true
		if rule := Unable(model, hosts[a.Row]); rule != "" {
			choice.hit(rule)
			continue
		}
		choice.Candidates = append(choice.Candidates, Candidate{Host: hosts[a.Row].ID, Score: a.Score, Reason: a.Reason})
	}
	if !Waits(model.Purpose) {
		return choice
	}
	rest := unnamed(model, hosts, seen)
	if len(choice.Candidates) == 0 && len(rest) > 0 {
		choice.hit(RuleNobody)
	}
	choice.Candidates = append(choice.Candidates, rest...)
	return choice
}

func (c *Choice) hit(rule Rule) {
	if !slices.Contains(c.Hits, rule) {
		c.Hits = append(c.Hits, rule)
	}
}

// Unable says why a host cannot take a load; empty when it can, now or once others have made room.
func Unable(model Model, host Host) Rule {
	switch {
	case host.Draining:
		return RuleDraining
	case host.HasCopy:
		return RuleHasCopy
	case host.Excluded:
		return RuleExcluded
	}
	for d, capacity := range host.Capacity {
		// A capacity of 0 is one that nobody counts; but a host without any memory holds no model.
		if capacity > 0 && model.Need[d] > capacity || d == modelcache.HostMemory && capacity <= 0 {
			return RuleTooSmall
		}
	}
	return ""
}

// unnamed are the able hosts that were not seen, those with most room after the load first, then by id.
func unnamed(model Model, hosts []Host, seen []bool) []Candidate {
	var rest []Host
	for i, h := range hosts {
		if !seen[i] && Unable(model, h) == "" {
			rest = append(rest, h)
		}
	}
	slices.SortStableFunc(rest, func(a, b Host) int {
		return cmp.Or(cmp.Compare(b.Free[modelcache.HostMemory], a.Free[modelcache.HostMemory]), cmp.Compare(a.ID, b.ID))
	})
	candidates := make([]Candidate, len(rest))
	for i, h := range rest {
		candidates[i] = Candidate{Host: h.ID}
	}
	return candidates
}
