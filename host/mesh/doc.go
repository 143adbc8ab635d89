// Package mesh makes one cache of many hosts. It is the glue between what decides (packages route, arbiter and
// lifecycle/machine, all pure) and what carries (packages peers, forward and ingress): it feeds the first with what the
// second report, and performs what they want done.
//
//	session, here     a request finds its copy: here, at a peer, on its way, or placed first (ingress.Models, ingress.Here)
//	asks              asking the arbiter of a model where it goes, once for all requests that wait here
//	arbiter           this host's arbiter: one goroutine that feeds arbiter.Machine and performs its effects
//	handler, wire     what other hosts ask of this one (peers.Handler), and the words that it is asked in
//	changes           what the executor has to know of other hosts, and what it offers them (machine.Mesh)
//	publish, figures  what this host says of itself, to peers and to the controller (lifecycle.Publisher)
//	meter, use        how busy each copy is, for whoever decides on the number of copies
//	history           what is remembered of models, kept with their arbiters
//	drain             leaving: copies in use are loaded elsewhere first
//	demand            what requests wait for that no host has
//	servable          whether a request for a model would be served
//	alone             the peers of a host that has none
//
// Invariants: a request takes at most one hop; nothing but the arbiter of a model changes the number of its copies; a host
// that does not know yet what others hold decides nothing; every call to a peer has a timeout, and a peer that does not
// answer costs no more than that.
//
// Package node makes a Mesh, binds it to the executor and the peers that were made with it, runs it, and drains it.
package mesh
