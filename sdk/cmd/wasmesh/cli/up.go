package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/spf13/cobra"
	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/launcher"
)

func newUp(program string, where *target) *cobra.Command {
	config := launcher.Config{}
	hints := true
	command := &cobra.Command{
		Use:   "up -f PATH [-f PATH ...]",
		Short: "Run the controller, the hosts and their runtimes as local processes",
		Long: `up reads the YAML that a cluster would get (InferenceService, ServingRuntime, Secret storage-config), runs the
controller, one or more hosts for each ServingRuntime that a model needs, and their runtimes, and follows edits of the
files until it is interrupted.`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			config.DataDir, config.Progress = where.dataDir, command.OutOrStdout()
			return runUp(command.Context(), command.ErrOrStderr(), config, &announcer{program: program, hints: hints})
		},
	}
	flags := command.Flags()
	flags.StringArrayVarP(&config.Sources, "filename", "f", nil, "YAML file, or directory of them (repeatable)")
	flags.IntVar(&config.HostsPerRuntime, "hosts", 1, "hosts for each ServingRuntime that a model needs")
	flags.BoolVar(&config.Gateway, "gateway", false, "add a host without a runtime, which takes requests at the first addresses")
	flags.StringSliceVar(&config.Zones, "zones", nil, "zones of the hosts of each runtime, in turn, such as a,b")
	flags.StringVar(&config.GRPCAddress, "grpc-address", "127.0.0.1:8033", "gRPC address of the first host; up to 24 more listen on the next ports")
	flags.StringVar(&config.RESTAddress, "rest-address", "127.0.0.1:8008", "REST address of the first host; up to 24 more listen on the next ports")
	flags.StringVar(&config.RuntimesDir, "runtimes-dir", defaultRuntimesDir(), "directory of installed runtimes, searched before PATH")
	flags.StringArrayVar(&config.HostArgs, "host-arg", nil, "further argument for every wasmesh-host (repeatable)")
	flags.BoolVar(&hints, "hints", true, "say what to type when the mesh is up")
	_ = command.MarkFlagRequired("filename") // fails only for a flag that does not exist
	return command
}

// runUp runs the mesh; the announcer has what the user typed.
func runUp(ctx context.Context, errs io.Writer, config launcher.Config, announcer *announcer) error {
	executable, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own program: %w", err)
	}
	config.BinDir = filepath.Dir(executable)
	config.Logger = slog.New(slog.NewTextHandler(errs, nil))

	client, err := dialLocal(config.DataDir)
	if err != nil {
		return err
	}
	defer client.close()
	announcer.client, announcer.out, announcer.dataDir = client, config.Progress, config.DataDir
	announcer.said = make(map[string]bool)
	ctx, cancel := context.WithCancel(ctx)
	var announcing sync.WaitGroup
	announcing.Go(func() { announcer.run(ctx) })
	err = launcher.Up(ctx, config)
	cancel()
	announcing.Wait()
	return err
}

// defaultRuntimesDir is where `make runtime-<type>` installs.
func defaultRuntimesDir() string {
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(cache, "wasmesh", "runtimes")
}
