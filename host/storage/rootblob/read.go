package rootblob

import (
	"context"
	"fmt"
	"io"
	"os"
	"syscall"

	"gocloud.dev/blob/driver"
)

// contentType is what driver.ReaderAttributes wants to be non-empty; nobody looks at it.
const contentType = "application/octet-stream"

func (b *bucket) NewRangeReader(
	_ context.Context, key string, offset, length int64, opts *driver.ReaderOptions,
) (driver.Reader, error) {
	// O_NONBLOCK: opening a pipe must not wait for a writer.
	f, err := b.root.OpenFile(key, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	r, err := newReader(f, key, opts)
	if err == nil {
		_, err = f.Seek(offset, io.SeekStart)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	r.body = f
	if length >= 0 {
		r.body = io.LimitReader(f, length)
	}
	return r, nil
}

// newReader checks the file and asks the caller for its condition.
func newReader(f *os.File, key string, opts *driver.ReaderOptions) (*reader, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w", key, ErrNotRegular)
	}
	r := &reader{file: f, attrs: driver.ReaderAttributes{
		ContentType: contentType, ModTime: info.ModTime(), Size: info.Size(),
	}}
	if opts.BeforeRead != nil {
		err := opts.BeforeRead(func(target any) bool {
			p, ok := target.(**Condition)
			if ok {
				*p = &r.condition
			}
			return ok
		})
		if err != nil {
			return nil, err
		}
	}
	return r, r.check()
}

type reader struct {
	file      *os.File
	body      io.Reader
	attrs     driver.ReaderAttributes
	condition Condition
}

// Read gives the end only after it has seen that the file is still the one that was asked for: somebody may have
// rewritten it in place while it was read.
func (r *reader) Read(p []byte) (int, error) {
	n, err := r.body.Read(p)
	if err == io.EOF {
		if changed := r.check(); changed != nil {
			return n, changed
		}
	}
	return n, err
}

func (r *reader) check() error {
	if r.condition.Version == "" {
		return nil
	}
	info, err := r.file.Stat()
	if err != nil {
		return err
	}
	if Version(info) != r.condition.Version {
		return fmt.Errorf("%s: %w", r.file.Name(), ErrChanged)
	}
	return nil
}

func (r *reader) Close() error { return r.file.Close() }

func (r *reader) Attributes() *driver.ReaderAttributes { return &r.attrs }

func (r *reader) As(any) bool { return false }
