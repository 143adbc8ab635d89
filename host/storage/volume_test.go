package storage

import (
	"os"
	"path/filepath"
	"testing"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

func pvcRef(name, path string) *syncv1.StorageReference {
	return &syncv1.StorageReference{Path: path, Parameters: map[string]string{"type": "pvc", "name": name}}
}

// makeTree writes files below a directory; a value "-> x" makes a symbolic link to x.
func makeTree(t *testing.T, root string, tree map[string]string) {
	t.Helper()
	for name, data := range tree {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if len(data) > 3 && data[:3] == "-> " {
			if err := os.Symlink(data[3:], path); err != nil {
				t.Fatal(err)
			}
			continue
		}
		write(t, path, data)
	}
}

// TestVolumeIsLinked: models on a volume are linked in place under the name that the runtime expects, also when they
// are its root or share their name with the schema, and removing one leaves the volume alone.
func TestVolumeIsLinked(t *testing.T) {
	root := t.TempDir()
	claim := filepath.Join(root, "claim")
	makeTree(t, claim, map[string]string{"m/w": "weights", "m/link": "-> w", "same/x": "1", "other/x": "{}", "out/e": "-> /etc"})
	s, _ := newStore(t, Config{PVCRoot: root})
	tests := []struct {
		path, schema         string
		wantName, wantSchema string
		wantBytes            int64
	}{
		{path: "m", wantName: "m", wantBytes: 14},
		{path: "m/w", wantName: "w", wantBytes: 7},
		{path: "same/x", schema: "other/x", wantName: "x", wantSchema: "_schema.json", wantBytes: 1},
	}
	for _, test := range tests {
		ref := pvcRef("claim", test.path)
		ref.SchemaPath = test.schema
		a := pull(t, s, "id", ref)
		dir := filepath.Join(s.cfg.ModelsDir, "id")
		if a.Path != filepath.Join(dir, test.wantName) || a.Bytes != test.wantBytes {
			t.Errorf("artifact %+v of %q", a, test.path)
		}
		if to, err := os.Readlink(a.Path); err != nil || to != filepath.Join(claim, test.path) {
			t.Errorf("%s leads to %q, %v", a.Path, to, err)
		}
		if test.schema != "" {
			to, err := os.Readlink(a.SchemaPath)
			if err != nil || to != filepath.Join(claim, test.schema) || filepath.Base(a.SchemaPath) != test.wantSchema {
				t.Errorf("%s leads to %q, %v", a.SchemaPath, to, err)
			}
		}
		if err := s.Remove(t.Context(), "id"); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(claim, test.path)); err != nil {
			t.Errorf("remove reached into the volume: %v", err)
		}
	}
	if st := s.Stats(); st.UsedBytes != 0 {
		t.Errorf("a volume's files were cached: %+v", st)
	}
	_, err := s.Pull(t.Context(), "id", pvcRef("claim", "out"))
	wantError(t, err, Misconfigured, "pvc://claim/out", "link leads out of the directory")
	_, err = s.Pull(t.Context(), "id", pvcRef("claim", "nothing"))
	wantError(t, err, NotFound, "no objects under pvc://claim/nothing", claim)
	_, err = s.Pull(t.Context(), "id", pvcRef("other", "m"))
	wantError(t, err, NotFound, "pvc://other/m", "does not exist", "check that the claim exists")
	_, err = s.Pull(t.Context(), "id", pvcRef("../claim", "m"))
	wantError(t, err, Misconfigured, "no PersistentVolumeClaim can be called")
}

func TestVolumeRoot(t *testing.T) {
	dir := t.TempDir()
	makeTree(t, dir, map[string]string{"w": "weights"})
	s, _ := newStore(t, Config{PVCs: map[string]string{"local": dir}})
	a := pull(t, s, "id", pvcRef("local", ""))
	if to, err := os.Readlink(a.Path); filepath.Base(a.Path) != "_model" || err != nil || to != dir {
		t.Errorf("%s leads to %q, %v", a.Path, to, err)
	}
	_, err := s.Pull(t.Context(), "id", pvcRef("absent", "m"))
	wantError(t, err, Misconfigured, `"absent" is not mounted`)
}

// TestFileStorage: a local directory is fetched as a bucket is, within the host's roots only; links inside are
// followed, links out are refused, and bytes rewritten in place are seen.
func TestFileStorage(t *testing.T) {
	base := t.TempDir()
	dir := filepath.Join(base, "allowed", "models")
	makeTree(t, dir, map[string]string{
		"m/w": "old", "m/w.attrs": "sidecar", "m/snapshot": "-> ../blobs/1", "blobs/1": "blob",
		"out/x": "-> ../../../secret", "abs": "-> " + base + "/secret", "loop/a/back": "-> ..", "dangling/x": "-> nowhere",
	})
	makeTree(t, base, map[string]string{"secret": "HUSH", "other/m": "1", "allowed/way-out": "-> ../other"})
	s, _ := newStore(t, Config{FileRoots: []string{filepath.Join(base, "allowed")}})
	ref := func(dir, path string) *syncv1.StorageReference {
		return &syncv1.StorageReference{Path: path, Parameters: map[string]string{"type": "file", "directory": dir}}
	}
	wantFiles := func(want map[string]string) {
		t.Helper()
		pull(t, s, "id", ref(dir, "m"))
		got := files(t, filepath.Join(s.cfg.ModelsDir, "id", "m"))
		if len(got) != len(want) {
			t.Errorf("files %q, want %q", got, want)
		}
		for name, data := range want {
			if got[name] != data {
				t.Errorf("%s is %q, want %q", name, got[name], data)
			}
		}
	}
	wantFiles(map[string]string{"w": "old", "w.attrs": "sidecar", "snapshot": "blob"})
	write(t, filepath.Join(dir, "m", "next"), "new")
	if err := os.Rename(filepath.Join(dir, "m", "next"), filepath.Join(dir, "m", "w")); err != nil {
		t.Fatal(err)
	}
	wantFiles(map[string]string{"w": "new", "w.attrs": "sidecar", "snapshot": "blob"})

	for _, path := range []string{"out", "abs", "loop", "dangling"} {
		_, err := s.Pull(t.Context(), "bad", ref(dir, path))
		wantError(t, err, Misconfigured, "link leads out of the directory, to nothing or in a circle")
	}
	for _, d := range []string{"other", "allowed/../other", "allowed/way-out"} {
		_, err := s.Pull(t.Context(), "bad", ref(base+"/"+d, "m"))
		wantError(t, err, Denied, "may not read")
	}
	_, err := s.Pull(t.Context(), "bad", ref("allowed/models", "m"))
	wantError(t, err, Misconfigured, "must be an absolute path")
	_, err = s.Pull(t.Context(), "bad", ref(filepath.Join(base, "allowed", "none"), "m"))
	wantError(t, err, NotFound, "does not exist")
}
