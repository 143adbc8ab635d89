package placement

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/host/placement"
	"github.com/wasmesh/wasmesh/sdk/modelid"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
	"github.com/wasmesh/wasmesh/wasm-policies/hook"
)

// choiceSeed is of the rules that draw lots.
const choiceSeed = 1

// Hook asks a place hook, as an arbiter does. While a module is active, nobody decides in its place.
func Hook(h *hook.Hook) Placer {
	return func(now time.Time, model placement.Model, hosts []placement.Host) ([]placement.Candidate, error) {
		placed := h.Place(placement.Ask(now, model.Asker, model, hosts), hook.About{Model: model.ID})
		if h.Active() != nil && placed.Outcome != syncv1.DecisionOutcome_DECISION_OUTCOME_ANSWERED {
			return nil, fmt.Errorf("place %s: the policy did not decide: %v", model.ID, placed.Outcome)
		}
		choice := placement.Choose(model, hosts, placed.Answers)
		if len(choice.Hits) > 0 {
			return nil, errors.New("place: the policy named hosts that are not able")
		}
		return choice.Candidates, nil
	}
}

// able keeps the hosts that could hold the model.
func able(model placement.Model, hosts []placement.Host) []placement.Host {
	return slices.DeleteFunc(slices.Clone(hosts), func(h placement.Host) bool { return placement.Unable(model, h) != "" })
}

// first answers the best host alone.
func first(hosts []placement.Host) []placement.Candidate {
	if len(hosts) == 0 {
		return nil
	}
	return []placement.Candidate{{Host: hosts[0].ID}}
}

// Random takes any host.
func Random() Placer {
	random := rand.New(rand.NewPCG(choiceSeed, 0))
	return func(_ time.Time, model placement.Model, hosts []placement.Host) ([]placement.Candidate, error) {
		fit := able(model, hosts)
		random.Shuffle(len(fit), func(i, j int) { fit[i], fit[j] = fit[j], fit[i] })
		return first(fit), nil
	}
}

// ConsistentHash takes the host that the model's name falls to, always the same, by rendezvous hashing.
func ConsistentHash() Placer {
	return func(_ time.Time, model placement.Model, hosts []placement.Host) ([]placement.Candidate, error) {
		fit := able(model, hosts)
		weight := func(h placement.Host) modelid.Key { return modelid.KeyOf(h.ID, model.ID) }
		slices.SortFunc(fit, func(a, b placement.Host) int { return cmp.Compare(weight(b), weight(a)) })
		return first(fit), nil
	}
}

// TwoChoices draws two hosts and takes the one with more memory free, or if both are full the one that fewer requests come
// to.
func TwoChoices() Placer {
	random := rand.New(rand.NewPCG(choiceSeed, 1))
	return func(_ time.Time, model placement.Model, hosts []placement.Host) ([]placement.Candidate, error) {
		fit := able(model, hosts)
		random.Shuffle(len(fit), func(i, j int) { fit[i], fit[j] = fit[j], fit[i] })
		two := fit[:min(len(fit), 2)]
		slices.SortStableFunc(two, func(a, b placement.Host) int {
			roomA, roomB := a.Free.Covers(model.Need), b.Free.Covers(model.Need)
			switch {
			case roomA && roomB:
				return cmp.Compare(b.Free[modelcache.HostMemory], a.Free[modelcache.HostMemory])
			case roomA != roomB && roomA:
				return -1
			case roomA != roomB:
				return 1
			}
			return cmp.Compare(a.Rate, b.Rate)
		})
		return first(two), nil
	}
}

// ModelMesh takes the first host in the order that ModelMesh documents: where there is room, that with the fewest copies,
// then that with most room; where there is none, that whose least recently used copy is oldest. It has that order without
// the lots that ModelMesh draws among hosts that come near the best, which only costs it.
func ModelMesh() Placer {
	return func(_ time.Time, model placement.Model, hosts []placement.Host) ([]placement.Candidate, error) {
		fit := able(model, hosts)
		slices.SortStableFunc(fit, func(a, b placement.Host) int {
			roomA, roomB := a.Free.Covers(model.Need), b.Free.Covers(model.Need)
			switch {
			case roomA != roomB && roomA:
				return -1
			case roomA != roomB:
				return 1
			case !roomA:
				return a.Oldest.Compare(b.Oldest)
			}
			return cmp.Or(cmp.Compare(a.Copies, b.Copies), cmp.Compare(b.Free[modelcache.HostMemory], a.Free[modelcache.HostMemory]))
		})
		return first(fit), nil
	}
}
