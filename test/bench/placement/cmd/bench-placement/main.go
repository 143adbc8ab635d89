// Program bench-placement replays a trace of requests against a mesh of hosts and prints what it costs beside one host with
// the memory of all, and beside other rules of placement.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"

	"github.com/wasmesh/wasmesh/test/bench/eviction"
	"github.com/wasmesh/wasmesh/test/bench/placement"
)

func main() {
	trace := flag.String("trace", "test/bench/eviction/traces/azure-functions-2019-500",
		"directory or file of the trace; its formats are in test/bench/eviction/README.md")
	modules := flag.String("modules", "bin/policies", "directory with the policies' modules")
	builtIn := flag.Bool("builtin", false, "ask the built-in policies in place of the modules")
	hosts := flag.Int("hosts", 8, "how many hosts share the memory, 1 to 1000")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	open := placement.OpenModules(*modules)
	if *builtIn {
		open = placement.OpenBuiltIn()
	}
	if err := run(ctx, *trace, *hosts, open); err != nil {
		fmt.Fprintln(os.Stderr, "bench-placement:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, path string, hosts int, open placement.Open) error {
	if hosts < 1 || hosts > 1000 {
		return fmt.Errorf("-hosts is %d: give 1 to 1000", hosts)
	}
	trace, err := eviction.Read(path)
	if err != nil {
		return err
	}
	table, err := placement.Compare(ctx, trace, hosts, open, runtime.GOMAXPROCS(0))
	if err != nil {
		return err
	}
	return table.Print(os.Stdout, trace)
}
