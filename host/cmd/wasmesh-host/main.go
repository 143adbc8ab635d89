// Command wasmesh-host is the data plane: one process beside each runtime. It takes requests on gRPC and REST, loads and
// unloads models in the runtime, and forwards requests to it.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/wasmesh/wasmesh/host/node"
)

// softMemoryLimit makes the collector work harder instead of letting garbage of large messages pile up: the host is a
// sidecar, and its container is small.
const softMemoryLimit = 160 << 20

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	// Leaving takes a while; a second signal does not wait for it.
	context.AfterFunc(ctx, stop)
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(softMemoryLimit)
	}
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "wasmesh-host:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdin io.Reader, stderr io.Writer) error {
	config := node.Config{}
	options := processOptions{}
	command := &cobra.Command{
		Use:           "wasmesh-host",
		Short:         "Serve models through the runtime beside this process",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(command *cobra.Command, _ []string) error {
			logger, err := options.logs.Logger(stderr)
			if err != nil {
				return err
			}
			ctx := command.Context()
			if options.standalone {
				ctx = untilEOF(ctx, stdin)
			}
			return node.Run(ctx, config, logger.With("host", config.HostID))
		},
	}
	command.SetArgs(args)
	command.SetErr(stderr)
	bindFlags(command.Flags(), &config, &options)
	return command.ExecuteContext(ctx)
}

// untilEOF ends when the launcher that holds the other end of standard input is gone.
func untilEOF(ctx context.Context, stdin io.Reader) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	// Ends with the process: a read of standard input cannot be interrupted.
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, stdin)
	}()
	return ctx
}
