// Package mesh makes one cache of many hosts. It is the glue between what decides (packages route, arbiter and
// lifecycle/machine, all pure) and what carries (packages peers, forward and ingress): it feeds the first with what the
// second report, and performs what they want done.
//
//	router, session   a request finds its copy: here, at a peer, on its way, or placed first (ingress.Models)
//	asks              asking the arbiter of a model where it goes, once for all requests that wait here
//	arbiter           this host's arbiter: one goroutine that feeds arbiter.Machine and performs its effects
//	handler           what other hosts ask of this one (peers.Handler)
//	publish, figures  what this host says of itself, to peers and to the controller
//	meter, use        how busy each copy is, for whoever decides on the number of copies
//	history           what is remembered of models, kept with their arbiters
//	drain             leaving: copies in use are loaded elsewhere first
//	demand            what requests wait for that no host has
//	alone             the same for a host that has no peers
//
// Invariants: a request takes at most one hop; nothing but the arbiter of a model changes the number of its copies; every
// call to a peer has a timeout, and a peer that does not answer costs no more than that.
//
// Package node makes a Mesh, binds it to the executor and to the peers that it was built with, runs it, and drains it.
package mesh
