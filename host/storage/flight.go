package storage

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// flight is one download of one object, shared by every pull that wants it. It belongs to the disk, not to the pull
// that began it: that one may leave while others wait.
type flight struct {
	cancel context.CancelFunc
	done   chan struct{}
	// err is set before done closes.
	err error
}

// has reports whether the entry, to which the caller holds a reference, is on disk.
func (d *disk) has(e *entry) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return e.present
}

// fetch returns when the entry, to which the caller holds a reference, is on disk. download writes exactly e.size
// bytes to the file.
func (d *disk) fetch(ctx context.Context, e *entry, download func(context.Context, *os.File) error) error {
	for {
		f, mine := d.join(e, download)
		if f == nil {
			return nil
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		// Somebody else's flight may have failed by their credentials; ours may do.
		if kind := KindOf(f.err); mine || (kind != Denied && kind != Misconfigured) {
			return f.err
		}
	}
}

// join answers the entry's download, beginning one if there is none, or nil when the entry is present.
func (d *disk) join(e *entry, download func(context.Context, *os.File) error) (f *flight, mine bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if e.present {
		return nil, false
	}
	if e.flight != nil {
		return e.flight, false
	}
	ctx, cancel := context.WithCancel(d.running)
	f = &flight{cancel: cancel, done: make(chan struct{})}
	e.flight = f
	d.sequence++
	partial := filepath.Join(d.partial, strconv.FormatUint(d.sequence, 10))
	d.flights.Go(func() {
		defer cancel()
		err := writeFile(ctx, partial, download)
		d.land(e, partial, err)
	})
	return f, true
}

// land makes a finished download visible, or removes what is left of it.
func (d *disk) land(e *entry, partial string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := e.flight
	if err == nil && e.refs > 0 {
		err = os.Rename(partial, d.path(e))
	}
	if err != nil || e.refs == 0 {
		_ = os.Remove(partial) // what cannot be removed now is removed when the cache is opened next
	}
	e.flight = nil
	if e.refs == 0 {
		d.dropLocked(e)
	} else if err == nil {
		e.present = true
		d.fetched += e.size
	}
	f.err = diskError(err)
	close(f.done)
}

// writeFile lets download write a new file and puts the bytes on the disk before it returns: a name in the cache stands
// for whole content even after the power failed.
func writeFile(ctx context.Context, path string, download func(context.Context, *os.File) error) (err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if closed := f.Close(); err == nil {
			err = closed
		}
	}()
	if err := download(ctx, f); err != nil {
		return err
	}
	if err := f.Chmod(0o444); err != nil {
		return err
	}
	return f.Sync()
}

// diskError gives failures of the local disk a kind and a message.
func diskError(err error) error {
	path, ok := errors.AsType[*os.PathError](err)
	link, isLink := errors.AsType[*os.LinkError](err)
	switch {
	case errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT):
		return errorf(Unavailable, "the disk of the models directory is full; free space on it or lower the disk budget")
	case ok:
		return errorf(Internal, "models directory: %v", path)
	case isLink:
		return errorf(Internal, "models directory: %v; it has to be on one file system that knows hard links", link)
	}
	return err
}
