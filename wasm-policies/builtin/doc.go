// Package builtin (pure) is the policies that decide when no module does: the defaults of every hook and, to compare with,
// the classic eviction policies. Each reads the very bytes that a module would read, writes the very answer, and has a twin
// among the modules beside this folder; one suite holds both to the same answers.
//
// # Arithmetic
//
// So that a twin in any language gives the same bytes, there are only 64-bit signed integers (32-bit where the ABI has
// them), +, -, *, / that rounds toward zero, shifts of what is not negative, bit length, min and max. Inputs are bounded
// first, so that nothing wraps, whatever a request says: the constants of worth.go name the bounds.
//
// # Keep-values
//
// The keep-value of an eviction policy orders the copies of one host, and its sum over what has to go says what a load
// costs there (the reclaim curve of a placement), so it has to be fine, comparable between hosts, and mean an amount. For
// EvictCostAware it is
//
//	uses expected in 1e9 s x ms of load / 16 KiB of memory / copies that share the use
//
// as it is up to 2^22, where eviction takes place: one use in 40 s of a model of 100 MB that loads in 1 s. Above that it
// grows with the logarithm, 2^21 for each doubling, so that the most wanted copy on earth stays below 2^27 and 21 bits
// of every value count. Priorities are tiers of 2^27 on top. What falls below the resolution is equal, and the caller lets
// the one go that was used before the other.
package builtin
