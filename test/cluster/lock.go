package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// lock takes the directory for a node; the lock is that of the open file, which the node inherits, and nobody else has.
func (c *Cluster) lock() (*os.File, error) {
	file, err := os.OpenFile(c.config.File("lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("make lock: %w", err)
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		file.Close()
		return nil, fmt.Errorf("another cluster has taken %s: %w", c.config.Dir, err)
	}
	return file, nil
}

// ownerPatience bounds the wait for a node that was just started to say who it is.
const ownerPatience = 10 * time.Second

// owner is the process id of the node's first process, if it is alive.
func (c *Cluster) owner() (pid int, alive bool, err error) {
	file, err := os.Open(c.config.File("lock"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("read lock: %w", err)
	}
	defer file.Close() // and with it a lock that was free
	for deadline := time.Now().Add(ownerPatience); ; time.Sleep(pollInterval) {
		err := unix.Flock(int(file.Fd()), unix.LOCK_SH|unix.LOCK_NB)
		if err == nil {
			return 0, false, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return 0, false, fmt.Errorf("try lock: %w", err)
		}
		content, err := os.ReadFile(file.Name())
		if err != nil {
			return 0, false, fmt.Errorf("read lock: %w", err)
		}
		if pid, err := strconv.Atoi(strings.TrimSpace(string(content))); err == nil {
			return pid, true, nil
		}
		if time.Now().After(deadline) {
			return 0, false, fmt.Errorf("a process holds %s and does not say which it is", file.Name())
		}
	}
}
