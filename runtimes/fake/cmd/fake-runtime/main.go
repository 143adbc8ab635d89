// Command fake-runtime is the inference server of package fake as a program: it serves mmesh.ModelRuntime and the Open
// Inference Protocol on one port until it is told to stop by SIGINT or SIGTERM, or, with --exit-on-stdin-eof, by the end
// of its standard input, which is how it ends with the launcher that started it.
//
// Every flag can be set by an environment variable too, FAKE_ and the flag's name in capitals (FAKE_LOAD_DELAY=2s); the
// flag wins.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/wasmesh/wasmesh/runtimes/fake"
)

// stopTimeout bounds what is in flight when the program is told to stop.
const stopTimeout = 5 * time.Second

// crashCode is the exit code of a model with crash_on_load: that of a process that the kernel killed for its memory.
const crashCode = 137

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "fake-runtime:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	config         fake.Config
	host           string
	port           int
	exitOnStdinEOF bool
}

func run(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	o.config.Crash = func() { os.Exit(crashCode) }
	server, err := fake.Listen(net.JoinHostPort(o.host, strconv.Itoa(o.port)), o.config)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "fake runtime serves on %s\n", server.Address())
	if o.exitOnStdinEOF {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
		// Not waited for: a read cannot be interrupted, and the process ends.
		go func() {
			_, _ = io.Copy(io.Discard, stdin)
			cancel()
		}()
	}
	<-ctx.Done()
	ending, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	server.Stop(ending)
	return nil
}

func parse(args []string) (*options, error) {
	o := &options{}
	flags := flag.NewFlagSet("fake-runtime", flag.ContinueOnError)
	flags.StringVar(&o.host, "host", "127.0.0.1", "`host` to listen on")
	flags.IntVar(&o.port, "port", 8001, "`port` of both services; 0 picks a free one")
	flags.BoolVar(&o.exitOnStdinEOF, "exit-on-stdin-eof", false, "stop when standard input ends")
	flags.StringVar(&o.config.Name, "name", "", "told in every answer as parameter \"server\"; default pid-<pid>")
	flags.Int64Var(&o.config.CapacityBytes, "capacity-bytes", 0, "memory for models, in `bytes`; loads beyond it fail; 0 is no bound")
	flags.IntVar(&o.config.MaxLoadingConcurrency, "max-loading-concurrency", 0, "`loads` at once; more wait; 0 is no bound")
	flags.DurationVar(&o.config.LoadTimeout, "model-loading-timeout", 0, "stated in the status; 0 states none")
	flags.Int64Var(&o.config.DefaultModelBytes, "default-model-bytes", fake.DefaultModelBytes, "size of a model that does not say, in `bytes`")
	flags.DurationVar(&o.config.LoadDelay, "load-delay", 0, "time of a load whose model does not say")
	flags.DurationVar(&o.config.ServiceTime, "service-time", 0, "time of a request whose model does not say")
	flags.IntVar(&o.config.MaxMessageBytes, "max-message-bytes", fake.DefaultMaxMessageBytes, "largest request and answer, in `bytes`")
	var bad []error
	flags.VisitAll(func(f *flag.Flag) {
		name := "FAKE_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		if value, set := os.LookupEnv(name); set {
			if err := flags.Set(f.Name, value); err != nil {
				bad = append(bad, fmt.Errorf("read environment variable %s=%q: %w", name, value, err))
			}
		}
	})
	if err := errors.Join(bad...); err != nil {
		return nil, err
	}
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unknown argument %q; see --help", flags.Arg(0))
	}
	return o, nil
}
