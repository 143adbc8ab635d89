package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
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
	where := &target{plugin: isPlugin(args[0])}
	root := &cobra.Command{
		Use:   "wasmesh",
		Short: "Serve many models on few machines",
		Long: `wasmesh runs a mesh on this machine, shows what is in it and sends it requests. With --kube, or when it is called as
kubectl-wasmesh (so that "kubectl wasmesh get models" works), it does the same with the mesh of a cluster: objects come from
the API server, and ports of pods are forwarded to ask the controller and to send requests. That takes the verbs get and
create on pods/portforward.`,
		Version:            version(),
		SilenceUsage:       true,
		SilenceErrors:      true,
		PersistentPreRunE:  func(*cobra.Command, []string) error { return where.check() },
		DisableSuggestions: true, // unknownCommand makes them, in the same line.
	}
	if where.plugin {
		root.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl wasmesh"}
	}
	root.SetArgs(args[1:])
	root.SetIn(streams.In)
	root.SetOut(&lineWriter{out: streams.Out})
	root.SetErr(&lineWriter{out: streams.Err, words: where.words})
	where.addFlags(root)
	root.AddCommand(newUp(args[0], where), newGet(where), newDescribe(where), newInfer(where), newCopies(where), newPolicy(where),
		newWhy(where), newDrain(where), newReady(), newLint(), newSim())
	root.SetFlagErrorFunc(func(command *cobra.Command, err error) error {
		return fmt.Errorf("%w: `%s --help` lists the flags", err, command.CommandPath())
	})
	explainArgs(root)
	failed, err := root.ExecuteContextC(ctx)
	if err == nil {
		return nil
	}
	name := ""
	if _, scanned := fmt.Sscanf(err.Error(), "unknown command %q for", &name); failed == root && scanned == nil {
		err = unknownCommand(root, err, name)
	}
	if text := where.words(err.Error()); text != err.Error() {
		return wordedError{err, text}
	}
	return err
}

// ExitCode is what the program ends with after an error of Run, and whether the error is to be printed: a command that has
// printed all that it found has nothing to add.
func ExitCode(err error) (code int, say bool) {
	if found, ok := errors.AsType[findingsError](err); ok {
		return found.code, false
	}
	return 1, true
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
				return unknownCommand(command, err, args[0])
			}
			return fmt.Errorf("%w: usage is `%s`", err, command.UseLine())
		}
	}
	for _, below := range command.Commands() {
		explainArgs(below)
	}
}

// nearEnough is how many letters a mistyped command may differ in from the one that is meant, as cobra has it.
const nearEnough = 2

// unknownCommand adds to the error that the command has none of that name what may be meant, and how to see all.
func unknownCommand(command *cobra.Command, err error, name string) error {
	command.SuggestionsMinimumDistance = nearEnough
	var meant []string
	for _, suggestion := range command.SuggestionsFor(name) {
		meant = append(meant, "`"+command.CommandPath()+" "+suggestion+"`")
	}
	question := ""
	if len(meant) > 0 {
		question = " did you mean " + strings.Join(meant, " or ") + "?"
	}
	return fmt.Errorf("%w:%s `%s --help` lists the commands", err, question, command.CommandPath())
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
	// words replaces how this program is called in what is said to people; nil leaves it.
	words func(string) string
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.words == nil {
		return w.out.Write(p)
	}
	if _, err := io.WriteString(w.out, w.words(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}
