// Package node composes one host: it builds the parts, starts them in the order in which they need each other, and on
// the way out stops them in the order in which requests need them. It holds no state of its own and decides nothing.
//
// Start: artifacts, runtime adapter and lifecycle; then the catalog, from disk and then from the controller; listeners
// are open from the beginning but say "not ready" until the catalog is complete. Stop: not ready, listeners finish what
// is in flight, models are unloaded, the stream to the controller ends last, so that it hears of it.
package node
