package main

import (
	"context"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/wasmesh/wasmesh/controller/cluster"
	"github.com/wasmesh/wasmesh/controller/standalone"
	"github.com/wasmesh/wasmesh/sdk/logs"
)

// options that are not part of the controller's Config.
type options struct {
	logs           logs.Options
	exitOnStdinEOF bool
}

func newCommand(stdin io.Reader, stderr io.Writer) *cobra.Command {
	var config standalone.Config
	var opts options
	command := &cobra.Command{
		Use:   "wasmesh-controller --source PATH --data-dir DIR",
		Short: "Decide what the mesh holds, from YAML files and the reports of the hosts",
		Args:  cobra.NoArgs,
		// Errors are printed once, by main, without the usage.
		SilenceErrors: true, SilenceUsage: true,
		RunE: func(command *cobra.Command, _ []string) error {
			var err error
			if config.Logger, err = opts.logs.Logger(stderr); err != nil {
				return err
			}
			ctx := command.Context()
			if opts.exitOnStdinEOF {
				ctx = untilEOF(ctx, stdin)
			}
			return standalone.Run(ctx, config)
		},
	}
	flags := command.Flags()
	flags.StringArrayVar(&config.Sources, "source", nil, "a YAML file, or a directory of them; may be given several times")
	flags.StringVar(&config.DataDir, "data-dir", ".wasmesh", "where state and sockets are kept")
	flags.StringVar(&config.SyncAddress, "sync-address", "",
		"where hosts connect: unix:PATH, or HOST:PORT, on which every user of the machine gets the storage credentials; "+
			"port 0 takes a free one, which the log names (default unix:DATA-DIR/run/sync.sock)")
	flags.StringVar(&config.Endpoints.GRPC, "advertise-grpc", "",
		`the gRPC URL in statuses, such as grpc://127.0.0.1:8033; "{namespace}" stands for the object's`)
	flags.StringVar(&config.Endpoints.REST, "advertise-rest", "", "the REST URL in statuses, such as http://127.0.0.1:8008")
	opts.logs.Bind(flags)
	flags.BoolVar(&opts.exitOnStdinEOF, "exit-on-stdin-eof", false,
		"stop when standard input ends, as it does when the process at its other end dies")
	_ = command.MarkFlagRequired("source")
	command.AddCommand(newClusterCommand(stderr, os.Getenv, func(config cluster.Config) error {
		logEverything(config.Logger)
		return cluster.Run(command.Context(), config)
	}))
	return command
}

// untilEOF answers a context that ends with the reader. Nobody waits for the goroutine: a read of standard input cannot
// be interrupted, and ends with the process.
func untilEOF(ctx context.Context, r io.Reader) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		_, _ = io.Copy(io.Discard, r)
		cancel()
	}()
	return ctx
}
