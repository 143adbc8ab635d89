package link

import (
	"math"
	"time"

	"github.com/wasmesh/wasmesh/host/members"
	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/host/peers/residency"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// Failure is why a model is in state Failed.
type Failure struct {
	Key     uint64
	Failure *syncv1.Failure
}

// maxFailureText bounds the words of a failure on the wire, bytes: what helps is at the beginning, and a message of many
// entries has to stay below the limit for messages.
const maxFailureText = 512

func encodeStamp(s residency.Stamp) *peerv1.Stamp {
	return &peerv1.Stamp{Sequence: s.Sequence, Digest: s.Digest}
}

func decodeStamp(s *peerv1.Stamp) residency.Stamp {
	return residency.Stamp{Sequence: s.GetSequence(), Digest: s.GetDigest()}
}

// encodeEntries takes the failures of entries that are Failed from why, which may know of none.
func encodeEntries(entries []residency.Entry, why func(key uint64) *syncv1.Failure) []*peerv1.Entry {
	messages := make([]peerv1.Entry, len(entries))
	encoded := make([]*peerv1.Entry, len(entries))
	for i, e := range entries {
		m := &messages[i]
		m.Key, m.State, m.SizeBytes, m.Used = e.Key, syncv1.CopyState(e.State), uint64(e.Size), e.Used
		if e.State == residency.Failed {
			m.Failure = why(e.Key)
		}
		encoded[i] = m
	}
	return encoded
}

func decodeEntries(into []residency.Entry, encoded []*peerv1.Entry) ([]residency.Entry, []Failure) {
	var failures []Failure
	for _, e := range encoded {
		entry := residency.Entry{Key: e.GetKey(), State: decodeState(e.GetState()), Size: clamp(e.GetSizeBytes()), Used: e.GetUsed()}
		into = append(into, entry)
		if entry.State == residency.Failed && e.GetFailure() != nil {
			failures = append(failures, Failure{Key: entry.Key, Failure: bounded(e.GetFailure())})
		}
	}
	return into, failures
}

// decodeState makes one number out of all that do not exist, which the table then refuses.
func decodeState(s syncv1.CopyState) residency.State {
	if s < 0 || s > syncv1.CopyState(residency.Failed) {
		return math.MaxUint8
	}
	return residency.State(s)
}

// bounded answers the failure with at most so many words.
func bounded(f *syncv1.Failure) *syncv1.Failure {
	if len(f.GetMessage()) <= maxFailureText {
		return f
	}
	message := f.GetMessage()[:maxFailureText]
	for len(message) > 0 && message[len(message)-1] >= 0x80 {
		message = message[:len(message)-1] // not in the middle of a letter
	}
	return &syncv1.Failure{Reason: f.GetReason(), Message: message + "...", TimeMs: f.GetTimeMs(), RetryAtMs: f.GetRetryAtMs(), Attempts: f.GetAttempts()}
}

// Describe puts what a host says of itself into its Member. What it says of its memory is a hint, but it must not make
// others calculate with numbers that overflow.
func Describe(m *members.Member, f *peerv1.Figures) {
	m.Draining, m.Warming, m.Arbiter, m.RuntimeReady = f.GetDraining(), f.GetWarming(), f.GetArbiter(), f.GetRuntimeReady()
	m.Catalog = f.GetCatalogVersion()
	m.Figures = DecodeFigures(f)
}

// DecodeFigures reads figures off the wire.
func DecodeFigures(f *peerv1.Figures) members.Figures {
	figures := members.Figures{
		Sequence: f.GetSequence(), Free: decodeResources(f.GetFree()), Capacity: decodeResources(f.GetCapacity()),
		LoadsQueued: int(f.GetLoadsQueued()), LoadsRunning: int(f.GetLoadsRunning()),
		InFlight: int(f.GetRequestsInFlight()), Waiting: int(f.GetRequestsWaiting()), Copies: int(f.GetCopies()), Rate: f.GetRate(),
	}
	for i := range min(len(figures.Reclaim), len(f.GetReclaim())) {
		figures.Reclaim[i] = max(f.GetReclaim()[i], 0)
	}
	if f.GetOldestMs() > 0 {
		figures.Oldest = time.UnixMilli(f.GetOldestMs())
	}
	return figures
}

// EncodeFigures writes a member's figures and flags.
func EncodeFigures(m *members.Member) *peerv1.Figures {
	f := &peerv1.Figures{
		Free: encodeResources(m.Figures.Free), Capacity: encodeResources(m.Figures.Capacity), Reclaim: m.Figures.Reclaim[:],
		LoadsQueued: uint32(m.Figures.LoadsQueued), LoadsRunning: uint32(m.Figures.LoadsRunning),
		RequestsInFlight: uint32(m.Figures.InFlight), RequestsWaiting: uint32(m.Figures.Waiting), Copies: uint32(m.Figures.Copies),
		Rate: m.Figures.Rate, Draining: m.Draining, Arbiter: m.Arbiter, RuntimeReady: m.RuntimeReady, Warming: m.Warming,
		CatalogVersion: m.Catalog, Sequence: m.Figures.Sequence,
	}
	if !m.Figures.Oldest.IsZero() {
		f.OldestMs = m.Figures.Oldest.UnixMilli()
	}
	return f
}

func encodeResources(r modelcache.Resources) *syncv1.Resources {
	return &syncv1.Resources{
		HostMemoryBytes:   uint64(max(r[0], 0)),
		DeviceMemoryBytes: uint64(max(r[1], 0)),
		Slots:             uint64(max(r[2], 0)),
	}
}

func decodeResources(r *syncv1.Resources) modelcache.Resources {
	return modelcache.Resources{clamp(r.GetHostMemoryBytes()), clamp(r.GetDeviceMemoryBytes()), clamp(r.GetSlots())}
}

// clamp leaves room to add a million of them.
func clamp(n uint64) int64 { return int64(min(n, 1<<43)) }
