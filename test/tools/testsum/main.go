// Command testsum runs `go test` one or more times, shows what failed as it fails, and ends with one line that counts
// the test cases of all runs, subtests included:
//
//	N passed, N failed
//
// usage: testsum [KEY=VALUE ...] [go test arguments] [-- [KEY=VALUE ...] [go test arguments]] ...
//
// It exits 1 when a test fails, a package does not build, `go test` itself fails, or no test ran. Invariant: what is
// counted as passed is only what `go test` reported as passed. Run by `make test`.
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	// An interrupt ends the run of go test, which gets it, too; what was counted until then is still printed.
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	report := newReport(os.Stdout)
	broken := false
	for _, args := range runs(os.Args[1:]) {
		if err := goTest(ctx, args, report); err != nil {
			broken = true
			fmt.Printf("go test %s: %v\n", strings.Join(args, " "), err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	fmt.Println(report.summary())
	if broken || report.failed > 0 || report.passed == 0 {
		os.Exit(1)
	}
}

// runs splits arguments at "--".
func runs(args []string) [][]string {
	all := [][]string{nil}
	for _, arg := range args {
		if arg == "--" {
			all = append(all, nil)
			continue
		}
		all[len(all)-1] = append(all[len(all)-1], arg)
	}
	return all
}

// goTest runs `go test -json` once and feeds its events to the report.
func goTest(ctx context.Context, args []string, report *report) error {
	env := os.Environ()
	for len(args) > 0 && isAssignment(args[0]) {
		env, args = append(env, args[0]), args[1:]
	}
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-json"}, args...)...)
	cmd.Env = env
	cmd.Stderr = os.Stdout // in the order in which it happens
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := report.read(out); err != nil {
		_ = cmd.Process.Kill() // nobody reads its output any more
		_ = cmd.Wait()
		return err
	}
	return cmd.Wait()
}

func isAssignment(arg string) bool {
	key, _, found := strings.Cut(arg, "=")
	return found && key != "" && !strings.HasPrefix(key, "-")
}
