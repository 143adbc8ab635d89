package directory

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/wasmesh/wasmesh/controller/decide"
	"github.com/wasmesh/wasmesh/controller/source"
)

const (
	// maxFileBytes bounds one file; ten thousand InferenceServices in one take about 7 MiB.
	maxFileBytes = 64 << 20
	// emptyGrace is how long a file that has just become empty is taken for one that is being written, and is not warned
	// of: many tools truncate first and write then.
	emptyGrace = time.Second
	// racyWindow: a file that changed so shortly before it was read may change again without a new modification time
	// (the clock of a file system ticks every few milliseconds, on some only each second), so it is read again.
	racyWindow = 2 * time.Second
)

// file is what is known of one path.
type file struct {
	// named below the root that the user named.
	named string
	stamp stamp
	// readAt is the time of the last reading; zero for a file known only from before a restart.
	readAt time.Time
	digest [sha256.Size]byte
	// objects as last understood, in order.
	objects  []*object
	warnings []source.Warning
}

// stamp tells two versions of a file apart without reading them.
type stamp struct {
	modified time.Time
	size     int64
	inode    uint64
}

func stampOf(info fs.FileInfo) stamp {
	s := stamp{modified: info.ModTime(), size: info.Size()}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		s.inode = sys.Ino
	}
	return s
}

// scanResult says what a scan wants next.
type scanResult struct {
	changed bool
	// again is when to look once more although nothing may happen; 0 for no wish.
	again time.Duration
}

// scan brings s.files up to date. onDirectory is called for each directory before it is listed, so that a watch that it
// sets misses nothing; nil for none.
func (s *Source) scan(now time.Time, onDirectory func(path string)) scanResult {
	listing := s.list(onDirectory)
	var result scanResult
	for path := range s.files {
		if _, present := listing.files[path]; !present && !listing.unknown(path) {
			delete(s.files, path)
			result.changed = true
		}
	}
	for path, named := range listing.files {
		f := s.files[path]
		if f == nil {
			f = &file{}
			s.files[path] = f
		}
		f.named = named
		one := f.refresh(path, s.config.DefaultNamespace, now)
		result.changed = result.changed || one.changed
		if one.again > 0 && (result.again == 0 || one.again < result.again) {
			result.again = one.again
		}
	}
	if !maps.Equal(s.unreadable, listing.unreadable) {
		s.unreadable = listing.unreadable
		result.changed = true
	}
	return result
}

// listing is what lies below the roots.
type listing struct {
	// files by absolute path, with the name under which the user knows them.
	files map[string]string
	// unreadable roots and directories by absolute path: what lies below them is not known.
	unreadable map[string]source.Warning
}

func (l listing) unknown(path string) bool {
	for directory := range l.unreadable {
		if path == directory || strings.HasPrefix(path, directory+string(filepath.Separator)) {
			return true
		}
	}
	return false
}

func (s *Source) list(onDirectory func(string)) listing {
	l := listing{files: map[string]string{}, unreadable: map[string]source.Warning{}}
	for _, r := range s.roots {
		info, err := os.Stat(r.path)
		switch {
		case err != nil:
			l.fail(r.path, r.named, err)
		case !info.IsDir():
			l.add(r.path, r.named)
		default:
			s.walk(r, l, onDirectory)
		}
	}
	return l
}

// add keeps the first name of a file that several roots lead to.
func (l listing) add(path, named string) {
	if _, present := l.files[path]; !present {
		l.files[path] = named
	}
}

func (l listing) fail(path, named string, err error) {
	l.unreadable[path] = source.Warning{
		File:    named,
		Message: fmt.Sprintf("cannot be read: %v; its objects stay as they were", cause(err)),
	}
}

