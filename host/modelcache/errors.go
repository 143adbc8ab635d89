package modelcache

import (
	"errors"
	"fmt"
)

// ErrNotReady answers a Commit before the reservation has all its memory.
var ErrNotReady = errors.New("commit reservation: its memory is not free yet")

// ErrSettled answers any use of a reservation that was committed, aborted, or voided by Reset.
var ErrSettled = errors.New("use reservation: it is already settled")

// ErrKnown answers a Reserve for an id that the ledger holds already.
var ErrKnown = errors.New("reserve: copy id is already in the ledger")

// NeverFitsError answers a need larger than everything there is. Waiting does not help.
type NeverFitsError struct {
	Need, Capacity Resources
}

func (e *NeverFitsError) Error() string {
	return fmt.Sprintf("needs %v, more than the whole capacity of %v", e.Need, e.Capacity)
}

// NoRoomError answers a need that cannot be met now, even with every copy that may go. It may be met once copies in
// flight are idle, or loads and unloads under way have ended.
type NoRoomError struct {
	// Need is the whole need; Free is what the asker has or could have without a victim; Evictable is what the idle
	// copies in the order given would add.
	Need, Free, Evictable Resources
	// Missing is what victims would have to hold.
	Missing Resources
}

func (e *NoRoomError) Error() string {
	return fmt.Sprintf("needs %v, with %v free and %v in idle copies that may go", e.Need, e.Free, e.Evictable)
}
