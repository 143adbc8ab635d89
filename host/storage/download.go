package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"gocloud.dev/blob"
	"golang.org/x/sync/errgroup"
)

const (
	// maxAttempts bounds tries of one range in a row that brought no byte.
	maxAttempts = 5
	// firstBackoff doubles with each such try: 0.2, 0.4, 0.8, 1.6 s.
	firstBackoff = 200 * time.Millisecond
	// stallTimeout is how long an open download may bring no byte.
	stallTimeout = 30 * time.Second
	// copyBufferBytes is large against a TCP window's worth of reads, small against PullConcurrency of them.
	copyBufferBytes = 256 << 10
)

// errStalled ends a read that brought nothing for stallTimeout.
var errStalled = fmt.Errorf("no byte for %v", stallTimeout)

// download writes the listed version of obj to f, in parallel ranges. A range that breaks is resumed where it broke.
// Every range is pinned to the version, so bytes of two versions never mix.
func (s *Store) download(ctx context.Context, p *place, obj object, f *os.File) error {
	if obj.size == 0 {
		return nil
	}
	b, err := p.open()
	if err != nil {
		return p.fail(ctx, obj.key, err)
	}
	defer b.Close()
	if err := f.Truncate(obj.size); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(s.cfg.PullConcurrency)
	for offset := int64(0); offset < obj.size; offset += s.cfg.PartBytes {
		r := &rangeCopy{place: p, bucket: b, object: obj, file: f, offset: offset, end: min(offset+s.cfg.PartBytes, obj.size)}
		group.Go(func() error {
			select {
			case s.connections <- struct{}{}:
				defer func() { <-s.connections }()
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			return r.run(ctx)
		})
	}
	return group.Wait()
}

// rangeCopy copies one range; offset moves as bytes arrive.
type rangeCopy struct {
	place       *place
	bucket      *blob.Bucket
	object      object
	file        *os.File
	offset, end int64
}

// run retries what is worth retrying, for as long as bytes come.
func (r *rangeCopy) run(ctx context.Context) error {
	buf := make([]byte, min(copyBufferBytes, r.end-r.offset))
	for attempt := 1; ; attempt++ {
		before := r.offset
		err := r.once(ctx, buf)
		if err == nil {
			return nil
		}
		err = r.place.fail(ctx, r.object.key, err)
		if KindOf(err) != Unavailable || ctx.Err() != nil {
			return err
		}
		if r.offset > before {
			attempt = 1
		}
		if attempt == maxAttempts {
			return err
		}
		if err := wait(ctx, firstBackoff<<(attempt-1)); err != nil {
			return err
		}
	}
}

// once reads until the end of the range or the first trouble.
func (r *rangeCopy) once(ctx context.Context, buf []byte) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := time.AfterFunc(stallTimeout, func() { cancel(errStalled) })
	defer stalled.Stop()
	body, err := r.bucket.NewRangeReader(ctx, r.object.key, r.offset, r.end-r.offset, r.place.dialect.pin(r.object))
	if err != nil {
		return r.cause(ctx, err)
	}
	defer body.Close()
	if !r.place.dialect.same(body, r.object) {
		return errChanged
	}
	for {
		n, err := body.Read(buf[:min(int64(len(buf)), max(r.end-r.offset, 1))])
		stalled.Reset(stallTimeout)
		if over := r.offset + int64(n) - r.end; over > 0 {
			return errChanged // more bytes than the range has: a server that ignores ranges
		}
		if _, err := r.file.WriteAt(buf[:n], r.offset); err != nil {
			return diskError(err)
		}
		r.offset += int64(n)
		switch {
		case err == nil:
		case r.offset == r.end && !r.place.dialect.changed(err):
			return nil // all is here, even if the connection broke after it
		case err == io.EOF:
			return io.ErrUnexpectedEOF
		default:
			return r.cause(ctx, err)
		}
	}
}

// cause tells why a read failed: our own watch, another version, or what the bucket said.
func (r *rangeCopy) cause(ctx context.Context, err error) error {
	switch {
	case errors.Is(context.Cause(ctx), errStalled):
		return errStalled
	case r.place.dialect.changed(err):
		return errChanged
	}
	return err
}

// wait sleeps for d or until ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
