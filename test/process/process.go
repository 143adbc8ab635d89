// Package process runs a program as a child that cannot outlive its parent, for the servers that tests and the
// quickstart start beside the mesh. Invariant: once Done is closed the child is gone and reaped; when the parent dies,
// however it dies, the kernel kills the child. Called by test/s3server and test/quickstart.
package process

import (
	"fmt"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// Process is a running child, or one that has ended.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // what Wait answered; read only after done is closed
}

// Start starts cmd, whose SysProcAttr it sets. The child gets a process group of its own, so that a Ctrl-C in the
// terminal reaches only the parent, which then stops its children in the order that they need.
func Start(cmd *exec.Cmd) (*Process, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	p := &Process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go p.run(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return p, nil
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
	p.err = p.cmd.Wait()
	close(p.done)
}

// PID is the child's process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the child has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err says how the child ended: nil for exit code 0, an *exec.ExitError otherwise. It waits for the end.
func (p *Process) Err() error {
	<-p.done
	return p.err
}

// Stop asks the child to end with SIGTERM, kills it after grace, and returns when it is gone. It reports whether the
// child ended by itself. A second call does nothing.
func (p *Process) Stop(grace time.Duration) bool {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // fails only when it has ended
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.done:
		return true
	case <-timer.C:
		_ = p.cmd.Process.Kill()
		<-p.done
		return false
	}
}
