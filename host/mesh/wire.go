package mesh

import (
	"math"
	"time"

	"github.com/wasmesh/wasmesh/host/arbiter"
	"github.com/wasmesh/wasmesh/host/lifecycle/machine"
	"github.com/wasmesh/wasmesh/host/members"
	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/host/peers/link"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// What follows turns the words of the wire into those of the machines, and back. Numbers of other hosts are hints, and are
// only kept from wrapping.

func clipped(n uint64) int64 { return int64(min(n, math.MaxInt64)) }

func clip32[N int | int64](n N) uint32 { return uint32(min(max(int64(n), 0), math.MaxUint32)) }

// timeOf reads milliseconds since the epoch; 0 is no time.
func timeOf(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

func unixMilli(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func resourcesMessage(r modelcache.Resources) *syncv1.Resources {
	return &syncv1.Resources{
		HostMemoryBytes:   uint64(max(r[modelcache.HostMemory], 0)),
		DeviceMemoryBytes: uint64(max(r[modelcache.DeviceMemory], 0)),
		Slots:             uint64(max(r[modelcache.Slots], 0)),
	}
}

// figuresOf answers nil for none.
func figuresOf(f *peerv1.Figures) *members.Figures {
	if f == nil {
		return nil
	}
	figures := link.DecodeFigures(f)
	return &figures
}

func placeResponse(result arbiter.Result) *peerv1.PlaceResponse {
	if placed := result.Placed; placed != nil {
		return &peerv1.PlaceResponse{Result: &peerv1.PlaceResponse_Placed{Placed: &peerv1.Placed{
			HostId: placed.Host, DecisionId: placed.Decision, Already: placed.Already,
		}}}
	}
	unplaced := result.Unplaced
	return &peerv1.PlaceResponse{Result: &peerv1.PlaceResponse_Unplaced{Unplaced: &peerv1.Unplaced{
		Reason: unplaced.Reason, Message: unplaced.Message, RetryAfterMs: clip32(unplaced.RetryAfter.Milliseconds()), Failure: unplaced.Failure,
	}}}
}

func resultOf(response *peerv1.PlaceResponse) arbiter.Result {
	if placed := response.GetPlaced(); placed.GetHostId() != "" {
		return arbiter.Result{Placed: &arbiter.Placed{
			Host: placed.GetHostId(), Decision: placed.GetDecisionId(), Already: placed.GetAlready(),
		}}
	}
	unplaced := response.GetUnplaced()
	return arbiter.Result{Unplaced: &arbiter.Unplaced{
		Reason: unplaced.GetReason(), Message: unplaced.GetMessage(), Failure: unplaced.GetFailure(),
		RetryAfter: time.Duration(unplaced.GetRetryAfterMs()) * time.Millisecond,
	}}
}

// unplaced is a Result for who did not get as far as an arbiter.
func unplaced(reason peerv1.UnplacedReason, retry time.Duration, message string) arbiter.Result {
	return arbiter.Result{Unplaced: &arbiter.Unplaced{Reason: reason, Message: message, RetryAfter: retry}}
}

func usageMessage(u arbiter.Usage) *peerv1.Usage {
	return &peerv1.Usage{
		Key: u.Key, AtMs: unixMilli(u.Record.At), Count: u.Record.Count, Recent: u.Record.Recent, LastUsedMs: unixMilli(u.LastUsed),
		LoadMs: clip32(u.LoadCost.Milliseconds()), SizeBytes: uint64(max(u.Size, 0)), Evicted: u.Evicted,
	}
}

func usageOf(u *peerv1.Usage) arbiter.Usage {
	return arbiter.Usage{
		Key:      u.GetKey(),
		Record:   modelcache.UsageRecord{At: timeOf(u.GetAtMs()), Count: u.GetCount(), Recent: u.GetRecent()},
		LastUsed: timeOf(u.GetLastUsedMs()),
		LoadCost: time.Duration(u.GetLoadMs()) * time.Millisecond, Size: clipped(u.GetSizeBytes()), Evicted: u.GetEvicted(),
	}
}

// remembered is what the machine says of a model, as its arbiter takes it.
func remembered(r machine.Remember) arbiter.Usage {
	return arbiter.Usage{
		Key: r.Key, Record: r.Usage, LastUsed: r.LastUsed, LoadCost: r.LoadCost, Size: r.Size[modelcache.HostMemory], Evicted: r.Evicted,
	}
}
