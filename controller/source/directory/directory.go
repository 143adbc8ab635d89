// Package directory makes Snapshots of the YAML and JSON files under a set of paths: the source of a controller that has
// no Kubernetes beside it. It owns the reading, the watching, and what a Kubernetes API server would add to an object
// (namespace, generation, creationTimestamp). The standalone controller runs one.
//
// Invariants:
//   - What cannot be understood never removes anything: an object whose document is malformed stays as it was last read,
//     a file or directory that cannot be read, and a file of 0 bytes, stays as it was. Only a document that is gone from a
//     readable file, or a file that is gone from a readable directory, removes an object.
//   - Reading is level-triggered: a scan looks at everything, events only say when to scan.
package directory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/wasmesh/wasmesh/controller/decide"
	"github.com/wasmesh/wasmesh/controller/source"
)

// Config of a Source.
type Config struct {
	// Paths are files, read whatever their name, and directories, of which every *.yaml, *.yml and *.json below is read.
	// Names that begin with a dot are left out, symbolic links to directories are not followed.
	Paths []string
	// Exclude is a directory that is never read although it may lie below one of Paths: the controller's own files. Empty
	// for none.
	Exclude string
	// DefaultNamespace is given to objects that name none.
	DefaultNamespace string
	// Saved is what Save was last given, before a restart; nil for none. With it, a file that is malformed at start still
	// yields the objects that it last held, and generations go on counting.
	Saved []byte
	// Save keeps bytes for the next start. They contain credentials. Nil keeps nothing.
	Save func([]byte) error
	// Logger receives each warning once.
	Logger *slog.Logger
}

// Source reads and watches. Its methods may be called from several goroutines, Run only once.
type Source struct {
	config   Config
	roots    []root
	exclude  string
	snapshot atomic.Pointer[source.Snapshot]
	changed  chan struct{}

	// The rest is touched by New and then only by Run's goroutine.
	files map[string]*file
	// unreadable roots and directories, as the last listing had them.
	unreadable map[string]source.Warning
	// origins of the objects that won, by key.
	origins map[decide.Key]origin
	// completed objects of the last snapshot, so that the next completes only what has changed.
	completed map[*object]*completion
	warned    map[source.Warning]bool
}

// root is one of Config.Paths.
type root struct {
	// named as the user did, and absolute.
	named, path string
}

// New reads everything once, so that the first Snapshot is whole. A path that does not exist is an error: it is far more
// likely a slip than the wish for an empty mesh.
func New(config Config) (*Source, error) {
	if len(config.Paths) == 0 {
		return nil, errors.New("open source: no path is given: name a YAML file or a directory of them")
	}
	s := &Source{
		config:  config,
		changed: make(chan struct{}, 1),
		files:   map[string]*file{},
		origins: map[decide.Key]origin{},
		warned:  map[source.Warning]bool{},
	}
	if err := s.locate(); err != nil {
		return nil, err
	}
	s.recall(config.Saved)
	s.scan(time.Now(), nil)
	s.publish(time.Now())
	return s, nil
}

// locate makes the configured paths absolute.
func (s *Source) locate() (err error) {
	if s.config.Exclude != "" {
		if s.exclude, err = filepath.Abs(s.config.Exclude); err != nil {
			return fmt.Errorf("open source: exclude %s: %w", s.config.Exclude, err)
		}
	}
	for _, named := range s.config.Paths {
		path, err := filepath.Abs(named)
		if err != nil {
			return fmt.Errorf("open source %s: %w", named, err)
		}
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("open source %s: %w", named, cause(err))
		}
		if path == s.exclude {
			return fmt.Errorf("open source %s: it is the data directory itself: keep the YAML in a directory of its own", named)
		}
		s.roots = append(s.roots, root{named: filepath.Clean(named), path: path})
	}
	return nil
}

// Snapshot returns the newest; never nil.
func (s *Source) Snapshot() *source.Snapshot { return s.snapshot.Load() }

// Changed receives after one or more new Snapshots. One reader.
func (s *Source) Changed() <-chan struct{} { return s.changed }

// Run watches until the context ends.
func (s *Source) Run(ctx context.Context) error {
	w := openWatcher(s)
	defer w.close()
	return w.run(ctx)
}

// publish makes a Snapshot of the files as they now are, and tells.
func (s *Source) publish(now time.Time) {
	snapshot := s.merge(now)
	s.logNew(snapshot.Warnings)
	s.snapshot.Store(snapshot)
	select {
	case s.changed <- struct{}{}:
	default:
	}
	if s.config.Save == nil {
		return
	}
	data, err := s.remember()
	if err == nil {
		err = s.config.Save(data)
	}
	if err != nil {
		s.config.Logger.Error("cannot keep the objects for the next start", "error", err)
	}
}

// logNew writes the warnings that the Snapshot before did not have.
func (s *Source) logNew(warnings []source.Warning) {
	now := make(map[source.Warning]bool, len(warnings))
	for _, w := range warnings {
		now[w] = true
		if !s.warned[w] {
			s.config.Logger.Warn("source: "+w.Message, "file", w.File, "line", w.Line)
		}
	}
	s.warned = now
}
