package launcher

import "time"

// Restarting: soon after a process that had run well, ever later for one that keeps ending.
const (
	firstRestart = 200 * time.Millisecond
	maxRestart   = 10 * time.Second
	// ranWell is how long a process must have run for its end to count as the first.
	ranWell = 30 * time.Second
	// leftAfter is what it takes at least to be told to leave a mesh and to do so. Whatever ends sooner with status 0 has not
	// begun to work, and would be started again without pause.
	leftAfter = time.Second
	// crashLoop is how many quick ends in a row are told to the user; then again whenever they have doubled.
	crashLoop = 3
)

// restarts counts the ends of one process in a row, each soon after its start.
type restarts struct {
	ends, tellAt int
}

// restart is what to do about the end of a process.
type restart struct {
	// wait before the next start.
	wait time.Duration
	// tell the user, who can do something about it.
	tell bool
	// left: it ended because it was to leave, and not for a reason of its own.
	left bool
}

// after answers what to do about an end after having run that long. asked: the process ended as one does that was asked to
// leave.
func (r *restarts) after(ran time.Duration, asked bool) restart {
	if asked && ran >= leftAfter {
		*r = restarts{}
		return restart{wait: firstRestart, left: true}
	}
	if ran >= ranWell {
		*r = restarts{}
	}
	if r.tellAt == 0 {
		r.tellAt = crashLoop
	}
	next := restart{wait: maxRestart}
	if r.ends < 16 { // beyond, the shift would only overflow
		next.wait = min(firstRestart<<r.ends, maxRestart)
	}
	r.ends++
	if next.tell = r.ends == r.tellAt; next.tell {
		r.tellAt *= 2
	}
	return next
}
