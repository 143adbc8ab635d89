// Package modelcache is the memory ledger of one host: how much of the runtime's memory is used by loaded models,
// reserved for models being loaded, and still held by models being unloaded. It performs nothing: who is loaded, unloaded
// or waited for is decided above it (host/lifecycle, its only writer), which it keeps from ever spending memory twice.
//
// Invariants, in every counted dimension, after every call:
//
//	used + reserved + draining <= capacity
//	a reservation that still lacks memory means that no memory is free
//
// The life of a copy's memory:
//
//	          Reserve                Commit                Reserve of another
//	(free) ------------> reserved ------------> resident ----- or Drain -----> draining
//	   ^                    |                      |                              |
//	   +------ Abort -------+----- Unloaded -------+-------- Unloaded ------------+
//	           (the runtime says that it no longer holds it)
//
// Victims. A reservation that does not find enough free memory claims idle copies in the order that it was given. A
// claimed copy takes no more requests, but counts until its unload is confirmed (Unloaded). Memory that comes free goes
// to the oldest reservation that lacks some, whoever claimed it: every claim was for memory that the sum of all
// reservations lacked, so the oldest first is the order in which everybody is served soonest. What is on its way is
// counted before more victims are claimed, so two reservations can share one large victim.
//
// Order. What gives way first is not the ledger's decision. Beside it are the types by which it is taken outside: a Ranking
// of Candidates goes to an Order, and Arrange makes a total order of whatever that answers; Usage and EvictionClock
// measure what policies go by, and Reclaim draws from keep-values what it would cost to free memory here.
//
// Acquire against Reserve. Requests hold a *Copy, not its id, and take no lock: each copy has one atomic word, the gate,
// that holds the number of requests in flight, and a bit that says closed. Acquire adds one unless closed; Reserve closes
// only what has zero in flight; both by compare-and-swap on the same word, so either the request is counted first and
// the copy is no victim, or the copy is closed first and the request goes to the queue. Closing is final, except that a
// Reserve that lost such a race for one of several victims opens the others again before it returns; a request that ran
// into the closed gate meanwhile goes to the queue and is answered from there.
package modelcache
