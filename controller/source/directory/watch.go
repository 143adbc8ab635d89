package directory

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// quietPeriod: a scan waits until nothing has happened for so long, so that an editor's write, or its rename of a new
	// file over the old one, is over.
	quietPeriod = 50 * time.Millisecond
	// longestWait bounds how long a stream of events may put a scan off.
	longestWait = 500 * time.Millisecond
	// rescanInterval is the safety net: events are lost on network file systems, behind symbolic links, and when the
	// kernel's queue overflows.
	rescanInterval = 5 * time.Second
	// pollInterval replaces events where there are none, for instance when the user's inotify instances are used up.
	pollInterval = time.Second
)

// watcher turns file system events into scans.
type watcher struct {
	source *Source
	// events is nil when the system gives none; polling does then.
	events *fsnotify.Watcher
	idle   time.Duration
	// below are the directories that hold files of the source. The parents of the roots are watched too, so that a root
	// that was away is seen when it returns, but only for that.
	below map[string]bool
}

func openWatcher(s *Source) *watcher {
	events, err := fsnotify.NewWatcher()
	if err != nil {
		s.config.Logger.Warn("cannot watch the source, reading it every second instead", "error", err)
		return &watcher{source: s, idle: pollInterval, below: map[string]bool{}}
	}
	w := &watcher{source: s, events: events, idle: rescanInterval, below: map[string]bool{}}
	for _, r := range s.roots {
		w.watch(filepath.Dir(r.path))
	}
	return w
}

func (w *watcher) close() {
	if w.events != nil {
		_ = w.events.Close()
	}
}

// watch adds a directory; adding it again changes nothing.
func (w *watcher) watch(path string) {
	if w.events == nil {
		return
	}
	err := w.events.Add(path)
	// A directory that vanished meanwhile needs no watch; one for which the system has no watch left is polled.
	if err != nil && !errors.Is(err, fs.ErrNotExist) && w.idle != pollInterval {
		w.idle = pollInterval
		w.source.config.Logger.Warn("cannot watch a directory, reading the source every second as well",
			"directory", path, "error", err)
	}
}

// run scans at once, since files may have changed after New read them, and then whenever events have settled.
func (w *watcher) run(ctx context.Context) error {
	timer := time.NewTimer(w.scan())
	defer timer.Stop()
	// burst is when the first event after the last scan came; zero for none.
	var burst time.Time
	var events chan fsnotify.Event
	var failures chan error
	if w.events != nil {
		events, failures = w.events.Events, w.events.Errors
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
			burst = time.Time{}
			timer.Reset(w.scan())
			continue
		case event := <-events:
			if !w.concerns(event.Name) {
				continue
			}
		case err := <-failures:
			w.source.config.Logger.Debug("file system events were lost", "error", err)
		}
		now := time.Now()
		if burst.IsZero() {
			burst = now
		}
		timer.Reset(max(0, min(quietPeriod, longestWait-now.Sub(burst))))
	}
}

// concerns tells whether something of this name may be part of the source.
func (w *watcher) concerns(name string) bool {
	isRoot := func(r root) bool { return r.path == name }
	return w.below[name] || w.below[filepath.Dir(name)] || slices.ContainsFunc(w.source.roots, isRoot)
}

// scan returns when to scan again if nothing happens.
func (w *watcher) scan() time.Duration {
	now := time.Now()
	clear(w.below)
	result := w.source.scan(now, func(directory string) {
		w.below[directory] = true
		w.watch(directory)
	})
	if result.changed {
		w.source.publish(now)
	}
	if result.again > 0 {
		return min(result.again, w.idle)
	}
	return w.idle
}
