package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/blob/driver"
	"gocloud.dev/gcerrors"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

var (
	errFakeBroken  = errors.New("connection reset")
	errFakeDenied  = errors.New("no access")
	errFakeMissing = errors.New("no such object")
)

// fakeBucket is a bucket in memory with generations, whose reads a test can bend.
type fakeBucket struct {
	mu         sync.Mutex
	objects    map[string]fakeObject
	generation int
	// readOffsets notes where each read began, by key.
	readOffsets map[string][]int64
	// onRead, when set, bends a read: at most limit bytes (-1: all) come, then err, if any.
	onRead func(ctx context.Context, key string, offset int64) (limit int64, err error)
	// pause, when set, is how long each single byte takes.
	pause time.Duration
}

type fakeObject struct {
	data       []byte
	generation int
}

func newFakeBucket() *fakeBucket {
	return &fakeBucket{objects: map[string]fakeObject{}, readOffsets: map[string][]int64{}}
}

func (b *fakeBucket) put(key, data string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.generation++
	b.objects[key] = fakeObject{[]byte(data), b.generation}
}

func (b *fakeBucket) delete(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.objects, key)
}

func (b *fakeBucket) reads(key string) []int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.readOffsets[key])
}

// opener makes "mem" storage of the bucket. Credentials count only where the test looks at them in onRead.
func (b *fakeBucket) opener(_ context.Context, loc location) (*place, error) {
	user, err := loc.text("user")
	if err != nil {
		return nil, err
	}
	return &place{
		identity: "mem", url: "mem://bucket", advice: "check " + loc.describe(), dialect: fakeDialect{},
		open: func() (*blob.Bucket, error) { return blob.NewBucket(fakeDriver{b, user}), nil },
	}, nil
}

type fakeDialect struct{}

func (fakeDialect) describe(listed *blob.ListObject) (key, version string) {
	var generation int
	listed.As(&generation)
	return listed.Key, fmt.Sprint(generation)
}

func (fakeDialect) pin(obj object) *blob.ReaderOptions {
	return &blob.ReaderOptions{BeforeRead: func(as func(any) bool) error {
		var pinned *string
		as(&pinned)
		*pinned = obj.version
		return nil
	}}
}

func (fakeDialect) same(*blob.Reader, object) bool { return true }

func (fakeDialect) changed(err error) bool { return changedCode(err) }

func (fakeDialect) explain(err error) (Kind, string) {
	if errors.Is(err, errFakeDenied) {
		return Denied, "no access"
	}
	return Unavailable, reasonOf(err)
}

type fakeUser struct{}

// fakeDriver is one opening of the bucket. Methods that the package never calls are left nil.
type fakeDriver struct {
	*fakeBucket
	user string
}

func (fakeDriver) Close() error            { return nil }
func (fakeDriver) As(any) bool             { return false }
func (fakeDriver) ErrorAs(error, any) bool { return false }

func (fakeDriver) ErrorCode(err error) gcerrors.ErrorCode {
	if errors.Is(err, errFakeMissing) {
		return gcerrors.NotFound
	}
	return gcerrors.Unknown
}

func (d fakeDriver) ListPaged(_ context.Context, opts *driver.ListOptions) (*driver.ListPage, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	page := &driver.ListPage{}
	for _, key := range slices.Sorted(maps.Keys(d.objects)) {
		if !strings.HasPrefix(key, opts.Prefix) || key <= string(opts.PageToken) {
			continue
		}
		if len(page.Objects) == opts.PageSize {
			page.NextPageToken = []byte(page.Objects[len(page.Objects)-1].Key)
			break
		}
		o := d.objects[key]
		page.Objects = append(page.Objects, &driver.ListObject{Key: key, Size: int64(len(o.data)), AsFunc: func(v any) bool {
			*v.(*int) = o.generation
			return true
		}})
	}
	return page, nil
}

