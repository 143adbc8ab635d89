package cli

import (
	"context"
	"fmt"
	"io"
	"runtime/debug"
	"sync"

	"github.com/spf13/cobra"
)

// Streams are where the command reads and writes.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

const (
	defaultDataDir   = ".wasmesh"
	defaultNamespace = "default"
)

// Run does what the command line args, program name first, says, until ctx ends.
func Run(ctx context.Context, args []string, streams Streams) error {
	root := &cobra.Command{
		Use:           "wasmesh",
		Short:         "Serve many models on few machines",
		Long:          "wasmesh runs a mesh on this machine, shows what is in it and sends it requests.",
		Version:       version(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetArgs(args[1:])
	root.SetIn(streams.In)
	root.SetOut(&lineWriter{out: streams.Out})
	root.SetErr(&lineWriter{out: streams.Err})
	var dataDir string
	root.PersistentFlags().StringVar(&dataDir, "data-dir", defaultDataDir, "directory of the mesh's state, logs and sockets")
	root.AddCommand(newUp(args[0], &dataDir), newGet(&dataDir), newDescribe(&dataDir), newInfer(&dataDir), newPolicy(&dataDir), newWhy(&dataDir), newDrain(&dataDir), newSim())
	root.SetFlagErrorFunc(func(command *cobra.Command, err error) error {
		return fmt.Errorf("%w: `%s --help` lists the flags", err, command.CommandPath())
	})
	explainArgs(root)
	return root.ExecuteContext(ctx)
}

// explainArgs has the errors about arguments of a command, and of those below it, say how it is used.
func explainArgs(command *cobra.Command) {
	if check := command.Args; check != nil {
		command.Args = func(command *cobra.Command, args []string) error {
			err := check(command, args)
			switch {
			case err == nil:
				return nil
			case command.HasSubCommands():
				return fmt.Errorf("%w: `%s --help` lists the commands", err, command.CommandPath())
			}
			return fmt.Errorf("%w: usage is `%s`", err, command.UseLine())
		}
	}
	for _, below := range command.Commands() {
		explainArgs(below)
	}
}

// version is the module's as the Go tool noted it, with the revision of a clone, and Go's.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return info.Main.Version + " " + info.GoVersion
}

// lineWriter lets several goroutines write, each Write whole.
type lineWriter struct {
	mu  sync.Mutex // guards out
	out io.Writer
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.out.Write(p)
}
