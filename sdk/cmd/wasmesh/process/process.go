// Package process runs a program as a child that cannot outlive its parent. Called by the launcher for every process of
// a local mesh, and by the servers that tests and the quickstart start beside it.
//
// Invariants: once Done is closed the child is gone and reaped, and what it left behind in its process group is killed.
// When the parent dies, however it dies, the kernel kills the child; of the child's own children it knows nothing, so a
// program that starts some must end them itself when it can no longer reach them.
package process

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// drainDelay bounds the wait for the rest of the output after the child has ended: only a descendant that left the
// process group can still hold it open.
const drainDelay = 200 * time.Millisecond

// Process is a running child, or one that has ended. Its methods are safe for concurrent use.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // what Wait answered; read only after done is closed

	mu sync.Mutex // guards below
	// ended: the child may be reaped, so its id may be another process's.
	ended bool
}

// Start starts cmd, whose SysProcAttr it sets. The child gets a process group of its own, so that a Ctrl-C in the
// terminal reaches only the parent, which then stops its children in the order that they need.
func Start(cmd *exec.Cmd) (*Process, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if cmd.WaitDelay == 0 {
		cmd.WaitDelay = drainDelay
	}
	p := &Process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go p.run(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return p, nil
}

// StartTethered is Start for a program that ends when its standard input does: that is a pipe to which nothing is ever
// written and which the kernel closes when the parent dies. It holds where the signal does not: a child may have cleared
// it, and the kernel clears it in a program that changes its user.
func StartTethered(cmd *exec.Cmd) (*Process, error) {
	if _, err := cmd.StdinPipe(); err != nil { // closed by cmd.Wait
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return Start(cmd)
}

// run starts the child and waits for it on one thread that nothing else uses: the kernel sends Pdeathsig when the
// thread that started the child ends, not when the process does, and Go ends idle threads as it likes.
func (p *Process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	p.awaitEnd()
	p.mu.Lock()
	_ = syscall.Kill(-p.PID(), syscall.SIGKILL) // the rest of its group, if any
	p.ended = true
	p.mu.Unlock()
	p.err = p.cmd.Wait()
	close(p.done)
}

// awaitEnd returns when the child has ended and is not yet reaped: until then its id, and its group's, is its own.
func (p *Process) awaitEnd() {
	for {
		err := unix.Waitid(unix.P_PID, p.PID(), nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, syscall.EINTR) {
			return
		}
	}
}

// PID is the child's process id, and its group's.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the child has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err says how the child ended: nil for exit code 0, an *exec.ExitError otherwise. It waits for the end.
func (p *Process) Err() error {
	<-p.done
	return p.err
}

// Stop asks the child's group to end with SIGTERM, kills it after grace, and returns when the child is gone. It reports
// whether the child ended by itself. Stopping a child that has ended does nothing.
func (p *Process) Stop(grace time.Duration) bool {
	p.signal(syscall.SIGTERM)
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.done:
		return true
	case <-timer.C:
		p.signal(syscall.SIGKILL)
		<-p.done
		return false
	}
}

func (p *Process) signal(signal syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		_ = syscall.Kill(-p.PID(), signal) // fails only when the whole group has ended
	}
}
