package simulate

import (
	"time"

	"github.com/wasmesh/wasmesh/host/eviction"
	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/host/placement"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
	"github.com/wasmesh/wasmesh/wasm-policies/builtin"
)

// Policies answer the hooks of all hosts: encoded requests to encoded answers, as builtin.Policy.Decide does. Where one is nil
// or answers nil, the built-in policy decides.
type Policies struct {
	Place, Evict func(request []byte) (answer []byte, err error)
}

// policies asks the hooks as package node does.
type policies struct {
	world     *World
	hooks     Policies
	decisions uint64
	// The rest is reused from request to request.
	buffer  []byte
	request policyabi.EvictRequest
	answers []policyabi.EvictAnswer
}

// order is machine.Config.Order of a host.
func (p *policies) order(h *host) modelcache.Order {
	return func(r modelcache.Ranking) ([]modelcache.Ranked, uint64) {
		p.decisions++
		eviction.Ask(&p.request, r)
		if !eviction.Fits(&p.request) {
			answers, _ := eviction.Decide(&p.request, builtin.Default(policyabi.HookEvict).Decide)
			return eviction.Ranked(r, answers), 0
		}
		p.request.Header.DecisionID, p.request.Header.Seed = p.decisions, p.decisions
		buffer := p.room(p.request.Size())
		p.request.Encode(buffer)
		answer, err := decide(p.hooks.Evict, policyabi.HookEvict, buffer)
		if err == nil {
			p.answers, err = policyabi.AppendEvictAnswers(p.answers[:0], answer, len(p.request.Rows))
		}
		if err != nil {
			p.world.broken("the evict policy on %s: %v", h.spec.Name, err)
			return nil, 0
		}
		return eviction.Ranked(r, p.answers), 0
	}
}

// place is arbiter.Config.Place of all hosts.
func (p *policies) place(now time.Time, model placement.Model, hosts []placement.Host) placement.Decision {
	p.decisions++
	request := placement.Ask(now, model.Asker, model, hosts)
	request.Header.DecisionID, request.Header.Seed = p.decisions, p.decisions
	buffer := p.room(request.Size())
	request.Encode(buffer)
	answer, err := decide(p.hooks.Place, policyabi.HookPlace, buffer)
	var answers []policyabi.PlaceAnswer
	if err == nil {
		answers, err = policyabi.DecodePlaceAnswers(answer, len(request.Rows))
	}
	if err != nil {
		p.world.broken("the place policy: %v", err)
	}
	return placement.Decision{Choice: placement.Choose(model, hosts, answers), ID: p.decisions}
}

// decide asks a policy, and the built-in one when there is none or it abstains.
func decide(policy func([]byte) ([]byte, error), hook policyabi.Hook, request []byte) (answer []byte, err error) {
	if policy != nil {
		if answer, err = policy(request); answer != nil || err != nil {
			return answer, err
		}
	}
	return builtin.Default(hook).Decide(request)
}

// room is a buffer of that size.
func (p *policies) room(size int) []byte {
	if cap(p.buffer) < size {
		p.buffer = make([]byte, 2*size)
	}
	return p.buffer[:size]
}
