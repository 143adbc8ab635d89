package builtin_test

import (
	"encoding/binary"
	"errors"
	"math"
	"testing"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
	"github.com/wasmesh/wasmesh/wasm-policies/builtin"
)

// policies of all hooks.
func policies() []builtin.Policy {
	lru, _ := builtin.ByName(policyabi.HookEvict, "lru")
	gdsf, _ := builtin.ByName(policyabi.HookEvict, "gdsf")
	return []builtin.Policy{
		builtin.Default(policyabi.HookPlace), builtin.Default(policyabi.HookEvict), builtin.Default(policyabi.HookStatus), lru, gdsf,
	}
}

// checkAnswer holds an answer to what the ABI asks of one: each row of an eviction once, words of a status in range.
func checkAnswer(t *testing.T, p builtin.Policy, answer []byte, rows int) {
	t.Helper()
	var err error
	switch p.Hook {
	case policyabi.HookPlace:
		_, err = policyabi.DecodePlaceAnswers(answer, rows)
	case policyabi.HookEvict:
		_, err = policyabi.DecodeEvictAnswers(answer, rows)
	case policyabi.HookStatus:
		_, err = policyabi.DecodeStatusAnswer(answer)
	}
	if err != nil {
		t.Errorf("%v %s: %v", p.Hook, p.Name, err)
	}
}

// FuzzBytes: whatever bytes a request is, it is refused or answered.
func FuzzBytes(f *testing.F) {
	for _, r := range []request{
		&policyabi.PlaceRequest{Context: policyabi.PlaceContext{Name: "m", NeedMemory: 5}, Rows: []policyabi.PlaceRow{emptyHost("a"), fullHost("b")}},
		&policyabi.EvictRequest{Header: policyabi.Header{NowMs: nowMs}, Rows: []policyabi.EvictRow{aCopy("a"), aCopy("b")}},
		&policyabi.StatusRequest{Rows: []policyabi.StatusRow{{Loaded: 1}, {Flags: policyabi.RevisionFlagTarget}}},
	} {
		buf := make([]byte, r.Size())
		r.Encode(buf)
		f.Add(buf)
	}
	f.Fuzz(func(t *testing.T, request []byte) {
		for _, p := range policies() {
			answer, err := p.Decide(request)
			if err != nil {
				if !errors.Is(err, policyabi.ErrRequest) {
					t.Fatalf("%v %s: %v", p.Hook, p.Name, err)
				}
				continue
			}
			checkAnswer(t, p, answer, int(binary.LittleEndian.Uint32(request[20:])))
		}
	})
}

// FuzzRows: whatever rows say, nothing wraps around: keep-values fall within the tier of their priority, and more load
// time or less memory never makes a copy worth less.
func FuzzRows(f *testing.F) {
	f.Add(int64(nowMs), int64(nowMs-minute), int64(100*mib), int64(gib), int64(gib), uint64(96), uint64(2310), uint64(1), int64(7), uint32(500), int32(0), uint16(0))
	f.Add(int64(math.MinInt64), int64(math.MaxInt64), int64(math.MinInt64), int64(math.MaxInt64), int64(math.MinInt64),
		uint64(math.MaxUint64), uint64(math.MaxUint64), uint64(math.MaxUint64), int64(math.MinInt64), uint32(math.MaxUint32), int32(math.MinInt32), uint16(math.MaxUint16))
	f.Add(int64(math.MaxInt64), int64(1), int64(1), int64(1), int64(1), uint64(0), uint64(0), uint64(0), int64(math.MaxInt64), uint32(0), int32(math.MaxInt32), uint16(1))
	f.Fuzz(func(t *testing.T, now, used, size, capacity, device int64, rate, recent, uses uint64, inflation int64, load uint32, priority int32, elsewhere uint16) {
		row := policyabi.EvictRow{
			LastUsedMs: used, SizeMemory: size, SizeDevice: size, SizeSlots: size, Rate: rate, RateRecent: recent, Uses: uses,
			Inflation: inflation, LoadMs: load, Priority: priority, CopiesElsewhere: elsewhere,
		}
		dearer, smaller := row, row
		dearer.LoadMs = max(load, load+1) // The same when it is the highest.
		smaller.SizeMemory, smaller.SizeDevice, smaller.SizeSlots = size/2, size/2, size/2
		r := policyabi.EvictRequest{
			Header:  policyabi.Header{NowMs: now},
			Context: policyabi.EvictContext{CapacityMemory: capacity, CapacityDevice: device, CapacitySlots: 10},
			Rows:    []policyabi.EvictRow{row, dearer, smaller},
		}
		tier := int64(min(max(priority, -16), 15)) << 27
		for _, name := range []string{"cost-aware", "lru", "gdsf"} {
			answers := evict(t, name, r)
			for _, a := range answers {
				if worth := int64(a.Keep) - tier; worth < 0 || worth >= 1<<27 {
					t.Errorf("%s: keep-value %d is not of the tier of priority %d", name, a.Keep, priority)
				}
			}
			if answers[1].Keep < answers[0].Keep || size > 1 && answers[2].Keep < answers[0].Keep {
				t.Errorf("%s: worth %d, with a longer load %d, at half the size %d", name, answers[0].Keep, answers[1].Keep, answers[2].Keep)
			}
		}
		place(t, policyabi.PlaceRequest{
			Context: policyabi.PlaceContext{NeedMemory: size, NeedDevice: now, NeedSlots: used},
			Rows: []policyabi.PlaceRow{
				{CapacityMemory: capacity, CapacityDevice: device, FreeMemory: used, FreeDevice: inflation, Reclaim16th: now,
					Reclaim8th: size, Reclaim4th: inflation, ReclaimHalf: used, LoadsQueued: load, InFlight: load},
				{CapacityMemory: device, CapacitySlots: capacity, FreeSlots: size, Reclaim16th: inflation, ReclaimHalf: math.MaxInt64},
			},
		})
	})
}
