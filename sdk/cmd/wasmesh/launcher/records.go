package launcher

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Record says where a running process is; one file each under run/.
type Record struct {
	Name    string            `json:"name"`
	PID     int               `json:"pid"`
	Program string            `json:"program"`
	Ports   map[string]string `json:"ports,omitempty"`
}

func (p Paths) record(name string) string { return filepath.Join(p.run(), name+".json") }

func (p Paths) writeRecord(record Record) error {
	content, err := json.MarshalIndent(record, "", "  ")
	if err != nil {
		return fmt.Errorf("encode record: %w", err)
	}
	temporary := p.record(record.Name) + ".new"
	if err := os.WriteFile(temporary, append(content, '\n'), 0o644); err != nil {
		return fmt.Errorf("write record: %w", err)
	}
	if err := os.Rename(temporary, p.record(record.Name)); err != nil {
		return fmt.Errorf("write record: %w", err)
	}
	return nil
}

func (p Paths) removeRecord(name string) { _ = os.Remove(p.record(name)) }

func (p Paths) lockFile() string { return filepath.Join(p.run(), "lock") }

// lock makes this launcher the only one of the data directory; the kernel lets go of it when the process ends, however
// it ends. What a launcher that was killed left in run/ is removed, once its processes are gone.
func (p Paths) lock() (*os.File, error) {
	file, err := os.OpenFile(p.lockFile(), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock data directory: %w", err)
	}
	if err := takeLock(file); err != nil {
		file.Close()
		return nil, fmt.Errorf("another `wasmesh up` runs on %s: stop it, or choose another --data-dir", p.Root)
	}
	if err := p.clearRun(); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// lockAttempts, lockPause apart, outlast whoever looks with Running at the same moment.
const (
	lockAttempts = 20
	lockPause    = 10 * time.Millisecond
)

func takeLock(file *os.File) (err error) {
	for range lockAttempts {
		if err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err == nil {
			return nil
		}
		time.Sleep(lockPause)
	}
	return err
}

// Running reports whether a launcher runs the mesh of the data directory. It may hold the lock itself for an instant.
func (p Paths) Running() bool {
	file, err := os.Open(p.lockFile())
	if err != nil {
		return false
	}
	defer file.Close()
	return errors.Is(syscall.Flock(int(file.Fd()), syscall.LOCK_SH|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}

// clearRun removes records and the socket of a launcher that was killed. The kernel killed its processes with it, but
// they may be about to end still, and hold their ports.
func (p Paths) clearRun() error {
	entries, err := os.ReadDir(p.run())
	if err != nil {
		return fmt.Errorf("read records: %w", err)
	}
	stale := []string{p.AdminSocket()}
	for _, entry := range entries {
		path := filepath.Join(p.run(), entry.Name())
		switch filepath.Ext(path) {
		case ".json":
			var record Record
			// One that cannot be read was cut short by the same death, and names nobody.
			if content, err := os.ReadFile(path); err == nil && json.Unmarshal(content, &record) == nil {
				if err := awaitEnd(record); err != nil {
					return err
				}
			}
			stale = append(stale, path)
		case ".new":
			stale = append(stale, path)
		}
	}
	for _, path := range stale {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove what a mesh before left: %w", err)
		}
	}
	return nil
}

// endTimeout is far more than the kernel takes to end a killed process.
const endTimeout = 10 * time.Second

// awaitEnd waits for the end of a process that was killed with its launcher.
func awaitEnd(record Record) error {
	fd, err := unix.PidfdOpen(record.PID, 0)
	if err != nil {
		return nil // no such process
	}
	defer unix.Close(fd)
	// The id may be another process's by now.
	command, err := os.ReadFile("/proc/" + strconv.Itoa(record.PID) + "/cmdline")
	if err != nil || record.Program == "" {
		return nil
	}
	// A process that is ending loses its command line before it lets go of its ports. A thread of the kernel never had one.
	unnamed := len(command) == 0
	if !unnamed && !bytes.Contains(command, []byte(record.Program)) {
		return nil
	}
	for deadline := time.Now().Add(endTimeout); ; {
		left := time.Until(deadline)
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, max(0, int(left.Milliseconds())))
		switch {
		case n > 0, left <= 0 && unnamed:
			return nil
		case left <= 0 || err != nil && !errors.Is(err, syscall.EINTR):
			return fmt.Errorf("%s (process %d) of a mesh before still runs in this data directory: end it, or choose another --data-dir",
				record.Name, record.PID)
		}
	}
}
