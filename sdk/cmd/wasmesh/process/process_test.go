package process

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The test binary is also what the tests run: its role is in the environment.
const roleEnv = "PROCESS_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleEnv) {
	case "":
		os.Exit(m.Run())
	case "parent":
		parent(Start, "sh", "-c", "echo $$; exec sleep 600")
	case "tethering parent":
		os.Setenv(roleEnv, "tethered child")
		parent(StartTethered, os.Args[0])
	case "tethered child":
		// Without the signal, so that only the pipe is left.
		if err := unix.Prctl(unix.PR_SET_PDEATHSIG, 0, 0, 0, 0); err != nil {
			panic(err)
		}
		os.Stdout.WriteString(strconv.Itoa(os.Getpid()) + "\n")
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(7)
	}
}

// parent starts a child that says its process id, and waits to be killed.
func parent(start func(*exec.Cmd) (*Process, error), program string, args ...string) {
	cmd := exec.Command(program, args...)
	cmd.Stdout = os.Stdout
	if _, err := start(cmd); err != nil {
		panic(err)
	}
	select {}
}

// patience bounds waits that only a defect makes long.
const patience = time.Minute

func TestChildDiesWithAKilledParent(t *testing.T) {
	for _, role := range []string{"parent", "tethering parent"} {
		t.Run(role, func(t *testing.T) {
			parent := exec.Command(os.Args[0])
			parent.Env = append(os.Environ(), roleEnv+"="+role)
			out, err := parent.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := parent.Start(); err != nil {
				t.Fatal(err)
			}
			child := readPID(t, out)
			fd, err := unix.PidfdOpen(child, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(fd)
			if err := parent.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = parent.Wait() // killed
			if !ends(t, fd) {
				_ = syscall.Kill(child, syscall.SIGKILL)
				t.Errorf("child %d outlived its killed parent", child)
			}
		})
	}
}

func readPID(t *testing.T, r io.Reader) int {
	t.Helper()
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatalf("read process id: %v", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// ends waits for the end of the process behind a pidfd.
func ends(t *testing.T, fd int) bool {
	t.Helper()
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(patience.Milliseconds()))
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		return n > 0
	}
}

// start runs a shell script and answers what it writes.
func start(t *testing.T, script string) (*Process, *bufio.Reader) {
	t.Helper()
	// An own pipe: Wait would close one of exec's before it was read.
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { read.Close() })
	cmd := exec.Command("sh", "-c", script)
	cmd.Stdout = write
	p, err := Start(cmd)
	write.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Stop(0) })
	return p, bufio.NewReader(read)
}

func TestStop(t *testing.T) {
	for _, test := range []struct {
		name, script string
		grace        time.Duration
		byItself     bool
	}{
		{"ends on SIGTERM", `trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done`, patience, true},
		{"killed when it will not", `trap '' TERM; echo ready; while :; do sleep 0.05; done`, time.Millisecond, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, out := start(t, test.script)
			if _, err := out.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			if got := p.Stop(test.grace); got != test.byItself {
				t.Errorf("Stop = %v, want %v", got, test.byItself)
			}
			if got := p.Err() == nil; got != test.byItself {
				t.Errorf("Err = %v", p.Err())
			}
			p.Stop(0) // again: no panic, no wait
		})
	}
}

// What a program leaves behind when it dies would keep its port.
func TestTheGroupEndsWithTheChild(t *testing.T) {
	p, out := start(t, `sleep 600 & echo $!; exit 3`)
	left := readPID(t, out)
	<-p.Done()
	var exit *exec.ExitError
	if !errors.As(p.Err(), &exit) || exit.ExitCode() != 3 {
		t.Errorf("Err = %v, want exit status 3", p.Err())
	}
	// It has the other end of the pipe.
	if _, err := out.ReadByte(); err != io.EOF {
		t.Errorf("read from what process %d left behind: %v", left, err)
	}
}

func TestTetheredChildSeesNoEndBeforeStop(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleEnv+"=tethered child")
	p, err := StartTethered(cmd)
	if err != nil {
		t.Fatal(err)
	}
	if !p.Stop(patience) {
		t.Error("it had to be killed")
	}
	// Not 7, with which it answers the end of its input.
	if err := p.Err(); err == nil || err.Error() != "signal: terminated" {
		t.Errorf("Err = %v, want that it was terminated", err)
	}
}

func TestStartSaysWhichProgramIsMissing(t *testing.T) {
	for name, start := range map[string]func(*exec.Cmd) (*Process, error){"Start": Start, "StartTethered": StartTethered} {
		if _, err := start(exec.Command("/nowhere/program")); err == nil || !strings.Contains(err.Error(), "/nowhere/program") {
			t.Errorf("%s = %v, want an error that names the program", name, err)
		}
	}
}
