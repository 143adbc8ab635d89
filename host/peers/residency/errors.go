package residency

import "fmt"

// GapError says that what came of a host does not fit to what is known of it, or not together. Nothing was taken in; what
// helps is a new snapshot and nothing else.
type GapError struct {
	Host string
	Why  Gap
	// Have is what the table has of the host, Got what came.
	Have, Got Stamp
}

// Gap is what does not fit.
type Gap string

// The gaps.
const (
	// GapUnknown: nothing is known of the host.
	GapUnknown Gap = "unknown host"
	// GapEpoch: the host has restarted.
	GapEpoch Gap = "another epoch"
	// GapSequence: changes are missing in between, or have come before.
	GapSequence Gap = "another sequence"
	// GapDigest: with these changes it would not be what the host has.
	GapDigest Gap = "another digest"
	// GapMalformed: an entry has a state that does not exist or does not belong there, or comes twice.
	GapMalformed Gap = "malformed entries"
	// GapTooMany: more than MaxEntries.
	GapTooMany Gap = "too many entries"
)

// Error implements error.
func (e *GapError) Error() string {
	return fmt.Sprintf("residency of host %s: %s: have %d/%016x, got %d/%016x: its snapshot is needed",
		e.Host, e.Why, e.Have.Sequence, e.Have.Digest, e.Got.Sequence, e.Got.Digest)
}
