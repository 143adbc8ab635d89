package storage

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
)

// link is one thing to put into a model's directory: a hard link to a cached object, or a symbolic link to where a
// volume is mounted.
type link struct {
	// rel is the slash-separated path below the model's directory.
	rel string
	// entry is the cached object; nil for a symbolic link to target.
	entry  *entry
	target string
}

// tree builds and removes <models>/<model id>. Callers serialise by model id.
type tree struct {
	modelsDir, staging, records string
	// mark is an empty file, of which records are links.
	mark string
	disk *disk
	// spare is an empty directory under spares for the next model: making one takes the file system longer than all the
	// rest, and somebody waits for it.
	spares string
	spare  chan string
}

// prepare makes the spare directory if there is none. What fails here fails again where it matters.
func (t *tree) prepare(scratch string) {
	dir := filepath.Join(t.spares, scratch)
	if len(t.spare) > 0 || os.Mkdir(dir, 0o755) != nil {
		return
	}
	select {
	case t.spare <- dir:
	default:
		_ = os.Remove(dir) // Another was faster.
	}
}

// empty answers an empty directory for a model.
func (t *tree) empty(scratch string) (string, error) {
	select {
	case dir := <-t.spare:
		return dir, nil
	default:
		dir := filepath.Join(t.staging, scratch)
		return dir, os.Mkdir(dir, 0o755)
	}
}

// record notes that the model's directory is ours. A link is quicker than a file of its own, but has a limit somewhere.
func (t *tree) record(modelID string) error {
	name := filepath.Join(t.records, modelID)
	if os.Link(t.mark, name) == nil {
		return nil
	}
	return os.WriteFile(name, nil, 0o600)
}

// build makes the model's directory whole out of sight and moves it into place, instead of one that was there.
func (t *tree) build(modelID, scratch string, links []link) error {
	dir, err := t.empty(scratch)
	if err != nil {
		return err
	}
	if err := t.fill(dir, links); err != nil {
		return errors.Join(err, removeTree(dir))
	}
	if err := t.record(modelID); err != nil {
		return errors.Join(err, removeTree(dir))
	}
	final := filepath.Join(t.modelsDir, modelID)
	if err := t.clear(modelID, scratch); err != nil {
		return errors.Join(err, removeTree(dir))
	}
	if err := os.Rename(dir, final); err != nil {
		return errors.Join(err, removeTree(dir))
	}
	// Only now: moving a directory changes its "..", for which it must be writable.
	return os.Chmod(final, 0o555)
}

// fill makes the directories and links in an empty directory, then takes write permission off all directories but the top one.
func (t *tree) fill(dir string, links []link) error {
	for _, l := range links {
		name := filepath.Join(dir, filepath.FromSlash(l.rel))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := t.place(l, name); err != nil {
			return err
		}
	}
	for _, l := range links {
		for parent := path.Dir(l.rel); parent != "."; parent = path.Dir(parent) {
			if err := os.Chmod(filepath.Join(dir, filepath.FromSlash(parent)), 0o555); err != nil {
				return err
			}
		}
	}
	return os.Chmod(dir, 0o755) // whatever the umask
}

func (t *tree) place(l link, name string) error {
	if l.entry == nil {
		return os.Symlink(l.target, name)
	}
	err := os.Link(t.disk.path(l.entry), name)
	if errors.Is(err, fs.ErrNotExist) {
		t.disk.lost(l.entry)
		return errLost
	}
	return err
}

// clear takes the model's directory out of sight at once, then removes it.
func (t *tree) clear(modelID, scratch string) error {
	final := filepath.Join(t.modelsDir, modelID)
	trash := filepath.Join(t.staging, scratch+"-old")
	switch err := os.Chmod(final, 0o700); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	if err := os.Rename(final, trash); err != nil {
		return err
	}
	return removeTree(trash)
}

// remove takes the model's directory down and forgets that it was ours.
func (t *tree) remove(modelID, scratch string) error {
	if err := t.clear(modelID, scratch); err != nil {
		return err
	}
	err := os.Remove(filepath.Join(t.records, modelID))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// scratchName names a directory under staging that no other call uses.
func (s *Store) scratchName() string { return strconv.FormatUint(s.scratch.Add(1), 10) }
