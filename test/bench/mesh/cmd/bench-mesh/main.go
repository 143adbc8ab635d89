// Program bench-mesh measures a mesh of several hosts and prints a line for each measurement.
package main

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"

	"github.com/wasmesh/wasmesh/test/bench/mesh"
)

func main() {
	bin := flag.String("bin", "bin", "directory of the programs: make build")
	only := flag.String("only", "", "measurements, separated by commas; all when empty")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, mesh.Config{Bin: *bin, Out: os.Stdout}, *only); err != nil {
		fmt.Fprintln(os.Stderr, "bench-mesh:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, config mesh.Config, only string) error {
	figures := mesh.Figures{}
	for _, s := range mesh.Scenarios() {
		if only != "" && !slices.Contains(strings.Split(only, ","), s.Name) {
			continue
		}
		fmt.Println("==", s.Name)
		f, err := s.Run(ctx, config)
		if err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
		maps.Copy(figures, f)
	}
	mesh.Print(os.Stdout, figures)
	return nil
}
