package modelcache

import (
	"sync/atomic"
	"time"
)

// CopyID names one load of one model; it is never used again, so a result or a lease that comes late names a copy that
// is gone and can do no harm. Given out by the owner of the ledger.
type CopyID uint64

// The gate of a Copy: the number of requests in flight, and three flags.
const (
	// closed: takes no more requests. The number in flight only falls from here on.
	closed = 1 << 63
	// watched: a reservation was refused because this copy was in flight; its last Release tells.
	watched = 1 << 62
	// held: kept for a request that is to come; the first one to come takes its place.
	held = 1 << 61

	inFlight = held - 1
)

// Copy is a model in memory, as the request path holds it. Its methods are lock-free and safe for concurrent use, also
// after the ledger has let go of it.
type Copy struct {
	id       CopyID
	size     Resources
	loadedAt time.Time

	gate     atomic.Uint64
	lastUsed atomic.Int64 // Unix nanoseconds.
	uses     atomic.Uint64
}

// ID names this copy.
func (c *Copy) ID() CopyID { return c.id }

// Size is what the copy takes, as it was committed.
func (c *Copy) Size() Resources { return c.size }

// Acquire counts one request in flight and touches the copy, or answers false when the copy takes no more: look for the
// model anew. Every true is followed by one Release.
func (c *Copy) Acquire(now time.Time) bool {
	for {
		gate := c.gate.Load()
		if gate&closed != 0 {
			return false
		}
		// A failed swap means that another request went ahead: the loop as a whole always makes progress.
		if c.gate.CompareAndSwap(gate, gate&^held+1) {
			c.Touch(now)
			return true
		}
	}
}

// Release ends one Acquire. True: this was the last request in flight, and the ledger's owner wants to know, because the
// copy is closed and can be unloaded now, or because somebody was refused its memory. True comes once for each such wish.
func (c *Copy) Release() bool {
	for {
		gate := c.gate.Load()
		if gate&inFlight == 0 {
			return false
		}
		if next, tell := idled(gate - 1); c.gate.CompareAndSwap(gate, next) {
			return tell
		}
	}
}

// Hold keeps an open copy from being a victim until a request comes or Unhold; it counts as no use. A copy in flight
// needs no holding. To the ledger and to orders of eviction a copy that is held is one with a request in flight.
func (c *Copy) Hold() {
	for {
		gate := c.gate.Load()
		if gate&(closed|held|inFlight) != 0 || c.gate.CompareAndSwap(gate, gate|held) {
			return
		}
	}
}

// Unhold ends Hold, if no request has. True as of Release.
func (c *Copy) Unhold() bool {
	for {
		gate := c.gate.Load()
		if gate&held == 0 {
			return false
		}
		if next, tell := idled(gate &^ held); c.gate.CompareAndSwap(gate, next) {
			return tell
		}
	}
}

// idled answers the gate after somebody has left, and whether the ledger's owner is to be told.
func idled(gate uint64) (next uint64, tell bool) {
	if gate&(inFlight|held) != 0 {
		return gate, false
	}
	return gate &^ watched, gate&(closed|watched) != 0
}

// Touch marks the copy as used now.
func (c *Copy) Touch(now time.Time) {
	c.lastUsed.Store(now.UnixNano())
	c.uses.Add(1)
}

// InFlight is the number of requests between Acquire and Release.
func (c *Copy) InFlight() int { return int(c.gate.Load() & inFlight) }

// Uses is how many requests have come.
func (c *Copy) Uses() uint64 { return c.uses.Load() }

// LastUsed is when a request last came.
func (c *Copy) LastUsed() time.Time { return time.Unix(0, c.lastUsed.Load()) }

// Info is the copy as it is now; what its owner wishes and whether it is draining is the ledger's to know.
func (c *Copy) Info() CopyInfo {
	return CopyInfo{
		ID: c.id, Size: c.size, LoadedAt: c.loadedAt, LastUsed: c.LastUsed(), Uses: c.Uses(), InFlight: c.expected(),
	}
}

// expected is InFlight, and the request that the copy is held for.
func (c *Copy) expected() int {
	gate := c.gate.Load()
	return int(gate&inFlight + gate&held/held)
}

// tryClose closes a copy that is idle; false when it is in flight or closed already.
func (c *Copy) tryClose() bool {
	gate := c.gate.Load()
	return gate&(closed|held|inFlight) == 0 && c.gate.CompareAndSwap(gate, closed)
}

// reopen takes a tryClose back. Nobody else writes the gate of a copy that is closed and idle, so a store is enough.
func (c *Copy) reopen() { c.gate.Store(0) }

// close takes no more requests, and is held for none. True when none was in flight at that moment; else the last Release
// tells.
func (c *Copy) close() bool {
	for {
		gate := c.gate.Load()
		if c.gate.CompareAndSwap(gate, gate&^held|closed) {
			return gate&inFlight == 0
		}
	}
}

// watch asks the last Release, or Unhold, to tell; false when the copy is idle already.
func (c *Copy) watch() bool {
	for {
		gate := c.gate.Load()
		if gate&(inFlight|held) == 0 {
			return false
		}
		if c.gate.CompareAndSwap(gate, gate|watched) {
			return true
		}
	}
}
