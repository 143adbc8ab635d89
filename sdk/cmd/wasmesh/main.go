// Command wasmesh runs a mesh on one machine, shows what is in it and sends it requests; as kubectl-wasmesh it does the same
// with a mesh in a cluster.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/cli"
)

func main() {
	signals := []os.Signal{syscall.SIGINT, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as under nohup
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), signals...)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends at once
	if err := cli.Run(ctx, os.Args, cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}); err != nil {
		code, say := cli.ExitCode(err)
		if say {
			fmt.Fprintln(os.Stderr, "wasmesh:", err)
		}
		os.Exit(code)
	}
}
