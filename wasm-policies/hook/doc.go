// Package hook decides. A Hook is one of the questions that policies answer (place, evict or status) on one host or in the
// controller: it knows which generation answers now, what happens when that fails, what a shadow would have said, and what
// has been decided lately. The host's side of policy distribution (host/policies) and the controller tell it which
// generation is active; whoever has to decide calls Place, Evict or Status.
//
// Invariants:
//
//   - Every question is answered, at once: by the active generation, or, when there is none, none of its instances is free,
//     it abstains, traps, runs out of fuel or breaks a rule of the ABI, by the built-in policy over the same bytes.
//   - A generation that fails often (see breaker) is degraded: it is left alone for a while that doubles, and its owner
//     hears of it and rolls back.
//   - The guest sees a copy of the request. What is recorded, given to the built-in policy or to a shadow is what the host
//     wrote, whatever the guest did to its memory.
//   - Nothing here grows: records live in a ring of fixed size, shadows in a queue that drops.
//
// A Hook is safe for concurrent use. It owns one goroutine, for shadows and second looks, which Close ends.
package hook
