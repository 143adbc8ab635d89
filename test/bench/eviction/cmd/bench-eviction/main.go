// Program bench-eviction replays a trace of requests against the eviction policies and prints what each costs.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"

	"github.com/wasmesh/wasmesh/test/bench/eviction"
)

func main() {
	trace := flag.String("trace", "test/bench/eviction/traces/azure-functions-2019-500",
		"directory or file of the trace; its formats are in test/bench/eviction/README.md")
	modules := flag.String("modules", "bin/policies", "directory with the policies' modules, evict-<name>.wasm")
	builtIn := flag.Bool("builtin", false, "ask the built-in policies in place of the modules")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	open := eviction.OpenModules(*modules)
	if *builtIn {
		open = eviction.OpenBuiltIn
	}
	if err := run(ctx, *trace, open); err != nil {
		fmt.Fprintln(os.Stderr, "bench-eviction:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, path string, open eviction.Open) error {
	trace, err := eviction.Read(path)
	if err != nil {
		return err
	}
	rows, err := eviction.Compare(ctx, trace, open, runtime.GOMAXPROCS(0))
	if err != nil {
		return err
	}
	return eviction.Print(os.Stdout, trace, rows)
}
