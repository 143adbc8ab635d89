package residency

import (
	"math"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// State is how far a model is on a host. The numbers are those of syncv1.CopyState.
type State uint8

// The states, in the order of a copy's life.
const (
	// Absent: nothing of the model is there. It is a change, and never held.
	Absent = State(syncv1.CopyState_COPY_STATE_UNSPECIFIED)
	// Queued: it is going to be loaded, and waits for memory or its turn.
	Queued = State(syncv1.CopyState_COPY_STATE_QUEUED)
	// Loading: its files come, or the runtime loads it.
	Loading = State(syncv1.CopyState_COPY_STATE_LOADING)
	// Loaded: it answers requests.
	Loaded = State(syncv1.CopyState_COPY_STATE_LOADED)
	// Draining: it is being unloaded, and takes no more requests.
	Draining = State(syncv1.CopyState_COPY_STATE_DRAINING)
	// Failed: it could not be loaded. It takes no memory.
	Failed = State(syncv1.CopyState_COPY_STATE_FAILED)
)

var stateNames = [...]string{"absent", "queued", "loading", "loaded", "draining", "failed"}

// String names the state in one lower-case word.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "unknown"
}

const (
	// SizeUnit is what sizes are counted in, bytes. They are rounded up, and hold at most 2^32-1 units.
	SizeUnit = 64 << 10
	// UsedUnit is what times of use are counted in, seconds since the epoch: fine enough for whom to evict, and coarse
	// enough that requests seldom change an entry.
	UsedUnit = 5 * 60
)

// Entry is one model on the host that says it.
type Entry struct {
	// Key of the model: modelid.KeyOf(namespace, model id).
	Key   uint64
	State State
	// Size in bytes of memory, in whole SizeUnits.
	Size int64
	// Used is when a request last came, in UsedUnits since the epoch; 0 for never.
	Used uint32
}

// Copy is one model on some host.
type Copy struct {
	Host  string
	State State
	Size  int64
	Used  uint32
}

// Stamp names a state of a host's own entries. The zero Stamp is that of a new Log.
type Stamp struct {
	// Sequence counts the changes since the host started.
	Sequence uint64
	// Digest is the sum, modulo 2^64, of a hash of each entry: it does not depend on their order, and a change costs two
	// additions. It finds mistakes; it is no proof against somebody who knows the key of the mesh.
	Digest uint64
}

// units answers the size as it is kept, 0 for what is not positive.
func units(bytes int64) uint32 {
	if bytes <= 0 {
		return 0
	}
	return uint32(min((bytes-1)/SizeUnit+1, math.MaxUint32))
}

// sumOf is an entry's part of the digest; an absent one has none.
func sumOf(key uint64, s State, size, used uint32) uint64 {
	if s == Absent {
		return 0
	}
	return mix(mix(key^uint64(s)*0x9e3779b97f4a7c15) ^ (uint64(size)<<32 | uint64(used)))
}

// mix is the finalizer of SplitMix64: every bit of the input changes half of those of the output.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// DigestOf is the digest of these entries, for who builds a snapshot without a Log.
func DigestOf(entries []Entry) (digest uint64) {
	for _, e := range entries {
		digest += sumOf(e.Key, e.State, units(e.Size), e.Used)
	}
	return digest
}
