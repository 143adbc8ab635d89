// Program bench-eviction replays a trace of requests against the eviction policies and prints what each costs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
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
	open := openModule(*modules)
	if *builtIn {
		open = openBuiltIn
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

func openBuiltIn(_ context.Context, policy string) (eviction.Ranker, func(), error) {
	rank, err := eviction.BuiltIn(policy)
	return rank, func() {}, err
}

func openModule(dir string) eviction.Open {
	return func(ctx context.Context, policy string) (eviction.Ranker, func(), error) {
		path := filepath.Join(dir, "evict-"+policy+".wasm")
		wasm, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil, fmt.Errorf("%w: run `make policies` first", err)
		}
		if err != nil {
			return nil, nil, err
		}
		module, err := eviction.NewModule(ctx, path, wasm)
		if err != nil {
			return nil, nil, err
		}
		return module.Ranker(), module.Close, nil
	}
}
