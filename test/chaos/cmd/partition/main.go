// Program partition cuts a mesh in two and heals it. It needs root and iproute2: it makes a network namespace for itself
// and one for each half, and removes them.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"time"

	"github.com/wasmesh/wasmesh/test/chaos"
)

// inside marks the process that runs in a network namespace of its own.
const inside = "WASMESH_PARTITION_INSIDE"

func main() {
	bin := flag.String("bin", "bin", "directory of the programs: make build")
	apart := flag.Duration("apart", 70*time.Second, "how long the halves are apart")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	if os.Getenv(inside) == "" {
		err = enter(ctx)
	} else {
		err = chaos.Partition(ctx, chaos.Config{Bin: *bin, Apart: *apart, Out: os.Stdout})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "partition:", err)
		os.Exit(1)
	}
}

// enter runs this program again, in a network namespace that ends with it.
func enter(ctx context.Context) error {
	command := exec.CommandContext(ctx, "unshare", append([]string{"--net", os.Args[0]}, os.Args[1:]...)...)
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	command.Env = append(os.Environ(), inside+"=1")
	return command.Run()
}
