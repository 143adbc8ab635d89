package node

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

const cgroups = "/sys/fs/cgroup"

// CgroupRoot is the cgroup that all of a node's pods are in. Cgroups are the one thing that namespaces do not take along,
// so they have a name of their own for each node's directory, by which they are found and removed.
func CgroupRoot(dir string) string {
	digest := fnv.New32a()
	digest.Write([]byte(dir))
	return fmt.Sprintf("/wasmesh-%08x", digest.Sum32())
}

// makeCgroups makes the root in every hierarchy: the kubelet wants it to be there.
func makeCgroups(root string) error {
	for _, hierarchy := range hierarchies() {
		if err := os.MkdirAll(filepath.Join(hierarchy, root), 0o755); err != nil {
			return fmt.Errorf("make cgroup: %w", err)
		}
	}
	return copyCPUSet(root)
}

// copyCPUSet: a new cpuset of cgroup v1 has no processor and no memory, and no process may enter it.
func copyCPUSet(root string) error {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		content, err := os.ReadFile(filepath.Join(cgroups, "cpuset", file))
		if errors.Is(err, fs.ErrNotExist) {
			return nil // cgroup v2
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(cgroups, "cpuset", root, file), content, 0o644)
		}
		if err != nil {
			return fmt.Errorf("set up cgroup: %w", err)
		}
	}
	return nil
}

// hierarchies are the one of cgroup v2, or those of v1.
func hierarchies() []string {
	if _, err := os.Stat(filepath.Join(cgroups, "cgroup.controllers")); err == nil {
		return []string{cgroups}
	}
	found, _ := filepath.Glob(filepath.Join(cgroups, "*", "tasks"))
	for i, tasks := range found {
		found[i] = filepath.Dir(tasks)
	}
	// The second version beside the first.
	if unified := filepath.Join(cgroups, "unified"); exists(filepath.Join(unified, "cgroup.procs")) {
		found = append(found, unified)
	}
	return found
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// removePatience: a process that was killed leaves its cgroup some time after it is gone.
const removePatience = 10 * time.Second

// RemoveCgroups removes the cgroups of a node that has ended, the innermost first.
func RemoveCgroups(dir string) error {
	var failed []error
	for _, hierarchy := range hierarchies() {
		var found []string
		root := filepath.Join(hierarchy, CgroupRoot(dir))
		_ = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				found = append(found, path)
			}
			return nil // what is gone already needs no removing
		})
		for i := len(found) - 1; i >= 0; i-- {
			failed = append(failed, removeCgroup(found[i]))
		}
	}
	return errors.Join(failed...)
}

func removeCgroup(path string) error {
	deadline := time.Now().Add(removePatience)
	for {
		err := os.Remove(path)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("remove cgroup: %w", err)
		}
		time.Sleep(pollInterval)
	}
}