func (d fakeDriver) NewRangeReader(
	ctx context.Context, key string, offset, length int64, opts *driver.ReaderOptions,
) (driver.Reader, error) {
	var pinned string
	err := opts.BeforeRead(func(v any) bool {
		*v.(**string) = &pinned
		return true
	})
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	d.readOffsets[key] = append(d.readOffsets[key], offset)
	onRead, pause := d.onRead, d.pause
	d.mu.Unlock()
	limit := int64(-1)
	var broken error
	if onRead != nil {
		limit, broken = onRead(context.WithValue(ctx, fakeUser{}, d.user), key, offset)
	}
	d.mu.Lock()
	o, ok := d.objects[key]
	d.mu.Unlock()
	if !ok || fmt.Sprint(o.generation) != pinned {
		return nil, errFakeMissing
	}
	body := io.Reader(bytes.NewReader(o.data[offset : offset+length]))
	if limit >= 0 {
		body = io.LimitReader(body, limit)
	}
	return &fakeReader{ctx: ctx, body: body, err: broken, size: int64(len(o.data)), pause: pause}, nil
}

func (fakeDriver) Attributes(context.Context, string) (*driver.Attributes, error) {
	return nil, errFakeMissing
}

func (fakeDriver) NewTypedWriter(context.Context, string, string, *driver.WriterOptions) (driver.Writer, error) {
	return nil, errFakeMissing
}

func (fakeDriver) Copy(context.Context, string, string, *driver.CopyOptions) error {
	return errFakeMissing
}

func (fakeDriver) Delete(context.Context, string, *driver.DeleteOptions) error { return errFakeMissing }

func (fakeDriver) SignedURL(context.Context, string, *driver.SignedURLOptions) (string, error) {
	return "", errFakeMissing
}

type fakeReader struct {
	ctx   context.Context
	body  io.Reader
	err   error
	size  int64
	pause time.Duration
}

func (r *fakeReader) Read(p []byte) (int, error) {
	if r.pause > 0 {
		if err := wait(r.ctx, r.pause); err != nil {
			return 0, err
		}
		p = p[:1]
	}
	n, err := r.body.Read(p)
	if err == io.EOF && r.err != nil {
		err = r.err
	}
	return n, err
}

func (r *fakeReader) Close() error { return nil }
func (r *fakeReader) As(any) bool  { return false }
func (r *fakeReader) Attributes() *driver.ReaderAttributes {
	return &driver.ReaderAttributes{ContentType: "x", Size: r.size, ModTime: time.Unix(0, 0)}
}

// newStore opens a Store whose storage of type mem is a fake bucket.
func newStore(t testing.TB, cfg Config) (*Store, *fakeBucket) {
	t.Helper()
	if cfg.ModelsDir == "" {
		cfg.ModelsDir = filepath.Join(t.TempDir(), "models")
	}
	if cfg.DiskBudgetBytes == 0 {
		cfg.DiskBudgetBytes = 1 << 30
	}
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := removeTree(cfg.ModelsDir); err != nil {
			t.Error(err)
		}
	})
	b := newFakeBucket()
	s.openers["mem"] = b.opener
	return s, b
}

func memRef(path string) *syncv1.StorageReference {
	return &syncv1.StorageReference{Path: path, Parameters: map[string]string{"type": "mem"}}
}

// files reads a tree of regular files and directories: path to content, directories end in a slash. It fails on wrong
// modes.
func files(t testing.TB, root string) map[string]string {
	t.Helper()
	got := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if info.Mode().Perm() != 0o555 {
				t.Errorf("directory %s has mode %v, want 0555", path, info.Mode())
			}
			return nil
		}
		if info.Mode() != 0o444 {
			t.Errorf("file %s has mode %v, want a regular file of 0444", path, info.Mode())
		}
		data, err := os.ReadFile(path)
		got[filepath.ToSlash(rel)] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// pull fails the test if the model does not come.
func pull(t testing.TB, s *Store, id string, ref *syncv1.StorageReference) Artifact {
	t.Helper()
	a, err := s.Pull(t.Context(), id, ref)
	if err != nil {
		t.Fatalf("pull %s: %v", id, err)
	}
	return a
}

// wantError checks kind and parts of the message.
func wantError(t testing.TB, err error, kind Kind, parts ...string) {
	t.Helper()
	if KindOf(err) != kind {
		t.Fatalf("error %v (kind %v), want kind %v", err, KindOf(err), kind)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %q", err, part)
		}
	}
}

// wantCacheClean checks that no download left anything behind.
func wantCacheClean(t testing.TB, s *Store) {
	t.Helper()
	for _, dir := range []string{partialName, stagingName} {
		left, err := os.ReadDir(filepath.Join(s.cfg.ModelsDir, cacheName, dir))
		if err != nil || len(left) > 0 {
			t.Errorf("%s holds %v (%v), want nothing", dir, left, err)
		}
	}
}
