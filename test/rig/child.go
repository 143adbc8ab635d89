package rig

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// child is a process of ours. It also ends when this process dies, because its standard input does.
type child struct {
	command *exec.Cmd
	stdin   io.Closer
	log     *os.File
	ended   chan struct{}
}

func startChild(program, log string, args ...string) (*child, error) {
	file, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	command := exec.Command(program, args...)
	command.Stdout, command.Stderr = file, file
	stdin, err := command.StdinPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("start %s (make build): %w", program, err)
	}
	c := &child{command: command, stdin: stdin, log: file, ended: make(chan struct{})}
	go func() {
		_ = command.Wait()
		file.Close()
		close(c.ended)
	}()
	return c, nil
}

func (c *child) pid() int { return c.command.Process.Pid }

func (c *child) kill() {
	_ = c.command.Process.Kill()
	<-c.ended
}

// stop asks the process to end, and makes it.
func (c *child) stop() {
	_ = c.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.ended:
	case <-time.After(stopGrace):
		c.kill()
	}
}
