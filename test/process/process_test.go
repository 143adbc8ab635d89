package process

import (
	"bufio"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The test binary is the parent, too: as "parent" it starts a child that waits for ever, says its process id and waits.
const parentEnv = "PROCESS_TEST_PARENT"

func TestMain(m *testing.M) {
	if os.Getenv(parentEnv) != "" {
		child, err := Start(exec.Command("sleep", "600"))
		if err != nil {
			panic(err)
		}
		os.Stdout.WriteString(strconv.Itoa(child.PID()) + "\n")
		select {}
	}
	os.Exit(m.Run())
}

func TestChildDiesWithAKilledParent(t *testing.T) {
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), parentEnv+"=1")
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("read the child's process id: %v", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait() // killed
	if !gone(pid) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
		t.Errorf("child %d outlived its killed parent by 10 s", pid)
	}
}

// gone waits for a process that is not ours to reap to end: it is no more, or a zombie that its new parent will reap.
func gone(pid int) bool {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return true
		}
	}
	return false
}

func TestStop(t *testing.T) {
	for _, test := range []struct {
		name, script string
		grace        time.Duration
		byItself     bool
	}{
		{"ends on SIGTERM", `trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done`, time.Minute, true},
		{"killed when it will not", `trap '' TERM; echo ready; while :; do sleep 0.05; done`, time.Millisecond, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			// An own pipe: Wait would close one of exec's before it was read.
			read, write, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer read.Close()
			cmd := exec.Command("sh", "-c", test.script)
			cmd.Stdout = write
			p, err := Start(cmd)
			write.Close()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := bufio.NewReader(read).ReadString('\n'); err != nil {
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

func TestStartSaysWhichProgramIsMissing(t *testing.T) {
	_, err := Start(exec.Command("/nowhere/program"))
	if err == nil || !strings.Contains(err.Error(), "/nowhere/program") {
		t.Errorf("Start = %v, want an error that names the program", err)
	}
}
