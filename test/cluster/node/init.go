package node

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// Namespaces are those that the first process is to be started in (syscall.SysProcAttr.Cloneflags).
const Namespaces = unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC

// HostPID is this process's id outside, as long as /proc is still the outside's.
func HostPID() (string, error) {
	pid, err := os.Readlink("/proc/self")
	if err != nil {
		return "", fmt.Errorf("read own process id: %w", err)
	}
	return pid, nil
}

// Init is the first process in the namespaces: it makes the mounts private, runs the command that runs the node, and
// reaps what others leave behind, as shims of containers do. It returns when the command has ended; when it then ends
// itself, the kernel kills every process that is left.
func Init(command *exec.Cmd) error {
	if os.Getpid() != 1 {
		return errors.New("not the first process of a process namespace; `cluster up` starts it")
	}
	if err := mounts(); err != nil {
		return err
	}
	if err := unix.Sethostname([]byte(Name)); err != nil {
		return fmt.Errorf("set host name: %w", err)
	}
	if err := command.Start(); err != nil {
		return fmt.Errorf("start node: %w", err)
	}
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("wait for node: %w", err)
		}
		if pid == command.Process.Pid {
			return fmt.Errorf("node ended: exit code %d, signal %d", status.ExitStatus(), status.Signal())
		}
	}
}

// mounts has nothing of what is mounted from here on seen outside, and keeps what programs write to fixed paths, such as
// addresses that the network plugin gave out and links to logs of containers, away from the machine's own directories.
func mounts() error {
	type mount struct {
		source, target, kind string
		flags                uintptr
		options              string
	}
	list := []mount{
		{target: "/", flags: unix.MS_REC | unix.MS_PRIVATE},
		// Shared among the node's own namespaces, or what the kubelet mounts would not reach pods.
		{target: "/", flags: unix.MS_REC | unix.MS_SHARED},
		{source: "proc", target: "/proc", kind: "proc", flags: unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
		{source: "tmpfs", target: "/run", kind: "tmpfs", flags: unix.MS_NOSUID | unix.MS_NODEV},
	}
	for _, dir := range Shadowed {
		layers := filepath.Join("/run/shadow", dir)
		list = append(list, mount{source: "overlay", target: dir, kind: "overlay",
			options: fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work", dir, layers, layers)})
	}
	for _, m := range list {
		if m.kind == "overlay" {
			layers := filepath.Join("/run/shadow", m.target)
			if err := errors.Join(os.MkdirAll(layers+"/upper", 0o755), os.MkdirAll(layers+"/work", 0o755)); err != nil {
				return fmt.Errorf("make directory: %w", err)
			}
		}
		if err := unix.Mount(m.source, m.target, m.kind, m.flags, m.options); err != nil {
			return fmt.Errorf("mount %s on %s: %w", m.kind, m.target, err)
		}
	}
	return nil
}

// Shadowed are the directories in which the node's writes are its own; a node's directory must not be in one of them.
var Shadowed = []string{"/var/lib", "/var/log"}
