// Package eviction (pure) speaks with evict policies: it puts a ranking of package modelcache into the rows of the policy ABI
// (Ask), and what a policy says of the rows back into the ranking's words (Ranked). Where a host has more copies than fit
// into the request that a module takes, the built-in policy answers (Fits, Decide). Nothing here decides, knows a clock or
// performs anything.
//
// Package node calls it, and so does whoever replays recorded requests, so that both tell policies the same.
package eviction
