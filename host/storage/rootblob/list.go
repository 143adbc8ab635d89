package rootblob

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"

	"gocloud.dev/blob/driver"
)

const defaultPageSize = 1000

// errPageFull ends a walk early.
var errPageFull = errors.New("page full")

// ListPaged walks the directory in the order of keys. The token is the last key of the page before; directories that
// lie wholly before it are not entered again.
func (b *bucket) ListPaged(ctx context.Context, opts *driver.ListOptions) (*driver.ListPage, error) {
	if opts.Delimiter != "" {
		return nil, errDelimiter
	}
	var only Only
	if opts.BeforeList != nil {
		if err := opts.BeforeList(func(target any) bool {
			p, ok := target.(**Only)
			if ok {
				*p = &only
			}
			return ok
		}); err != nil {
			return nil, err
		}
	}
	w := &walk{ctx: ctx, root: b.root, prefix: opts.Prefix, after: string(opts.PageToken), limit: opts.PageSize}
	if w.limit <= 0 {
		w.limit = defaultPageSize
	}
	err := w.start(opts.Prefix, only.Path)
	page := &driver.ListPage{Objects: w.found}
	switch {
	case errors.Is(err, errPageFull):
		page.Objects = w.found[:w.limit]
		page.NextPageToken = []byte(page.Objects[w.limit-1].Key)
	case err != nil:
		return nil, err
	}
	return page, nil
}

// walk gathers one page and one object more, which tells that there is a next page.
type walk struct {
	ctx           context.Context
	root          *os.Root
	prefix, after string
	limit         int
	found         []*driver.ListObject
}

// start visits what can have the prefix, or only one path.
func (w *walk) start(prefix, only string) error {
	if only == "" {
		dir, _ := path.Split(prefix)
		return w.directory(strings.TrimSuffix(dir, "/"), nil)
	}
	parent, err := w.root.Stat(path.Dir(only))
	if err == nil {
		var info fs.FileInfo
		switch info, err = w.root.Stat(only); {
		case err == nil && info.IsDir():
			return w.directory(only, []fs.FileInfo{parent})
		case err == nil:
			return w.file(only, info)
		}
		if link, failed := w.root.Lstat(only); failed == nil && link.Mode()&fs.ModeSymlink != 0 {
			return fmt.Errorf("%s: %w", only, ErrLink)
		}
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil
	}
	return err
}

// directory visits one directory; ancestors are the directories above it, to notice a link that leads back.
func (w *walk) directory(dir string, ancestors []fs.FileInfo) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	self, entries, err := w.read(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil
	}
	if err != nil {
		return err
	}
	if slices.ContainsFunc(ancestors, func(a fs.FileInfo) bool { return os.SameFile(a, self) }) {
		return fmt.Errorf("%s: %w", dir, ErrLink)
	}
	ancestors = append(slices.Clip(ancestors), self)
	for _, e := range entries {
		key := path.Join(dir, e.name)
		if !e.info.IsDir() {
			if err := w.file(key, e.info); err != nil {
				return err
			}
			continue
		}
		below := key + "/"
		if below <= w.after && !strings.HasPrefix(w.after, below) {
			continue
		}
		if err := w.directory(key, ancestors); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) file(key string, info fs.FileInfo) error {
	if !strings.HasPrefix(key, w.prefix) || key <= w.after {
		return nil
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: %w", key, ErrNotRegular)
	}
	w.found = append(w.found, &driver.ListObject{
		Key: key, ModTime: info.ModTime(), Size: info.Size(), AsFunc: asInfo(info),
	})
	if len(w.found) > w.limit {
		return errPageFull
	}
	return nil
}

type entry struct {
	name string
	info fs.FileInfo
}

// read answers the entries that can matter to this walk, links followed, in the order of the keys that they stand for:
// a directory sorts as its name with a slash.
func (w *walk) read(dir string) (self fs.FileInfo, entries []entry, err error) {
	name := dir
	if name == "" {
		name = "."
	}
	// O_NONBLOCK: a pipe in the directory's place must not make us wait for a writer.
	f, err := w.root.OpenFile(name, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	if self, err = f.Stat(); err != nil {
		return nil, nil, err
	}
	all, err := f.ReadDir(-1)
	if err != nil {
		return nil, nil, err
	}
	for _, d := range all {
		key := path.Join(dir, d.Name())
		if !strings.HasPrefix(key, w.prefix) && !strings.HasPrefix(w.prefix, key+"/") {
			continue
		}
		info, err := w.root.Stat(key)
		switch {
		case err == nil:
			entries = append(entries, entry{d.Name(), info})
		case d.Type()&fs.ModeSymlink != 0:
			return nil, nil, fmt.Errorf("%s: %w", key, ErrLink)
		case !errors.Is(err, fs.ErrNotExist): // gone since ReadDir is as good as never there
			return nil, nil, err
		}
	}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.sortKey(), b.sortKey()) })
	return self, entries, nil
}

func (e entry) sortKey() string {
	if e.info.IsDir() {
		return e.name + "/"
	}
	return e.name
}
