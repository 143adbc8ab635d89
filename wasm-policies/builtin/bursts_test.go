package builtin_test

import (
	"testing"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
)

// TestBursts: what a copy is worth whose session seems to be over, by how many others there are of which that is true.
func TestBursts(t *testing.T) {
	// Used every 18 s for half an hour, and not for another.
	ended := aCopy("ended")
	ended.Rate, ended.Uses, ended.LoadedAtMs, ended.LastUsedMs = 100, 100, nowMs-hour, nowMs-30*minute
	unknown, once, running := ended, ended, ended
	unknown.LoadedAtMs = 0
	once.Uses = 1
	running.InFlight = 1
	// Units of use are 1e-9/s; 1e5 of them are its rate, 1e12/(30 minute) one use in the time for which it was not used.
	const byRate, onceInIdle = 100_000, 1_000_000_000_000 / (30 * minute)
	for _, c := range []struct {
		name           string
		row            policyabi.EvictRow
		steady, lapsed int // others
		use            int64
	}{
		{"where few sessions have ended it is half of what the rate says", ended, 9, 0, byRate / 2},
		{"up to a fifth of the copies", ended, 8, 1, byRate / 2},
		{"halfway between", ended, 3, 0, (byRate/2 + onceInIdle*7/8) / 2},
		{"from three tenths on it is how long ago that was, and how often it was used", ended, 7, 2, onceInIdle * 7 / 8},
		{"of one use less is known", once, 6, 3, onceInIdle * 1 / 8},
		{"without a time of load there are no pauses", unknown, 9, 0, byRate},
		{"in flight it is not over", running, 9, 0, byRate},
	} {
		rows := []policyabi.EvictRow{c.row}
		for range c.steady {
			rows = append(rows, aCopy("steady"))
		}
		for range c.lapsed {
			rows = append(rows, ended)
		}
		answers := evict(t, "cost-aware", policyabi.EvictRequest{
			Header: policyabi.Header{NowMs: nowMs}, Context: policyabi.EvictContext{CapacityMemory: 1 << 40}, Rows: rows,
		})
		// It loads in 1000 ms and takes 6400 blocks of 16 KiB.
		if got, want := answers[0].Keep, int32(c.use*1000/6400); got != want {
			t.Errorf("%s: keep-value %d, want %d", c.name, got, want)
		}
	}
}

// TestBurstsKeepWhatIsInUse: rates are of what was, so where models are used in sessions, the one that has just begun stays.
func TestBurstsKeepWhatIsInUse(t *testing.T) {
	ended, begun := aCopy("ended"), aCopy("begun")
	ended.Rate, ended.Uses, ended.LoadedAtMs, ended.LastUsedMs = 2000, 20, nowMs-20*minute, nowMs-10*minute
	begun.Rate, begun.Uses, begun.LoadedAtMs = 96, 4, nowMs-4*minute
	r := policyabi.EvictRequest{
		Header: policyabi.Header{NowMs: nowMs}, Context: policyabi.EvictContext{CapacityMemory: 1 << 40},
		Rows: []policyabi.EvictRow{begun, ended, ended},
	}
	if a := evict(t, "cost-aware", r); a[0].Keep <= a[1].Keep {
		t.Errorf("a session that has begun is worth %d, one that has ended %d", a[0].Keep, a[1].Keep)
	}
	// The same two where others are used to a schedule.
	for range 10 {
		r.Rows = append(r.Rows, aCopy("steady"))
	}
	if a := evict(t, "cost-aware", r); a[0].Keep >= a[1].Keep {
		t.Errorf("what is used seldom is worth %d, and often %d", a[0].Keep, a[1].Keep)
	}
}
