package sim

import (
	"sync"
	"sync/atomic"

	"github.com/wasmesh/wasmesh/host/simulate"
	"github.com/wasmesh/wasmesh/host/simulate/scenario"
)

// Finding is a seed whose scenario broke a promise.
type Finding struct {
	Seed     uint64
	Scenario *scenario.Scenario
	Result   *simulate.Result
}

// Run plays one scenario. A panic of what is simulated is a broken promise too.
func Run(s *scenario.Scenario) (result *simulate.Result) {
	return Play(simulate.Config{Scenario: s})
}

// Seeds plays so many seeds from the first on, on so many processors, and calls done for each, one at a time, in no order.
// It ends early when done answers false.
func Seeds(first, count uint64, processors int, size Size, done func(Finding) bool) {
	var next atomic.Uint64
	var mu sync.Mutex // guards done and ended
	ended := false
	var workers sync.WaitGroup
	for range processors {
		workers.Go(func() {
			for {
				n := next.Add(1) - 1
				if n >= count {
					return
				}
				seed := first + n
				s := Generate(seed, size)
				result := Run(s)
				mu.Lock()
				ended = ended || !done(Finding{Seed: seed, Scenario: s, Result: result})
				over := ended
				mu.Unlock()
				if over {
					return
				}
			}
		})
	}
	workers.Wait()
}