// cause leaves out the path, which the warning names already.
func cause(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// walk lists one root that is a directory. A root that is itself a symbolic link is followed.
func (s *Source) walk(r root, l listing, onDirectory func(string)) {
	resolved, err := filepath.EvalSymlinks(r.path)
	if err != nil {
		l.fail(r.path, r.named, err)
		return
	}
	_ = filepath.WalkDir(resolved, func(at string, entry fs.DirEntry, err error) error {
		below := strings.TrimPrefix(at, resolved)
		path, named := filepath.Join(r.path, below), filepath.Join(r.named, below)
		if err != nil {
			// Something that went away while it was looked at is gone, not unreadable.
			if !errors.Is(err, fs.ErrNotExist) || below == "" {
				l.fail(path, named, err)
			}
			return nil
		}
		hidden := below != "" && strings.HasPrefix(entry.Name(), ".")
		if entry.IsDir() {
			if hidden || at == s.exclude || path == s.exclude {
				return fs.SkipDir
			}
			if onDirectory != nil {
				onDirectory(at)
			}
			return nil
		}
		if !hidden && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(at)) {
			l.add(path, named)
		}
		return nil
	})
}

// refresh reads the file again if it may have changed.
func (f *file) refresh(path, defaultNamespace string, now time.Time) scanResult {
	info, err := os.Stat(path)
	if err != nil {
		// A dangling link, or gone since it was listed: the next scan does not list it, or says so again.
		return f.fail(cause(err))
	}
	if !info.Mode().IsRegular() {
		return f.fail(errors.New("not a regular file"))
	}
	current := stampOf(info)
	if current == f.stamp && f.readAt.Sub(current.modified) > racyWindow {
		return scanResult{}
	}
	if age := now.Sub(current.modified); current.size == 0 && len(f.objects) > 0 && age >= 0 && age < emptyGrace {
		return scanResult{again: emptyGrace - age}
	}
	data, err := readBounded(path)
	if err != nil {
		return f.fail(cause(err))
	}
	first := f.readAt.IsZero()
	f.stamp, f.readAt = current, now
	digest := sha256.Sum256(data)
	if !first && digest == f.digest {
		return scanResult{}
	}
	f.digest = digest
	if len(data) == 0 && len(f.objects) > 0 {
		f.keepEmptied()
	} else {
		f.take(read(f.named, defaultNamespace, data))
	}
	return scanResult{changed: true}
}

// keepEmptied keeps the objects of a file without a single byte: more likely than their owner's wish is a tool that has
// truncated it and not written yet, or never will, its disk being full. A file with a comment or an empty line is believed.
func (f *file) keepEmptied() {
	f.warnings = []source.Warning{{
		File: f.named, Message: "is empty; its objects stay as they were: delete the file to delete them",
	}}
}

func readBounded(path string) ([]byte, error) {
	opened, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = opened.Close() }()
	data, err := io.ReadAll(io.LimitReader(opened, maxFileBytes+1))
	if err == nil && len(data) > maxFileBytes {
		err = fmt.Errorf("larger than %d MiB: split it", maxFileBytes>>20)
	}
	return data, err
}

// fail keeps the objects and says why.
func (f *file) fail(err error) scanResult {
	w := source.Warning{File: f.named, Message: fmt.Sprintf("cannot be read: %v; its objects stay as they were", err)}
	f.stamp, f.digest = stamp{}, [sha256.Size]byte{}
	if slices.Equal(f.warnings, []source.Warning{w}) {
		return scanResult{}
	}
	f.warnings = []source.Warning{w}
	return scanResult{changed: true}
}

// take replaces the objects by those of a new reading, and keeps of the old ones those that the reading could not judge:
// invalid ones, and, when a document could not be identified, all that it may have been.
func (f *file) take(r reading) {
	present := map[decide.Key]bool{}
	for _, o := range r.objects {
		present[o.key] = true
	}
	for _, o := range f.objects {
		if !present[o.key] && (r.unidentified || r.invalid[o.key]) {
			r.objects = append(r.objects, o)
		}
	}
	f.objects, f.warnings = r.objects, r.warnings
}
