// Package simulate runs a whole mesh in one goroutine and virtual time: many hosts, each with the very machines that decide
// in a real one (lifecycle/machine, modelcache, placement, arbiter, residency, members, route), over a network, storage,
// runtimes and clients that are made up. Everything that is left to chance is drawn from a seed, so equal scenarios end
// equally, event by event.
//
// What is made up follows the imperative packages: executor.go and lease.go do what package lifecycle does, conn.go and
// peers.go what package peers does, and mesh.go, asks.go, request.go, use.go and drain.go what package mesh does. They
// are to be kept thin, and alike.
//
//	world, clock, dice, trace, result   the frame
//	host, runtime, network              what can fail, and faults, which make it fail
//	clients                             who asks
//	checks                              what the mesh promises, looked at as it goes
//
// It is one large package because all of it is one state, that of a World: what follows one package of the product and what
// follows another meet in every event.
//
// Package scenario is what happens, and how it is written down. test/sim makes scenarios from seeds and keeps those that
// found something; `wasmesh sim` replays recorded requests (Replay).
package simulate
