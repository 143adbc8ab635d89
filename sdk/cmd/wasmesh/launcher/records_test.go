package launcher

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/process"
)

// leftover writes what a killed launcher would leave of a process that runs still.
func leftover(t *testing.T, paths Paths, program string) *process.Process {
	t.Helper()
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	child, err := process.Start(exec.Command(sleep, "600"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { child.Stop(0) })
	if program == "" {
		program = sleep
	}
	if err := paths.writeRecord(Record{Name: "left", PID: child.PID(), Program: program}); err != nil {
		t.Fatal(err)
	}
	return child
}

// ended reports whether a process runs no more; it may not have been reaped.
func ended(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || strings.Contains(string(stat), ") Z ")
}

func dataDir(t *testing.T) Paths {
	t.Helper()
	root, err := os.MkdirTemp("", "wm") // short, for the socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	paths, err := makePaths(root)
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

func TestLockWaitsForProcessesOfAKilledMesh(t *testing.T) {
	paths := dataDir(t)
	child := leftover(t, paths, "")
	locked := make(chan error, 1)
	go func() {
		file, err := paths.lock()
		if err == nil {
			defer file.Close()
			if !ended(child.PID()) {
				t.Error("locked while a process of the mesh before was there")
			}
		}
		locked <- err
	}()
	child.Stop(0)
	if err := <-locked; err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(paths.record("left")); !os.IsNotExist(err) {
		t.Errorf("the record is still there: %v", err)
	}
}

// The id in a stale record may be anybody's by now.
func TestLockDoesNotWaitForStrangers(t *testing.T) {
	paths := dataDir(t)
	child := leftover(t, paths, "/some/where/mlserver")
	for _, name := range []string{"cut-short.json", "half.json.new", "admin.sock"} {
		if err := os.WriteFile(filepath.Join(paths.run(), name), []byte(`{"name": "cut`), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	file, err := paths.lock()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	select {
	case <-child.Done():
		t.Error("the stranger was ended")
	default:
	}
	entries, err := os.ReadDir(paths.run())
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != "lock" {
		t.Errorf("left in run/: %v, want the lock only", entries)
	}
	if _, err := paths.lock(); err == nil {
		t.Error("two launchers have the data directory")
	}
	if !paths.Running() {
		t.Error("a launcher has the lock, and nobody is said to run")
	}
	file.Close()
	if paths.Running() {
		t.Error("the lock is free, and somebody is said to run")
	}
}
