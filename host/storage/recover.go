package storage

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// The cache directory, all of one file system with the models:
//
//	lock       held while a Store is open
//	objects/   whole objects, named by objectName
//	partial/   downloads under way; nothing in it outlives its process
//	staging/   model directories being built or taken down; likewise
//	spare/     an empty directory for the next model
//	mark       an empty file
//	models/    an empty file for each model directory that is ours, written before the directory appears
const (
	cacheName   = ".cache"
	lockName    = "lock"
	objectsName = "objects"
	partialName = "partial"
	stagingName = "staging"
	modelsName  = "models"
	spareName   = "spare"
	markName    = "mark"
)

var objectFile = regexp.MustCompile(`^[0-9a-f]{64}-([0-9]+)$`)

// recoverModels removes what a process that died left half-done, and the model directories that it had made: the
// runtime is emptied before a host starts, so nothing reads them. It touches nothing that this package did not make.
func recoverModels(modelsDir, cache string) error {
	for _, dir := range []string{partialName, stagingName, spareName} {
		if err := removeTree(filepath.Join(cache, dir)); err != nil {
			return err
		}
	}
	for _, dir := range []string{objectsName, partialName, stagingName, spareName, modelsName} {
		if err := os.MkdirAll(filepath.Join(cache, dir), 0o700); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(cache, markName), nil, 0o600); err != nil {
		return err
	}
	records, err := os.ReadDir(filepath.Join(cache, modelsName))
	if err != nil {
		return err
	}
	for _, r := range records {
		if err := removeTree(filepath.Join(modelsDir, r.Name())); err != nil {
			return err
		}
		if err := os.Remove(filepath.Join(cache, modelsName, r.Name())); err != nil {
			return err
		}
	}
	return nil
}

// openDisk takes over the objects of an earlier process, most recently used kept first when the budget shrank.
func openDisk(cache string, budget int64) (*disk, error) {
	d := &disk{
		objects: filepath.Join(cache, objectsName),
		partial: filepath.Join(cache, partialName),
		budget:  budget,
		entries: map[string]*entry{},
	}
	d.running, d.stop = context.WithCancelCause(context.Background())
	files, err := os.ReadDir(d.objects)
	if err != nil {
		return nil, err
	}
	used := map[string]time.Time{}
	var entries []*entry
	for _, f := range files {
		path := filepath.Join(d.objects, f.Name())
		size, lastUse, ok := inspect(path, f)
		if !ok {
			if err := os.RemoveAll(path); err != nil {
				return nil, err
			}
			continue
		}
		used[f.Name()] = lastUse
		entries = append(entries, &entry{name: f.Name(), size: size, present: true})
	}
	slices.SortFunc(entries, func(a, b *entry) int {
		return cmp.Or(used[a.name].Compare(used[b.name]), cmp.Compare(a.name, b.name))
	})
	for _, e := range entries {
		d.entries[e.name] = e
		e.element = d.idle.PushBack(e)
		d.used += e.size
	}
	return d, d.evictLocked(budget)
}

// CachedBytes is what a Store on this directory would find cached, for whoever derives its budget from the free disk. A
// directory without a cache holds none.
func CachedBytes(modelsDir string) (int64, error) {
	dir := filepath.Join(modelsDir, cacheName, objectsName)
	files, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, diskError(err)
	}
	var sum int64
	for _, f := range files {
		if size, _, ok := inspect(filepath.Join(dir, f.Name()), f); ok {
			sum += size
		}
	}
	return sum, nil
}

// inspect tells whether a file is a whole object, and when it was last used.
func inspect(path string, f fs.DirEntry) (size int64, lastUse time.Time, ok bool) {
	m := objectFile.FindStringSubmatch(f.Name())
	info, err := f.Info()
	if m == nil || err != nil || !info.Mode().IsRegular() {
		return 0, lastUse, false
	}
	size, err = strconv.ParseInt(m[1], 10, 64)
	if err != nil || size != info.Size() {
		return 0, lastUse, false
	}
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return 0, lastUse, false
	}
	return size, time.Unix(st.Atim.Unix()), true
}

// lockCache refuses a second Store on one directory: two would evict each other's files. The kernel drops the lock with
// the process, however it ends.
func lockCache(cache string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(cache, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errorf(Misconfigured, "%s is in use by another process; give each host a models directory of its own",
				cache)
		}
		return nil, err
	}
	return f, nil
}

// removeTree removes a directory whose directories may be read-only. It follows no links; what is not there is removed.
func removeTree(dir string) error {
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case d.IsDir():
			return os.Chmod(path, 0o700)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return os.RemoveAll(dir)
}
