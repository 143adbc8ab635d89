// Package node composes one host: it builds the parts, starts them in the order in which they need each other, and on
// the way out stops them in the order in which requests need them. It holds no state of its own and decides nothing.
//
// Start: artifacts, runtime adapter, policies and lifecycle; then the catalog, from disk and then from the controller;
// listeners are open from the beginning but say "not ready" until the catalog is complete. Stop: not ready, listeners
// finish what is in flight, models are unloaded, the stream to the controller ends last, so that it hears of it.
//
// Policies decide from the first moment: the built-in ones until those of the plan on disk are compiled. Lifecycle asks
// for keep-values through decider, which also has the place hook rank hosts for each model that a request misses, and
// writes into both records what came of it.
package node
