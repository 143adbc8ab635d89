package main

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wasmesh/wasmesh/runtimes"
	"github.com/wasmesh/wasmesh/runtimes/fake"
	"github.com/wasmesh/wasmesh/runtimes/runtimetest"
	"github.com/wasmesh/wasmesh/runtimes/spi"
	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/process"
)

// asProgram makes this test binary behave as the program.
const asProgram = "FAKE_RUNTIME_TEST_RUNS_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// program is the program as fake.Process describes it, with an adapter for it.
type program struct {
	ctx     context.Context
	command *exec.Cmd
	child   *process.Process
	stdin   io.Closer
	adapter runtimes.Adapter
}

func start(t *testing.T, config runtimes.ProcessConfig) *program {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	config.GRPCAddress = runtimetest.FreeAddress(t)
	spec, err := fake.Process(config)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(os.Args[0], spec.Args...)
	command.Env = append(append(os.Environ(), asProgram+"=1"), spec.Env...)
	command.Stderr = os.Stderr
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	child, err := process.Start(command)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { child.Stop(0) })
	adapter, err := spi.New(runtimes.Config{ManagementAddress: config.GRPCAddress})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = adapter.Close() })
	runtimetest.AwaitReady(ctx, t, adapter)
	return &program{ctx: ctx, command: command, child: child, stdin: stdin, adapter: adapter}
}

// ends waits for the end and checks the exit code.
func (p *program) ends(t *testing.T, want int) {
	t.Helper()
	select {
	case <-p.child.Done():
	case <-p.ctx.Done():
		t.Fatal("the program still runs")
	}
	if got := p.command.ProcessState.ExitCode(); got != want {
		t.Errorf("exit code %d; want %d", got, want)
	}
}

func TestSettingsReachTheServer(t *testing.T) {
	p := start(t, runtimes.ProcessConfig{
		CapacityBytes: 3 << 20, LoadTimeout: 9 * time.Second,
		Env: []string{"FAKE_CAPACITY_BYTES=5", "FAKE_MAX_LOADING_CONCURRENCY=4", "FAKE_DEFAULT_MODEL_BYTES=777"},
	})
	got, err := p.adapter.Status(p.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if got.CapacityBytes != 3<<20 || got.LoadTimeout != 9*time.Second || got.MaxLoadingConcurrency != 4 || got.DefaultModelBytes != 777 {
		t.Errorf("status %+v; want the launcher's capacity and timeout, the container's concurrency and size", got)
	}
}

func TestEndsWithStandardInput(t *testing.T) {
	p := start(t, runtimes.ProcessConfig{})
	if err := p.stdin.Close(); err != nil {
		t.Fatal(err)
	}
	p.ends(t, 0)
}

func TestEndsOnSIGTERM(t *testing.T) {
	p := start(t, runtimes.ProcessConfig{})
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.ends(t, 0)
}

func TestCrashOnLoad(t *testing.T) {
	p := start(t, runtimes.ProcessConfig{})
	path := filepath.Join(t.TempDir(), fake.ArtifactName)
	if err := (fake.Artifact{CrashOnLoad: true}).WriteFile(path); err != nil {
		t.Fatal(err)
	}
	if _, err := p.adapter.Load(p.ctx, runtimes.Model{ID: "m", FormatName: "fake", Path: path}); !runtimes.IsUnavailable(err) {
		t.Errorf("Load that crashes the server: %v; want kind Unavailable", err)
	}
	p.ends(t, crashCode)
}

func TestBadSettings(t *testing.T) {
	for _, c := range []struct{ args, env, want string }{
		{args: "--capacity-bytes=much", want: "capacity-bytes"},
		{args: "model.json", want: `unknown argument "model.json"`},
		{env: "FAKE_LOAD_DELAY", want: "FAKE_LOAD_DELAY"},
	} {
		if c.env != "" {
			t.Setenv(c.env, "soon")
		}
		err := run(context.Background(), strings.Fields(c.args), strings.NewReader(""), io.Discard)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v; want an error with %q", c, err, c.want)
		}
	}
}
