// Program bench-scale counts what many hosts say to each other.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/wasmesh/wasmesh/test/bench/scale"
)

func main() {
	config := scale.Config{Out: os.Stdout}
	flag.IntVar(&config.Hosts, "hosts", 64, "hosts")
	flag.IntVar(&config.Copies, "copies", 20_000, "copies on all of them together")
	flag.DurationVar(&config.Window, "window", 15*time.Second, "how long each state is watched")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := scale.Run(ctx, config); err != nil {
		fmt.Fprintln(os.Stderr, "bench-scale:", err)
		os.Exit(1)
	}
}
