// Program bench-churn asks a mesh for ten times the models that fit, as fast as it answers, and prints what became of it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/wasmesh/wasmesh/test/bench/churn"
)

func main() {
	bin := flag.String("bin", "bin", "directory of the programs: make build")
	hosts := flag.Int("hosts", 2, "hosts that share the memory")
	during := flag.Duration("time", 30*time.Second, "how long requests are sent, for each load time")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *bin, *hosts, *during); err != nil {
		fmt.Fprintln(os.Stderr, "bench-churn:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, bin string, hosts int, during time.Duration) error {
	const quick = 20 * time.Millisecond
	failed, used, hits := 0, 0.0, 0.0
	fmt.Printf("%8s %9s %7s %7s %7s %6s %8s %5s %9s %9s\n",
		"load", "requests", "failed", "hit %", "loads", "used", "refused", "torn", "p50", "p99")
	for _, load := range []time.Duration{quick, 500 * time.Millisecond} {
		r, err := churn.Run(ctx, churn.Config{Bin: bin, Hosts: hosts, Load: load, Time: during})
		if err != nil {
			return err
		}
		fmt.Printf("%8v %9d %7d %7.1f %7d %6.3f %8d %5d %9v %9v\n", load, r.Requests, r.Failed, r.HitPercent, r.Loads,
			r.UsedVsCapacity, r.Refused, r.Torn, r.P50.Round(time.Millisecond/10), r.P99.Round(time.Millisecond/10))
		for _, message := range r.Failures {
			fmt.Println("  failed:", message)
		}
		failed += r.Failed
		used = max(used, r.UsedVsCapacity)
		if load == quick {
			hits = r.HitPercent
		}
	}
	fmt.Printf("figures: failed=%d max_used_vs_capacity=%.3f hit_percent=%.1f\n", failed, used, hits)
	return nil
}
