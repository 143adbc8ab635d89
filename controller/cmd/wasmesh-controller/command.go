package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/wasmesh/wasmesh/controller/cluster"
	"github.com/wasmesh/wasmesh/controller/standalone"
)

// options that are not part of the controller's Config.
type options struct {
	logFormat, logLevel string
	exitOnStdinEOF      bool
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
			if config.Logger, err = newLogger(stderr, opts); err != nil {
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
	flags.StringVar(&opts.logFormat, "log-format", "text", "text or json")
	flags.StringVar(&opts.logLevel, "log-level", "info", "debug, info, warn or error")
	flags.BoolVar(&opts.exitOnStdinEOF, "exit-on-stdin-eof", false,
		"stop when standard input ends, as it does when the process at its other end dies")
	_ = command.MarkFlagRequired("source")
	command.AddCommand(newClusterCommand(stderr, os.Getenv, func(config cluster.Config) error {
		logEverything(config.Logger)
		return cluster.Run(command.Context(), config)
	}))
	return command
}

func newLogger(w io.Writer, opts options) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(opts.logLevel)); err != nil {
		return nil, fmt.Errorf("flag --log-level: %w", err)
	}
	handling := &slog.HandlerOptions{Level: level}
	switch opts.logFormat {
	case "text":
		return slog.New(slog.NewTextHandler(w, handling)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, handling)), nil
	}
	return nil, fmt.Errorf("flag --log-format: %q is neither text nor json", opts.logFormat)
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
