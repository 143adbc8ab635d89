package author

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
	"github.com/wasmesh/wasmesh/wasm-policies/engine"
	"github.com/wasmesh/wasmesh/wasm-policies/policytest"
)

// benchRows are the sizes of requests that are measured; a status has one or two rows.
func benchRows(hook policyabi.Hook) []int {
	if hook == policyabi.HookStatus {
		return []int{1, 2}
	}
	return []int{1, 10, 100, 1000}
}

// benchTime is how long each size is called for, and benchCalls the least number of calls.
const (
	benchTime  = 200 * time.Millisecond
	benchCalls = 20
)

// Bench prints, for each hook and number of rows, the fuel that a decision takes, which is the same on every machine, its
// share of the budget, and the time that it takes here.
func Bench(ctx context.Context, out io.Writer, module *policytest.Module, config string) error {
	configured, err := module.With(ctx, config)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%-8s%8s%12s%10s%14s\n", "HOOK", "ROWS", "FUEL", "BUDGET", "MEDIAN TIME")
	for _, hook := range module.Info().Hooks {
		for _, rows := range benchRows(hook) {
			fuel, median, err := measure(ctx, configured, policytest.Typical(hook, rows))
			if err != nil {
				return fmt.Errorf("%v over %d rows: %w", hook, rows, err)
			}
			share := 100 * float64(fuel) / float64(engine.Budget(hook, rows))
			fmt.Fprintf(out, "%-8v%8d%12d%9.2f%%%14v\n", hook, rows, fuel, share, median)
		}
	}
	return nil
}

// measure calls again and again; the median leaves out what else the machine did.
func measure(ctx context.Context, policy *policytest.Configured, request []byte) (fuel uint64, median time.Duration, err error) {
	var times []time.Duration
	for end := time.Now().Add(benchTime); len(times) < benchCalls || time.Now().Before(end); {
		if err := ctx.Err(); err != nil {
			return 0, 0, err
		}
		started := time.Now()
		if _, fuel, err = policy.DecideBytes(request); err != nil {
			return 0, 0, err
		}
		times = append(times, time.Since(started))
	}
	slices.Sort(times)
	return fuel, times[len(times)/2], nil
}
