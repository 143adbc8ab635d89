// Package policyconfig (pure) decides which generation of which policy should decide what: from the ConfigMaps that
// declare policies, what became of verifying them, and what hosts report, it makes the plan that hosts follow, the phase
// of every policy, and Events. controller/policies gives it its inputs and carries its answers out.
//
// Invariants:
//   - Of one hook, one generation decides on all hosts: a candidate becomes active only once every connected host has
//     prepared it, or after BarrierTimeout with at least one that has and none that cannot.
//   - Whatever is wrong with a policy, what decided before it decides on. Only the end of its ConfigMap takes a
//     generation that works out of use.
//   - A generation that was taken back does not return before its ConfigMap changes, whoever restarts.
//   - An edit counts as a whole: until it is verified, and when it is refused, the hooks that its policy decided stay.
//   - Memory is bounded: of each hook at most an active, a previous, a candidate and a shadow generation are held
//     uncompressed, however many ConfigMaps there are and however often they change.
package policyconfig

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// Hooks that a policy may decide, in the order in which people read them.
const (
	HookPlace  = "place"
	HookEvict  = "evict"
	HookStatus = "status"
)

// hooks in order. Those of hosts come first; HookStatus is decided by the controller.
func hooks() []string { return []string{HookPlace, HookEvict, HookStatus} }

// local says that the controller decides the hook itself, and hosts need not hear of it.
func local(hook string) bool { return hook == HookStatus }

// BarrierTimeout is how long hosts that say nothing about a candidate are waited for.
const BarrierTimeout = 30 * time.Second

// Generation is a module and a configuration as one hook uses them, with where they came from. Immutable.
type Generation struct {
	// Meta is what hosts are told.
	Meta *syncv1.Generation
	// Revision of the ConfigMap that it was made of.
	Revision string
	// Stored is the module as the ConfigMap holds it, perhaps compressed. See Machine.Modules.
	Stored []byte
}

// id answers "" of no generation: the built-in policy.
func (g *Generation) id() string {
	if g == nil {
		return ""
	}
	return g.Meta.GetId()
}

// policy answers "" of no generation.
func (g *Generation) policy() string {
	if g == nil {
		return ""
	}
	return g.Meta.GetPolicy()
}

// generationID is the first 12 hex digits of SHA-256 over hook, module digest and configuration. The zero byte keeps a
// hook's name from running into the digest, which has a fixed length.
func generationID(hook string, digest, config []byte) string {
	h := sha256.New()
	h.Write([]byte(hook + "\x00"))
	h.Write(digest)
	h.Write(config)
	return hex.EncodeToString(h.Sum(nil))[:12]
}

// newGeneration makes what one hook uses of a verified declaration.
func newGeneration(d Declaration, v *Verdict, hook string) *Generation {
	return &Generation{
		Meta: &syncv1.Generation{
			Id: generationID(hook, v.Digest, d.Config), Policy: d.Name, Hook: hook,
			ModuleDigest: v.Digest, ModuleBytes: v.ModuleBytes, Config: d.Config,
		},
		Revision: d.Revision,
		Stored:   d.Stored,
	}
}
