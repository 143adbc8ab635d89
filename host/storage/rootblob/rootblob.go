// Package rootblob is a read-only gocloud.dev/blob driver over a local directory, for package storage. It stands in for
// gocloud.dev/blob/fileblob, which follows symbolic links anywhere, reports a link's own size, and hides names that end
// in ".attrs".
//
// Invariant: nothing outside the directory is listed or read, whatever its entries are and however they change
// meanwhile: every access goes through os.Root. Links that stay inside are followed; a link that leads out, to nothing
// or around in a circle makes the listing fail, so that it is seen and not served half.
package rootblob

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"gocloud.dev/blob"
	"gocloud.dev/blob/driver"
	"gocloud.dev/gcerrors"
)

var (
	// ErrChanged: a file is not, or while being read stopped being, the version that Condition names.
	ErrChanged = errors.New("file changed")
	// ErrLink: a symbolic link leads out of the directory, to nothing, or in a circle.
	ErrLink = errors.New("link leads out of the directory, to nothing or in a circle")
	// ErrNotRegular: a device, socket or pipe lies among the files.
	ErrNotRegular = errors.New("not a regular file")

	errReadOnly  = errors.New("rootblob: read-only")
	errDelimiter = errors.New("rootblob: listing with a delimiter is not supported")
)

// Condition is exposed to ReaderOptions.BeforeRead as **Condition. With Version set, a read gives the bytes of that
// version or ErrChanged.
type Condition struct {
	Version string
}

// Only is exposed to ListOptions.BeforeList as **Only. With Path set, a clean path, a listing has of the objects with its
// prefix only the one of that very key, or those below it: a directory of many models is not read for one of them.
type Only struct {
	Path string
}

// Version names the bytes of a file by inode, time of change and size: a file replaced by a rename has another inode,
// one rewritten in place another time. Only a rewrite in place, of the same length, within one tick of the file system's
// clock (4 ms at worst) is not seen.
func Version(info fs.FileInfo) string {
	var inode uint64
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		inode = uint64(st.Ino)
	}
	return fmt.Sprintf("%x-%x-%x", inode, info.ModTime().UnixNano(), info.Size())
}

// Open answers a bucket over dir, which must exist. Keys are slash-separated paths below it. ListObject.As gives
// fs.FileInfo.
func Open(dir string) (*blob.Bucket, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return blob.NewBucket(&bucket{root: root}), nil
}

type bucket struct {
	root *os.Root
}

var _ driver.Bucket = (*bucket)(nil)

func (b *bucket) Close() error { return b.root.Close() }

func (b *bucket) ErrorCode(err error) gcerrors.ErrorCode {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return gcerrors.NotFound
	case errors.Is(err, fs.ErrPermission):
		return gcerrors.PermissionDenied
	case errors.Is(err, ErrChanged):
		return gcerrors.FailedPrecondition
	case errors.Is(err, errReadOnly), errors.Is(err, errDelimiter):
		return gcerrors.Unimplemented
	}
	return gcerrors.Unknown
}

func (b *bucket) As(any) bool { return false }

func (b *bucket) ErrorAs(err error, target any) bool { return errors.As(err, target) }

func (b *bucket) Attributes(_ context.Context, key string) (*driver.Attributes, error) {
	info, err := b.root.Stat(key)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w", key, fs.ErrNotExist)
	}
	return &driver.Attributes{
		ModTime: info.ModTime(), Size: info.Size(), ETag: Version(info), ContentType: contentType, AsFunc: asInfo(info),
	}, nil
}

func (b *bucket) NewTypedWriter(context.Context, string, string, *driver.WriterOptions) (driver.Writer, error) {
	return nil, errReadOnly
}

func (b *bucket) Copy(context.Context, string, string, *driver.CopyOptions) error { return errReadOnly }

func (b *bucket) Delete(context.Context, string, *driver.DeleteOptions) error { return errReadOnly }

func (b *bucket) SignedURL(context.Context, string, *driver.SignedURLOptions) (string, error) {
	return "", errReadOnly
}

func asInfo(info fs.FileInfo) func(any) bool {
	return func(target any) bool {
		p, ok := target.(*fs.FileInfo)
		if ok {
			*p = info
		}
		return ok
	}
}
