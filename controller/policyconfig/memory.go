package policyconfig

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// memory is what must outlive the controller, as JSON: which generations decide, since the ConfigMap may hold something
// else by the next start, and what must not come back.
type memory struct {
	Hooks map[string]hookMemory `json:"hooks"`
	Marks []markMemory          `json:"marks"`
}

type hookMemory struct {
	Active   *generationMemory `json:"active,omitempty"`
	Previous *generationMemory `json:"previous,omitempty"`
	Pinned   bool              `json:"pinned,omitempty"`
	Proven   bool              `json:"proven,omitempty"`
}

// generationMemory lacks the module, which is kept by its digest.
type generationMemory struct {
	Policy   string `json:"policy"`
	Revision string `json:"revision"`
	Digest   string `json:"moduleSHA256"`
	Config   []byte `json:"config,omitempty"`
}

type markMemory struct {
	Hook       string    `json:"hook"`
	Policy     string    `json:"policy"`
	Revision   string    `json:"revision"`
	Phase      string    `json:"phase"`
	Message    string    `json:"message"`
	Generation string    `json:"generation"`
	Since      time.Time `json:"since"`
}

// Memory answers what must be durable before a plan that relies on it is sent: a record, and the modules that it names,
// by SHA-256 in hex. Equal states give equal records.
func (m *Machine) Memory() (record []byte, modules map[string][]byte) {
	all := memory{Hooks: map[string]hookMemory{}}
	modules = map[string][]byte{}
	opened := m.Modules()
	keep := func(g *Generation) *generationMemory {
		if g == nil {
			return nil
		}
		digest := hex.EncodeToString(g.Meta.GetModuleDigest())
		modules[digest] = opened[string(g.Meta.GetModuleDigest())]
		return &generationMemory{Policy: g.policy(), Revision: g.Revision, Digest: digest, Config: g.Meta.GetConfig()}
	}
	for hook, h := range m.hooks {
		if h.active != nil {
			all.Hooks[hook] = hookMemory{Active: keep(h.active), Previous: keep(h.previous), Pinned: h.pinned, Proven: h.proven}
		}
	}
	for _, hook := range hooks() {
		for _, policy := range m.markedPolicies(hook) {
			k := m.marks[claimKey{hook, policy}]
			all.Marks = append(all.Marks, markMemory{
				Hook: hook, Policy: policy, Revision: k.revision, Phase: k.phase.String(), Message: k.message,
				Generation: k.generation, Since: k.since,
			})
		}
	}
	record, err := json.Marshal(all)
	if err != nil {
		return nil, modules // Nothing in it can fail to be written as JSON.
	}
	return record, modules
}

// markedPolicies answers those whose mark is durable, sorted.
func (m *Machine) markedPolicies(hook string) []string {
	var policies []string
	for key, k := range m.marks {
		if key.hook == hook && k.holds() {
			policies = append(policies, key.policy)
		}
	}
	slices.Sort(policies)
	return policies
}

// Restore gives a new Machine its memory. What cannot be read is left out, and the error says what.
func (m *Machine) Restore(record []byte, modules map[string][]byte) error {
	var all memory
	if err := json.Unmarshal(record, &all); err != nil {
		return fmt.Errorf("restore policies: %w", err)
	}
	var problem error
	recall := func(hook string, g *generationMemory) *Generation {
		if g == nil {
			return nil
		}
		module, sum := modules[g.Digest], sha256.Sum256(modules[g.Digest])
		if hex.EncodeToString(sum[:]) != g.Digest {
			problem = fmt.Errorf("restore policy %s of hook %s: its module %s is missing or damaged", g.Policy, hook, g.Digest)
			return nil
		}
		return &Generation{Revision: g.Revision, Stored: module, Meta: &syncv1.Generation{
			Id: generationID(hook, sum[:], g.Config), Policy: g.Policy, Hook: hook,
			ModuleDigest: sum[:], ModuleBytes: uint64(len(module)), Config: g.Config,
		}}
	}
	for hook, h := range m.hooks {
		kept := all.Hooks[hook]
		h.active = recall(hook, kept.Active)
		if h.active != nil {
			h.previous, h.pinned, h.proven = recall(hook, kept.Previous), kept.Pinned, kept.Proven
		}
	}
	for _, k := range all.Marks {
		restored := mark{
			revision: k.Revision, phase: adminv1.PolicyPhase(adminv1.PolicyPhase_value[k.Phase]),
			message: k.Message, generation: k.Generation, since: k.Since,
		}
		if restored.holds() {
			m.marks[claimKey{k.Hook, k.Policy}] = restored
		}
	}
	return problem
}
