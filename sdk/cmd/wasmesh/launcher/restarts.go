package launcher

import "time"

// Restarting: soon after a process that had run well, ever later for one that keeps ending.
const (
	firstRestart = 200 * time.Millisecond
	maxRestart   = 10 * time.Second
	// ranWell is how long a process must have run for its end to count as the first.
	ranWell = 30 * time.Second
	// crashLoop is how many quick ends in a row are told to the user; then again whenever they have doubled.
	crashLoop = 3
)

// restarts counts the ends of one process in a row, each soon after its start.
type restarts struct {
	ends, tellAt int
}

// after answers what to do about an end after having run that long: how long to wait before the next start, and whether
// the user should hear of it.
func (r *restarts) after(ran time.Duration) (wait time.Duration, tell bool) {
	if ran >= ranWell {
		*r = restarts{}
	}
	if r.tellAt == 0 {
		r.tellAt = crashLoop
	}
	wait = maxRestart
	if r.ends < 16 { // beyond, the shift would only overflow
		wait = min(firstRestart<<r.ends, maxRestart)
	}
	r.ends++
	if tell = r.ends == r.tellAt; tell {
		r.tellAt *= 2
	}
	return wait, tell
}
