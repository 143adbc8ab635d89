package rootblob_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/wasmesh/wasmesh/host/storage/rootblob"
)

// open makes a bucket over a tree; a value "-> x" makes a symbolic link to x.
func open(t testing.TB, tree map[string]string) (*blob.Bucket, string) {
	t.Helper()
	dir := t.TempDir()
	for name, data := range tree {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		err := error(nil)
		if to, ok := strings.CutPrefix(data, "-> "); ok {
			err = os.Symlink(to, path)
		} else {
			err = os.WriteFile(path, []byte(data), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	b, err := rootblob.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b, dir
}

// list answers the keys below a prefix, read in pages of the given size.
func list(t testing.TB, b *blob.Bucket, prefix string, pageSize int) ([]string, error) {
	t.Helper()
	var keys []string
	for token := blob.FirstPageToken; len(token) > 0; {
		page, next, err := b.ListPage(t.Context(), token, pageSize, &blob.ListOptions{Prefix: prefix})
		if err != nil {
			return nil, err
		}
		if len(page) > pageSize {
			t.Fatalf("page of %d objects, want at most %d", len(page), pageSize)
		}
		for _, o := range page {
			keys = append(keys, o.Key)
		}
		token = next
	}
	return keys, nil
}

// TestListing: every prefix and page size gives the keys of a flat map, in their order.
func TestListing(t *testing.T) {
	tree := map[string]string{
		"a": "1", "a-b": "2", "a.d/x": "3", "b/c": "4", "b/c-d/e": "5", "b/c.d": "6", "b/d/e/f": "7", "b/d0": "8", "bb/x": "9",
		"z.attrs": "10", "__0x2f__": "11",
	}
	b, _ := open(t, tree)
	for _, prefix := range []string{"", "a", "a-", "b", "b/", "b/c", "b/c/", "b/c-d/e", "b/d/", "bb/x", "nothing/", "a/", "z"} {
		var want []string
		for key := range tree {
			if strings.HasPrefix(key, prefix) {
				want = append(want, key)
			}
		}
		slices.Sort(want)
		for size := range 6 {
			got, err := list(t, b, prefix, size+1)
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("prefix %q in pages of %d: %q, %v, want %q", prefix, size+1, got, err, want)
			}
		}
	}
}

// listOnly answers what a listing of one path holds.
func listOnly(t testing.TB, b *blob.Bucket, path, prefix string) (keys []string, err error) {
	t.Helper()
	for token := blob.FirstPageToken; len(token) > 0; {
		var page []*blob.ListObject
		page, token, err = b.ListPage(t.Context(), token, 2, &blob.ListOptions{Prefix: prefix, BeforeList: func(as func(any) bool) error {
			var only *rootblob.Only
			if !as(&only) {
				t.Fatal("the bucket does not know Only")
			}
			only.Path = path
			return nil
		}})
		if err != nil {
			return nil, err
		}
		for _, o := range page {
			keys = append(keys, o.Key)
		}
	}
	return keys, nil
}

// TestOnly: the listing of one path has what is there and below, whatever lies beside it, and refuses the same links.
func TestOnly(t *testing.T) {
	tree := map[string]string{
		"a": "1", "a-b": "2", "a.d/x": "3", "b/c": "4", "b/c-d/e": "5", "b/c-d/f": "6", "b/c-d/g/h": "7", "b/c.d": "8", "bb/x": "9",
		"b/c-dangling": "-> nowhere",
	}
	b, _ := open(t, tree)
	for _, path := range []string{"a", "a-b", "a.d", "b/c", "b/c-d", "b/c-d/e", "bb", "bb/x", "a/below", "nothing", "no/thing"} {
		for _, prefix := range []string{path, path + "/"} {
			var want []string
			for key := range tree {
				if strings.HasPrefix(key, prefix) && (key == path || strings.HasPrefix(key, path+"/")) {
					want = append(want, key)
				}
			}
			slices.Sort(want)
			if got, err := listOnly(t, b, path, prefix); err != nil || !slices.Equal(got, want) {
				t.Errorf("%q with prefix %q: %q, %v, want %q", path, prefix, got, err, want)
			}
		}
	}
	b, _ = open(t, map[string]string{
		"m/w": "1", "m/loop": "-> ..", "out": "-> /etc", "in": "-> m2", "m2/w": "2", "dangling": "-> nowhere", "self": "-> self",
	})
	for _, path := range []string{"m", "out", "dangling", "self"} {
		if got, err := listOnly(t, b, path, path); !errors.Is(err, rootblob.ErrLink) {
			t.Errorf("listing %s: %q, %v, want a refusal of the link", path, got, err)
		}
	}
	if got, err := listOnly(t, b, "in", "in"); err != nil || !slices.Equal(got, []string{"in/w"}) {
		t.Errorf("through a link: %q, %v", got, err)
	}
}

func TestLinks(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(outside, []byte("HUSH"), 0o600); err != nil {
		t.Fatal(err)
	}
	b, _ := open(t, map[string]string{
		"ok/file": "-> ../data/w", "ok/dir": "-> ../data", "data/w": "weights",
		"abs/x": "-> " + outside, "up/x": "-> ../../../../../../../../etc/passwd", "dangling/x": "-> nowhere",
		"self/x": "-> x", "circle/a/b": "-> ..", "updir": "-> ../..",
	})
	got, err := list(t, b, "ok/", 100)
	if want := []string{"ok/dir/w", "ok/file"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("links inside: %q, %v, want %q", got, err, want)
	}
	for _, key := range got {
		data, err := b.ReadAll(t.Context(), key)
		if err != nil || string(data) != "weights" {
			t.Errorf("%s: %q, %v", key, data, err)
		}
	}
	for _, prefix := range []string{"abs/", "up/", "dangling/", "self/", "circle/", "updir"} {
		if _, err := list(t, b, prefix, 100); !errors.Is(err, rootblob.ErrLink) {
			t.Errorf("listing %s: %v, want a refusal of the link", prefix, err)
		}
	}
	for _, key := range []string{"abs/x", "up/x", "updir/etc/passwd", "../x"} {
		if data, err := b.ReadAll(t.Context(), key); err == nil {
			t.Errorf("read %q through %s", data, key)
		}
	}
	if _, err := list(t, b, "updir/", 100); err == nil {
		t.Error("listed a directory outside")
	}
}

// TestPipe: a pipe among the files is refused and does not make anybody wait for a writer.
func TestPipe(t *testing.T) {
	b, dir := open(t, map[string]string{"m/a": "1"})
	if err := syscall.Mkfifo(filepath.Join(dir, "m", "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := list(t, b, "m/", 100); !errors.Is(err, rootblob.ErrNotRegular) {
		t.Errorf("listing: %v", err)
	}
	if _, err := b.ReadAll(t.Context(), "m/pipe"); !errors.Is(err, rootblob.ErrNotRegular) {
		t.Errorf("reading: %v", err)
	}
	if got, err := list(t, b, "m/pipe/", 100); err != nil || len(got) > 0 {
		t.Errorf("listing below the pipe: %q, %v", got, err)
	}
}

// pinned opens a read for the version that a listing tells.
func pinned(version string) *blob.ReaderOptions {
	return &blob.ReaderOptions{BeforeRead: func(as func(any) bool) error {
		var c *rootblob.Condition
		if !as(&c) {
			return errors.New("no condition")
		}
		c.Version = version
		return nil
	}}
}

func version(t *testing.T, b *blob.Bucket, key string) string {
	t.Helper()
	page, _, err := b.ListPage(t.Context(), blob.FirstPageToken, 1, &blob.ListOptions{Prefix: key})
	if err != nil || len(page) != 1 {
		t.Fatalf("list %s: %v, %v", key, page, err)
	}
	var info fs.FileInfo
	if !page[0].As(&info) {
		t.Fatal("no FileInfo")
	}
	return rootblob.Version(info)
}

// TestPinnedReads: ranges of the listed version come; a file replaced before the read, or rewritten during it, gives
// ErrChanged and never a quiet mixture.
func TestPinnedReads(t *testing.T) {
	b, dir := open(t, map[string]string{"m": "0123456789"})
	name := filepath.Join(dir, "m")
	v := version(t, b, "m")
	read := func(offset, length int64, between func()) (string, error) {
		r, err := b.NewRangeReader(t.Context(), "m", offset, length, pinned(v))
		if err != nil {
			return "", err
		}
		defer r.Close()
		between()
		data, err := io.ReadAll(r)
		return string(data), err
	}
	for _, test := range []struct {
		offset, length int64
		want           string
	}{{0, 10, "0123456789"}, {3, 4, "3456"}, {9, 1, "9"}, {4, -1, "456789"}, {2, 0, ""}} {
		if got, err := read(test.offset, test.length, func() {}); err != nil || got != test.want {
			t.Errorf("range %d+%d: %q, %v, want %q", test.offset, test.length, got, err, test.want)
		}
	}
	_, err := read(0, 10, func() {
		if err := os.WriteFile(name, []byte("rewritten!"), 0o600); err != nil {
			t.Fatal(err)
		}
		// The file system's clock may not tell this moment from the file's making.
		if err := os.Chtimes(name, time.Time{}, time.Unix(2e9, 0)); err != nil {
			t.Fatal(err)
		}
	})
	if !errors.Is(err, rootblob.ErrChanged) || gcerrors.Code(err) != gcerrors.FailedPrecondition {
		t.Errorf("rewritten while read: %v", err)
	}
	if _, err := read(0, 10, func() {}); !errors.Is(err, rootblob.ErrChanged) {
		t.Errorf("rewritten before the read: %v", err)
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if _, err := read(0, 10, func() {}); gcerrors.Code(err) != gcerrors.NotFound {
		t.Errorf("removed: %v", err)
	}
}

// TestVersionSeesReplacement: a file put in place by a rename with the size and time of the old one is another version.
func TestVersionSeesReplacement(t *testing.T) {
	b, dir := open(t, map[string]string{"m": "old", "n": "new"})
	info, err := os.Stat(filepath.Join(dir, "m"))
	if err != nil {
		t.Fatal(err)
	}
	old := version(t, b, "m")
	if err := os.Chtimes(filepath.Join(dir, "n"), info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "n"), filepath.Join(dir, "m")); err != nil {
		t.Fatal(err)
	}
	if version(t, b, "m") == old {
		t.Error("the replacement has the version of what it replaced")
	}
}

func TestReadOnly(t *testing.T) {
	b, dir := open(t, map[string]string{"m": "1"})
	if err := b.WriteAll(t.Context(), "n", []byte("x"), nil); gcerrors.Code(err) != gcerrors.Unimplemented {
		t.Errorf("write: %v", err)
	}
	if err := b.Delete(t.Context(), "m"); gcerrors.Code(err) != gcerrors.Unimplemented {
		t.Errorf("delete: %v", err)
	}
	if err := b.Copy(t.Context(), "n", "m", nil); gcerrors.Code(err) != gcerrors.Unimplemented {
		t.Errorf("copy: %v", err)
	}
	if ok, err := b.Exists(t.Context(), "m"); !ok || err != nil {
		t.Errorf("exists: %v, %v", ok, err)
	}
	if ok, err := b.Exists(t.Context(), "n"); ok || err != nil {
		t.Errorf("exists: %v, %v", ok, err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("directory holds %v, %v", entries, err)
	}
	if _, err := rootblob.Open(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("open of no directory: %v", err)
	}
}

// FuzzListing compares paged listings with a walk of a random tree.
func FuzzListing(f *testing.F) {
	f.Add("a/b/c a/b-c a/bc ab", "a/b", 2)
	f.Add("x/y x-y x.y xy/z/w", "", 1)
	f.Fuzz(func(t *testing.T, spec, prefix string, pageSize int) {
		tree := map[string]string{}
		for _, key := range strings.Fields(spec) {
			if len(key) > 40 || !fs.ValidPath(key) || key == "." || strings.ContainsAny(key, "\x00\\") {
				return
			}
			for other := range tree {
				if strings.HasPrefix(other, key+"/") || strings.HasPrefix(key, other+"/") {
					return
				}
			}
			tree[key] = "x"
		}
		if len(tree) > 20 || strings.ContainsRune(prefix, 0) || pageSize < 1 || pageSize > 50 {
			return
		}
		if dir := prefix[:strings.LastIndex(prefix, "/")+1]; dir != "" && !fs.ValidPath(strings.TrimSuffix(dir, "/")) {
			return
		}
		b, _ := open(t, tree)
		want := []string{}
		for key := range tree {
			if strings.HasPrefix(key, prefix) {
				want = append(want, key)
			}
		}
		slices.Sort(want)
		got, err := list(t, b, prefix, pageSize)
		if err != nil || !reflect.DeepEqual(append([]string{}, got...), want) {
			t.Fatalf("prefix %q in pages of %d: %q, %v, want %q", prefix, pageSize, got, err, fmt.Sprint(want))
		}
	})
}
