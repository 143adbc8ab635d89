// Command wasmesh-controller decides what the mesh holds: from objects in a directory and the reports of the hosts it
// makes the catalog that hosts follow, and the status that people read.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdin, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "wasmesh-controller:", err)
		os.Exit(1)
	}
}

// run is main without the process: log and help go to stderr, stdin is only watched for its end.
func run(ctx context.Context, args []string, stdin io.Reader, stderr io.Writer) error {
	command := newCommand(stdin, stderr)
	command.SetArgs(args)
	command.SetOut(stderr)
	command.SetErr(stderr)
	return command.ExecuteContext(ctx)
}
