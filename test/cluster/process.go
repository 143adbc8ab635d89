package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/wasmesh/wasmesh/test/cluster/node"
)

// NodeArgument is the first argument by which Up starts the running program again, to be the node: the program must then
// pass the arguments after it to Node, before it does anything else.
const NodeArgument = "node"

// runArgument has Node be the process that runs the node, a child of its first process.
const runArgument = "run"

// lockFD is the lock's file in the node's first process: the first of exec.Cmd.ExtraFiles.
const lockFD = 3

// launch starts the first process of the node and does not wait for it.
func (c *Cluster) launch() error {
	if err := os.MkdirAll(c.config.Dir, 0o755); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	config, err := json.Marshal(c.config)
	if err != nil {
		return fmt.Errorf("encode configuration: %w", err)
	}
	log, err := os.OpenFile(c.Log(), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("make log: %w", err)
	}
	defer log.Close() // the node has its own
	// Taken here and inherited, so that there is no moment in which the node runs and the lock does not say so.
	lock, err := c.lock()
	if err != nil {
		return err
	}
	defer lock.Close()
	command, err := again(log, string(config))
	if err != nil {
		return err
	}
	command.ExtraFiles = []*os.File{lock}
	// A session of its own: it outlives the terminal.
	command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: node.Namespaces, Setsid: true}
	if err := command.Start(); err != nil {
		return fmt.Errorf("start node: %w", err)
	}
	return command.Process.Release()
}

// again is the running program, to be the node.
func again(log *os.File, arguments ...string) (*exec.Cmd, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own program: %w", err)
	}
	command := exec.Command(program, append([]string{NodeArgument}, arguments...)...)
	command.Stdout, command.Stderr = log, log
	return command, nil
}

// Node is the node's life, in the processes that Up started: it returns when the node has ended.
func Node(arguments []string) error {
	if len(arguments) == 0 {
		return errors.New("`cluster up` starts the node")
	}
	if arguments[0] != runArgument {
		return first(arguments[0])
	}
	var config node.Config
	if err := json.Unmarshal([]byte(arguments[1]), &config); err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return node.Run(ctx, config)
}

// first is the first process of the node's namespaces; the cluster is alive for as long as it is.
func first(config string) error {
	// Children must not hold the lock.
	unix.CloseOnExec(lockFD)
	pid, err := node.HostPID()
	if err != nil {
		return err
	}
	lock := os.NewFile(lockFD, "lock") // never closed
	if _, err := lock.WriteAt([]byte(pid+"\n"), 0); err != nil {
		return fmt.Errorf("write lock: %w", err)
	}
	command, err := again(os.Stderr, runArgument, config)
	if err != nil {
		return err
	}
	err = node.Init(command)
	runtime.KeepAlive(lock)
	return err
}
