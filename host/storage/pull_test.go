package storage

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// TestPullLayout: which objects make a model, and where they end up.
func TestPullLayout(t *testing.T) {
	tests := map[string]struct {
		objects      map[string]string
		path, schema string
		want         map[string]string // below the model's directory
		wantPath     string
		wantSchema   string
		kind         Kind
		err          []string
	}{
		"a file": {
			objects: map[string]string{"sk/m.joblib": "M", "sk/m.joblib.bak": "no", "sk/m": "no"}, path: "sk/m.joblib",
			want: map[string]string{"m.joblib": "M"}, wantPath: "m.joblib",
		},
		"a directory without its siblings": {
			objects: map[string]string{"m/a": "1", "m/d/b": "2", "m-2/a": "no", "m.txt": "no", "mm": "no"}, path: "/m/",
			want: map[string]string{"m/a": "1", "m/d/b": "2"}, wantPath: "m",
		},
		"markers are skipped, empty files are kept": {
			objects: map[string]string{"m": "", "m/": "", "m/d": "", "m/d/": "", "m/d/__init__.py": "", "m/x": "1"}, path: "m",
			want: map[string]string{"m/d/__init__.py": "", "m/x": "1"}, wantPath: "m",
		},
		"an empty file alone": {objects: map[string]string{"m": ""}, path: "m", want: map[string]string{"m": ""}, wantPath: "m"},
		"the root": {
			objects: map[string]string{"a": "1", "d/b": "2"}, path: "/",
			want: map[string]string{"_model/a": "1", "_model/d/b": "2"}, wantPath: "_model",
		},
		"schema beside the model": {
			objects: map[string]string{"m": "1", "s/in.json": "{}"}, path: "m", schema: "s/in.json",
			want: map[string]string{"m": "1", "in.json": "{}"}, wantPath: "m", wantSchema: "in.json",
		},
		"schema of the model's name": {
			objects: map[string]string{"a/x": "1", "b/x": "{}"}, path: "a/x", schema: "b/x",
			want: map[string]string{"x": "1", "_schema.json": "{}"}, wantPath: "x", wantSchema: "_schema.json",
		},
		"schema inside the model": {
			objects: map[string]string{"m/a": "1", "m/s.json": "{}"}, path: "m", schema: "m/s.json",
			want: map[string]string{"m/a": "1", "m/s.json": "{}", "s.json": "{}"}, wantPath: "m", wantSchema: "s.json",
		},
		"nothing there": {
			objects: map[string]string{"m-2/a": "1"}, path: "m", kind: NotFound,
			err: []string{"no objects under mem://bucket/m", "storage.parameters"},
		},
		"only markers": {objects: map[string]string{"m/": ""}, path: "m", kind: NotFound, err: []string{"no objects under"}},
		"no schema": {
			objects: map[string]string{"m": "1"}, path: "m", schema: "s", kind: NotFound,
			err: []string{"no objects under mem://bucket/s"},
		},
		"schema is a directory": {
			objects: map[string]string{"m": "1", "s/a": "1"}, path: "m", schema: "s", kind: Misconfigured,
			err: []string{"schema path mem://bucket/s is a directory"},
		},
		"file and directory at once": {
			objects: map[string]string{"m": "1", "m/a": "1"}, path: "m", kind: Misconfigured,
			err: []string{"mem://bucket/m is an object and a directory at once"},
		},
		"file and directory at once, deeper": {
			objects: map[string]string{"m/a": "1", "m/a-": "1", "m/a/b": "1"}, path: "m", kind: Misconfigured,
			err: []string{"mem://bucket/m/a is an object and a directory at once"},
		},
		"traversal in a key": {
			objects: map[string]string{"m/../../x": "1"}, path: "m", kind: Misconfigured,
			err: []string{`object "m/../../x"`, `a segment ".."`, "rename the object"},
		},
		"absolute key":          {objects: map[string]string{"/x": "1"}, kind: Misconfigured, err: []string{"empty segment"}},
		"backslash in a key":    {objects: map[string]string{`m\..\x`: "1"}, kind: Misconfigured, err: []string{"backslash"}},
		"traversal in the path": {path: "a/../b", kind: Misconfigured, err: []string{"storage path", "correct storage.path"}},
		"traversal in the schema's path": {
			objects: map[string]string{"m": "1"}, path: "m", schema: "../s", kind: Misconfigured, err: []string{"storage path"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s, bucket := newStore(t, Config{})
			for key, data := range test.objects {
				bucket.put(key, data)
			}
			ref := memRef(test.path)
			ref.SchemaPath = test.schema
			a, err := s.Pull(t.Context(), "model__isvc-1", ref)
			dir := filepath.Join(s.cfg.ModelsDir, "model__isvc-1")
			if test.err != nil {
				wantError(t, err, test.kind, test.err...)
				if exists(dir) || s.Stats().HeldBytes != 0 {
					t.Errorf("a failed pull left something: %v", s.Stats())
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := files(t, dir); !reflect.DeepEqual(got, test.want) {
				t.Errorf("files %q, want %q", got, test.want)
			}
			want := Artifact{Path: filepath.Join(dir, test.wantPath)}
			if test.wantSchema != "" {
				want.SchemaPath = filepath.Join(dir, test.wantSchema)
			}
			for path, data := range test.want {
				if path == test.wantPath || strings.HasPrefix(path, test.wantPath+"/") {
					want.Bytes += int64(len(data))
				}
			}
			if a != want {
				t.Errorf("artifact %+v, want %+v", a, want)
			}
			size, _, err := s.Size(t.Context(), ref)
			if err != nil || size != want.Bytes {
				t.Errorf("size %d, %v, want %d", size, err, want.Bytes)
			}
		})
	}
}

// TestPullManyObjects: ModelMesh silently dropped what lay past the first page of a listing.
func TestPullManyObjects(t *testing.T) {
	s, bucket := newStore(t, Config{})
	want := map[string]string{}
	for i := range 2*listPageSize + 7 {
		name := fmt.Sprintf("d%d/part-%04d", i%7, i)
		want["m/"+name] = fmt.Sprint(i)
		bucket.put("m/"+name, fmt.Sprint(i))
		bucket.put(fmt.Sprintf("m-%04d", i), "sibling that sorts between m and m/")
	}
	pull(t, s, "id", memRef("m"))
	if got := files(t, filepath.Join(s.cfg.ModelsDir, "id")); !reflect.DeepEqual(got, want) {
		t.Errorf("got %d files, want %d", len(got), len(want))
	}
	if _, n, err := s.Size(t.Context(), memRef("m")); err != nil || n != len(want) {
		t.Errorf("size counts %d objects, %v, want %d", n, err, len(want))
	}
}

func TestBounds(t *testing.T) {
	s, bucket := newStore(t, Config{MaxFiles: 3, MaxModelBytes: 10})
	for i := range 4 {
		bucket.put(fmt.Sprintf("many/%d", i), "x")
		bucket.put(fmt.Sprintf("big/%d", i%3), "1234")
	}
	_, err := s.Pull(t.Context(), "id", memRef("many"))
	wantError(t, err, TooLarge, "mem://bucket/many holds more than 3 objects")
	_, err = s.Pull(t.Context(), "id", memRef("big"))
	wantError(t, err, TooLarge, "mem://bucket/big holds 12 bytes, over the limit of 10 bytes")
	_, _, err = s.Size(t.Context(), memRef("big"))
	wantError(t, err, TooLarge, "12 bytes")
}

func TestBadModelID(t *testing.T) {
	s, bucket := newStore(t, Config{})
	bucket.put("m", "1")
	for _, id := range []string{"", ".", "..", ".cache", "_mlserver_models", "a/b", "a\x00"} {
		if _, err := s.Pull(t.Context(), id, memRef("m")); KindOf(err) != Misconfigured {
			t.Errorf("pull of model id %q: %v, want a refusal", id, err)
		}
		if err := s.Remove(t.Context(), id); err != nil {
			t.Errorf("remove of model id %q: %v, want nothing to do", id, err)
		}
	}
	if !exists(filepath.Join(s.cfg.ModelsDir, cacheName, objectsName)) {
		t.Error("the cache is gone")
	}
}

// The types that are offered instead are those that this host can open anything of.
func TestUnknownType(t *testing.T) {
	for _, c := range []struct {
		config Config
		offers string
	}{
		{Config{}, "are: mem, s3"},
		{Config{PVCRoot: "/pvc_mounts"}, "are: mem, pvc, s3"},
		{Config{FileRoots: []string{"/models"}, PVCs: map[string]string{"claim": "/claim"}}, "are: file, mem, pvc, s3"},
	} {
		s, _ := newStore(t, c.config)
		_, err := s.Pull(t.Context(), "id", &syncv1.StorageReference{Path: "m", Parameters: map[string]string{"type": "hdfs"}})
		wantError(t, err, Misconfigured, `storage type "hdfs" is not supported`, c.offers)
	}
}

// TestSharedFilesAreOneInode: two models with a file in common share its bytes, and a second pull of the same model
// moves nothing.
func TestSharedFilesAreOneInode(t *testing.T) {
	s, bucket := newStore(t, Config{})
	bucket.put("a/w", "weights")
	bucket.put("a/x", "1")
	pull(t, s, "one", memRef("a"))
	pull(t, s, "two", memRef("a/w"))
	pull(t, s, "one", memRef("a"))
	if inode(t, s, "one/a/w") != inode(t, s, "two/w") {
		t.Error("the shared file is on disk twice")
	}
	if n := len(bucket.reads("a/w")); n != 1 {
		t.Errorf("the shared object was read %d times, want once", n)
	}
	want := Stats{BudgetBytes: 1 << 30, UsedBytes: 8, HeldBytes: 8, Objects: 2, FetchedBytes: 8, ReusedBytes: 7}
	if got := s.Stats(); got != want {
		t.Errorf("stats %+v, want %+v", got, want)
	}
}

func inode(t *testing.T, s *Store, name string) uint64 {
	t.Helper()
	info, err := os.Stat(filepath.Join(s.cfg.ModelsDir, name))
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Ino
}

// TestChangedBytesAreSeen: same path, same size, other bytes; a model that holds the old ones keeps them until it is
// pulled again.
func TestChangedBytesAreSeen(t *testing.T) {
	s, bucket := newStore(t, Config{})
	bucket.put("m/w", "old")
	bucket.put("m/gone", "x")
	pull(t, s, "one", memRef("m"))
	bucket.put("m/w", "new")
	bucket.delete("m/gone")
	bucket.put("m/d/more", "y")
	pull(t, s, "two", memRef("m"))
	dir := s.cfg.ModelsDir
	oldFiles, newFiles := map[string]string{"m/w": "old", "m/gone": "x"}, map[string]string{"m/w": "new", "m/d/more": "y"}
	if got := files(t, filepath.Join(dir, "one")); !reflect.DeepEqual(got, oldFiles) {
		t.Errorf("model pulled before the change has %q", got)
	}
	if got := files(t, filepath.Join(dir, "two")); !reflect.DeepEqual(got, newFiles) {
		t.Errorf("model pulled after the change has %q", got)
	}
	pull(t, s, "one", memRef("m"))
	if got := files(t, filepath.Join(dir, "one")); !reflect.DeepEqual(got, newFiles) {
		t.Errorf("model pulled again has %q", got)
	}
	wantCacheClean(t, s)
}

func TestRemoveKeepsTheCache(t *testing.T) {
	s, bucket := newStore(t, Config{})
	bucket.put("m/d/w", "weights")
	pull(t, s, "id", memRef("m"))
	foreign := filepath.Join(s.cfg.ModelsDir, "not-ours")
	if err := os.Mkdir(foreign, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"id", "id", "never", "not-ours"} {
		if err := s.Remove(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	if exists(filepath.Join(s.cfg.ModelsDir, "id")) || !exists(foreign) {
		t.Error("removed the wrong directories")
	}
	if st := s.Stats(); st.HeldBytes != 0 || st.UsedBytes != 7 {
		t.Errorf("stats after remove: %+v", st)
	}
	pull(t, s, "id", memRef("m"))
	if n := len(bucket.reads("m/d/w")); n != 1 {
		t.Errorf("read %d times, want once", n)
	}
	wantCacheClean(t, s)
}

// TestCleanedBehindOurBack: an adapter that removes the model's directory itself, or somebody who empties the cache,
// costs a fetch and no failure.
func TestCleanedBehindOurBack(t *testing.T) {
	s, bucket := newStore(t, Config{})
	bucket.put("m/w", "weights")
	pull(t, s, "id", memRef("m"))
	if err := removeTree(filepath.Join(s.cfg.ModelsDir, "id")); err != nil {
		t.Fatal(err)
	}
	objects, err := filepath.Glob(filepath.Join(s.disk.objects, "*"))
	if err != nil || len(objects) != 1 {
		t.Fatal(objects, err)
	}
	if err := os.Remove(objects[0]); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"id", "other"} {
		pull(t, s, id, memRef("m"))
		if got := files(t, filepath.Join(s.cfg.ModelsDir, id)); !reflect.DeepEqual(got, map[string]string{"m/w": "weights"}) {
			t.Errorf("%s has %q", id, got)
		}
	}
	if st := s.Stats(); st.UsedBytes != 7 || st.HeldBytes != 7 || st.Objects != 1 {
		t.Errorf("stats %+v", st)
	}
}

// TestDiskBudget: least recently used objects give way, what models use does not, and both numbers are said.
func TestDiskBudget(t *testing.T) {
	s, bucket := newStore(t, Config{DiskBudgetBytes: 100, MaxModelBytes: 1000})
	for _, name := range []string{"a", "b", "c", "d"} {
		bucket.put(name, strings.Repeat(name, 40))
	}
	bucket.put("huge", strings.Repeat("x", 101))

	_, err := s.Pull(t.Context(), "huge", memRef("huge"))
	wantError(t, err, TooLarge, "holds 101 bytes", "disk budget of 100 bytes")

	pull(t, s, "a", memRef("a"))
	pull(t, s, "b", memRef("b"))
	_, err = s.Pull(t.Context(), "c", memRef("c"))
	wantError(t, err, Unavailable, "needs 40 more bytes", "80 of this host's disk budget of 100 bytes")

	for _, id := range []string{"b", "a"} { // b was used last before a
		if err := s.Remove(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	pull(t, s, "c", memRef("c")) // evicts b
	pull(t, s, "a", memRef("a")) // still cached
	_, err = s.Pull(t.Context(), "d", memRef("d"))
	wantError(t, err, Unavailable, "needs 40 more bytes")
	if err := s.Remove(t.Context(), "c"); err != nil {
		t.Fatal(err)
	}
	pull(t, s, "d", memRef("d"))
	reads := map[string]int{}
	for _, name := range []string{"a", "b", "c", "d", "huge"} {
		reads[name] = len(bucket.reads(name))
	}
	if want := map[string]int{"a": 1, "b": 1, "c": 1, "d": 1, "huge": 0}; !maps.Equal(reads, want) {
		t.Errorf("reads %v, want %v", reads, want)
	}
	if st := s.Stats(); st.UsedBytes != 80 || st.HeldBytes != 80 {
		t.Errorf("stats %+v", st)
	}
}

// TestOpenRefuses: settings that cannot work, and a directory that another host works in.
func TestOpenRefuses(t *testing.T) {
	_, err := Open(Config{ModelsDir: "relative", DiskBudgetBytes: 1})
	wantError(t, err, Misconfigured, "must be an absolute path")
	_, err = Open(Config{ModelsDir: t.TempDir()})
	wantError(t, err, Misconfigured, "disk budget is 0 bytes")
	s, _ := newStore(t, Config{})
	_, err = Open(Config{ModelsDir: s.cfg.ModelsDir, DiskBudgetBytes: 1})
	wantError(t, err, Misconfigured, "in use by another process")
}
