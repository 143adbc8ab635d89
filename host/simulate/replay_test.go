package simulate

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/wasmesh/wasmesh/host/route"
	"github.com/wasmesh/wasmesh/host/simulate/recording"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
	"github.com/wasmesh/wasmesh/wasm-policies/builtin"
)

// recorded is twenty minutes of requests for 60 models of 10 MB that load in a second, some far more popular than others.
func recorded() *recording.Trace {
	random := rand.New(rand.NewPCG(1, 2))
	t := &recording.Trace{Name: "made up"}
	for i := range 60 {
		t.Models = append(t.Models, recording.Model{Name: "m" + string(rune('A'+i)), Size: 10_000_000, Load: time.Second})
	}
	for at := time.Duration(0); at < 20*time.Minute; at += time.Duration(random.IntN(4000)) * time.Millisecond {
		model := min(random.IntN(60), random.IntN(60), random.IntN(60))
		t.Requests = append(t.Requests, recording.Request{At: at, Model: int32(model)})
	}
	return t
}

// A recording is served, each request once, with fewer loads where there is more memory, and equally each time.
func TestReplay(t *testing.T) {
	trace := recorded()
	replay := func(capacity int64, policies Policies) *Result {
		t.Helper()
		result, err := Replay(ReplayConfig{Recording: trace, Hosts: 3, Capacity: capacity, Policies: policies})
		if err != nil {
			t.Fatal(err)
		}
		if served := result.Outcomes[route.Served]; served != len(trace.Requests) {
			t.Errorf("%d of %d requests served: %v", served, len(trace.Requests), result)
		}
		return result
	}
	small, again, large := replay(70_000_000, Policies{}), replay(70_000_000, Policies{}), replay(300_000_000, Policies{})
	if small.Hash != again.Hash {
		t.Errorf("it went %016x, and then %016x", small.Hash, again.Hash)
	}
	// Each model once, and those in steady use a second time, for safety; what is asked for in the first seconds waits.
	if large.Loads < 60 || large.Loads > 3*60 || len(large.Cold) > 10 || large.Evictions > 0 {
		t.Errorf("where all fits: %d loads, %d cold requests, %d evictions", large.Loads, len(large.Cold), large.Evictions)
	}
	if small.Loads <= 60 || small.LoadTime != time.Duration(small.Loads)*time.Second || len(small.Cold) < 100 {
		t.Errorf("where a third fits: %d loads of %v, %d cold requests", small.Loads, small.LoadTime, len(small.Cold))
	}
	lru, _ := builtin.ByName(policyabi.HookEvict, "lru")
	if other := replay(70_000_000, Policies{Evict: lru.Decide}); other.Hash == small.Hash {
		t.Error("the policy makes no difference")
	}
}

// A policy that breaks a rule ends the replay, with its own word.
func TestReplayOfBrokenPolicy(t *testing.T) {
	trap := errors.New("trap: unreachable")
	for _, policies := range []Policies{
		{Place: func([]byte) ([]byte, error) { return nil, trap }},
		{Evict: func([]byte) ([]byte, error) { return nil, trap }},
		{Place: func([]byte) ([]byte, error) { return []byte{1}, nil }},
	} {
		_, err := Replay(ReplayConfig{Recording: recorded(), Hosts: 2, Capacity: 70_000_000, Policies: policies})
		if err == nil || !strings.Contains(err.Error(), "policy") {
			t.Errorf("error %v", err)
		}
	}
}
