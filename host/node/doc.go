// Package node composes one host: it builds the parts, starts them in the order in which they need each other, and on
// the way out stops them in the order in which requests need them. It holds no state of its own and decides nothing.
//
// Start: artifacts, runtime adapter, policies, mesh, peers and lifecycle; then the catalog, from disk and then from the
// controller; listeners are open from the beginning but say "not ready" until the catalog is complete. A host without a key
// of the mesh is alone: the same parts, with nobody to talk to. A gateway has no runtime and what goes with it.
//
// Stop, when the host is drained or a signal says so (leave.go): copies in use are loaded elsewhere; not ready, and still
// serving for a while; listeners finish what is in flight; the others hear that the host is gone; models are unloaded; the
// stream to the controller ends last, so that it hears of it. When the whole mesh stops, hosts begin with the listeners.
//
// With --ca-file the controller and other hosts are spoken to over mutual TLS (package identity): the certificate comes
// first, and a host that has none yet is neither ready nor a peer. /prestop, which the kubelet asks for before it stops the
// runtime's containers, is answered when a host that leaves has unloaded its models.
//
// Policies decide from the first moment: the built-in ones until those of the plan on disk are compiled. Lifecycle asks
// for keep-values through decider, the mesh has it rank hosts for each model that is to be placed, and both have written
// into the records what came of it.
package node
