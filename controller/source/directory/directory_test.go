package directory

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wasmesh/wasmesh/controller/decide"
	"github.com/wasmesh/wasmesh/controller/source"
)

// folder is a source on a real directory, with its watching on.
type folder struct {
	t *testing.T
	*Source
	path string
	// saved is what the source last kept; read it only while the source does not run.
	saved []byte
}

func newFolder(t *testing.T, files map[string]string) *folder {
	t.Helper()
	f := &folder{t: t, path: t.TempDir()}
	for name, content := range files {
		f.write(name, content)
	}
	return f
}

// open reads the folder, without watching it.
func (f *folder) open(paths ...string) {
	f.t.Helper()
	if len(paths) == 0 {
		paths = []string{f.path}
	}
	s, err := New(Config{
		Paths: paths, DefaultNamespace: "default", Logger: slog.New(slog.DiscardHandler), Saved: f.saved,
		Save: func(data []byte) error { f.saved = data; return nil },
	})
	if err != nil {
		f.t.Fatal(err)
	}
	f.Source = s
}

// run watches until stop is called, at the latest until the test ends.
func (f *folder) run() (stop func()) {
	ctx, cancel := context.WithCancel(f.t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			cancel()
			if err := <-done; err != nil {
				f.t.Errorf("run: %v", err)
			}
		}
	}
	f.t.Cleanup(stop)
	return stop
}

func (f *folder) file(name string) string { return filepath.Join(f.path, name) }

func (f *folder) write(name, content string) {
	f.t.Helper()
	if err := os.MkdirAll(filepath.Dir(f.file(name)), 0o755); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(f.file(name), []byte(content), 0o644); err != nil {
		f.t.Fatal(err)
	}
}

func (f *folder) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// await blocks until a Snapshot satisfies the condition.
func (f *folder) await(what string, holds func(*source.Snapshot) bool) *source.Snapshot {
	f.t.Helper()
	timeout := time.After(30 * time.Second)
	for {
		snapshot := f.Snapshot()
		if holds(snapshot) {
			return snapshot
		}
		select {
		case <-f.Changed():
		case <-timeout:
			f.t.Fatalf("waiting for %s: have %v, warnings %v", what, names(snapshot), snapshot.Warnings)
		}
	}
}

// awaitNames waits for exactly these InferenceServices.
func (f *folder) awaitNames(want ...string) *source.Snapshot {
	f.t.Helper()
	return f.await(strings.Join(want, " "), func(s *source.Snapshot) bool { return reflect.DeepEqual(names(s), want) })
}

func names(s *source.Snapshot) (names []string) {
	for _, isvc := range s.Objects.InferenceServices {
		names = append(names, isvc.Name)
	}
	return names
}

// path of the storage is what these tests edit.
func withPath(name, path string) string {
	return isvc(name, "      storage:", "        path: "+path)
}

func pathOf(s *source.Snapshot, name string) string {
	for _, isvc := range s.Objects.InferenceServices {
		if isvc.Name == name {
			return *isvc.Spec.Predictor.Model.Storage.Path
		}
	}
	return ""
}

func TestEditsAreSeen(t *testing.T) {
	f := newFolder(t, map[string]string{"a.yaml": withPath("a", "one"), "sub/b.yml": withPath("b", "one"), "notes.txt": "hello"})
	f.open()
	f.run()
	first := f.awaitNames("a", "b")

	f.write("a.yaml", withPath("a", "two"))
	edited := f.await("the edit", func(s *source.Snapshot) bool { return pathOf(s, "a") == "two" })
	before, after := first.Objects.InferenceServices[0], edited.Objects.InferenceServices[0]
	if before.Generation != 1 || after.Generation != 2 || *before.Spec.Predictor.Model.Storage.Path != "one" {
		t.Errorf("generations %d, %d: want 1, 2 and the first snapshot unchanged", before.Generation, after.Generation)
	}
	if after.CreationTimestamp != before.CreationTimestamp || after.CreationTimestamp.IsZero() {
		t.Errorf("creationTimestamp moved from %v to %v", before.CreationTimestamp, after.CreationTimestamp)
	}

	f.write("sub/deeper/c.json", `{"apiVersion":"serving.kserve.io/v1beta1","kind":"InferenceService","metadata":{"name":"c",
		"annotations":{"serving.kserve.io/deploymentMode":"ModelMesh"}}}`)
	f.awaitNames("a", "b", "c")
	f.must(os.Rename(f.file("sub/deeper"), f.file("moved")))
	f.must(os.Remove(f.file("a.yaml")))
	f.awaitNames("b", "c")

	// As editors do: the new version is written beside the file and renamed over it.
	f.write("sub/.b.yml.swp", "not yaml: at: all")
	f.write("sub/b.new", withPath("b", "three"))
	f.must(os.Rename(f.file("sub/b.new"), f.file("sub/b.yml")))
	f.await("the replaced file", func(s *source.Snapshot) bool { return pathOf(s, "b") == "three" && len(s.Warnings) == 0 })
	f.must(os.RemoveAll(f.file("sub")))
	f.awaitNames("c")
}

func TestAnnotationIsNoNewGeneration(t *testing.T) {
	f := newFolder(t, map[string]string{"a.yaml": withPath("a", "one")})
	f.open()
	f.run()
	f.write("a.yaml", strings.Replace(withPath("a", "one"), "annotations: {", "annotations: {x: z, ", 1))
	s := f.await("the annotation", func(s *source.Snapshot) bool {
		return s.Objects.InferenceServices[0].Annotations["x"] == "z"
	})
	if got := s.Objects.InferenceServices[0].Generation; got != 1 {
		t.Errorf("generation %d after a change of metadata alone, want 1", got)
	}
}

// What is malformed disturbs neither its neighbours nor the objects that it held before.
func TestMalformedKeepsLastGood(t *testing.T) {
	f := newFolder(t, map[string]string{
		"a.yaml": withPath("a", "one"),
		"b.yaml": withPath("b1", "one") + text("---") + withPath("b2", "one"),
	})
	f.open()
	f.run()
	f.awaitNames("a", "b1", "b2")

	f.write("a.yaml", "apiVersion: [\n")
	s := f.await("the warning", func(s *source.Snapshot) bool { return len(s.Warnings) == 1 })
	if pathOf(s, "a") != "one" || s.Warnings[0].File != f.file("a.yaml") || s.Warnings[0].Line != 1 {
		t.Errorf("a: path %q, warning %v", pathOf(s, "a"), s.Warnings[0])
	}
	f.write("b.yaml", withPath("b1", "two")+text("---", "kind: InferenceService: x"))
	s = f.await("the good document of b.yaml", func(s *source.Snapshot) bool { return pathOf(s, "b1") == "two" })
	if pathOf(s, "b2") != "one" || s.Warnings[1].Line != 13 {
		t.Errorf("b2: path %q, warnings %v", pathOf(s, "b2"), s.Warnings)
	}
	f.write("b.yaml", withPath("b1", "7")+text("---")+withPath("b2", "two"))
	s = f.await("the invalid object", func(s *source.Snapshot) bool { return pathOf(s, "b2") == "two" })
	if pathOf(s, "b1") != "two" || s.Warnings[1].Line != 11 || !strings.Contains(s.Warnings[1].Message, "storage.path") {
		t.Errorf("b1: path %q, warnings %v", pathOf(s, "b1"), s.Warnings)
	}
	// A well-formed file is believed: what it does not hold is gone.
	f.write("a.yaml", "# none\n---\n")
	f.write("b.yaml", withPath("b2", "two"))
	s = f.awaitNames("b2")
	if len(s.Warnings) != 0 {
		t.Errorf("warnings %v remain", s.Warnings)
	}
}

// Many tools truncate a file before they write it, and some never come to write: nothing is unloaded over it.
func TestEmptiedFileKeepsObjects(t *testing.T) {
	both := withPath("a", "one") + text("---") + withPath("b", "one")
	f := newFolder(t, map[string]string{"a.yaml": both, "c.yaml": withPath("c", "one"), "never.yaml": ""})
	f.open()
	stop := f.run()
	f.write("a.yaml", "")
	s := f.await("the warning", func(s *source.Snapshot) bool { return len(s.Warnings) > 0 })
	want := []source.Warning{{
		File: f.file("a.yaml"), Message: "is empty; its objects stay as they were: delete the file to delete them",
	}}
	if !reflect.DeepEqual(names(s), []string{"a", "b", "c"}) || !reflect.DeepEqual(s.Warnings, want) {
		t.Errorf("emptied: %v, warnings %v", names(s), s.Warnings)
	}
	stop()
	f.must(os.Chtimes(f.file("a.yaml"), time.Time{}, time.Now().Add(-time.Hour)))
	f.open() // A restart forgets nothing.
	if s := f.Snapshot(); !reflect.DeepEqual(names(s), []string{"a", "b", "c"}) || !reflect.DeepEqual(s.Warnings, want) {
		t.Errorf("after a restart: %v, warnings %v", names(s), s.Warnings)
	}
	f.run()
	f.must(os.Remove(f.file("a.yaml")))
	if s = f.awaitNames("c"); len(s.Warnings) != 0 {
		t.Errorf("deleted: warnings %v", s.Warnings)
	}
	// What is written after all counts, and so does a file of which only its comments or its empty lines are left.
	for _, rest := range []string{"\n", "# none\n", "---\n"} {
		f.write("a.yaml", both)
		f.awaitNames("a", "b", "c")
		f.write("a.yaml", "")
		f.must(os.Chtimes(f.file("a.yaml"), time.Time{}, time.Now().Add(-time.Hour)))
		f.await("the warning", func(s *source.Snapshot) bool { return len(s.Warnings) > 0 })
		f.write("a.yaml", withPath("b", "two"))
		if s = f.awaitNames("b", "c"); pathOf(s, "b") != "two" || len(s.Warnings) != 0 {
			t.Errorf("written again: path %q, warnings %v", pathOf(s, "b"), s.Warnings)
		}
		f.write("a.yaml", rest)
		if s = f.awaitNames("c"); len(s.Warnings) != 0 {
			t.Errorf("%q: warnings %v", rest, s.Warnings)
		}
	}
}

// A policy whose label has a slip would be silently no policy.
func TestMislabelledPolicyIsNamed(t *testing.T) {
	configMap := text("apiVersion: v1", "kind: ConfigMap", "metadata: {name: p, labels: {wasmesh.dev/policy: 'yes'}}", "binaryData: {p.wasm: AA==}")
	f := newFolder(t, map[string]string{"p.yaml": configMap, "q.yaml": strings.NewReplacer("yes", "true", "name: p", "name: q").Replace(configMap)})
	f.open()
	want := []source.Warning{{File: f.file("p.yaml"), Line: 1, Message: "ConfigMap default/p is ignored: " +
		`label wasmesh.dev/policy is "yes": a policy has "true"`}}
	if got := f.Snapshot().Warnings; !reflect.DeepEqual(got, want) {
		t.Errorf("warnings %v, want %v", got, want)
	}
}

// A slip in the apiVersion of an object unloads nothing; an object that is really gone is gone.
func TestMisspeltVersionKeepsLastGood(t *testing.T) {
	const right = "serving.kserve.io/v1beta1"
	f := newFolder(t, map[string]string{"a.yaml": withPath("a", "one") + text("---") + withPath("b", "one")})
	f.open()
	f.run()
	for _, slip := range []string{"serving.kserve.io/v1alpha1", "serving.kserve.com/v1beta1", "v1beta1", "wmlserving.ai.ibm.com/v1"} {
		f.write("a.yaml", strings.Replace(withPath("a", "one"), right, slip, 1)+text("---")+withPath("b", slip))
		s := f.await(slip, func(s *source.Snapshot) bool { return pathOf(s, "b") == slip })
		if pathOf(s, "a") != "one" || len(s.Warnings) != 1 || s.Warnings[0].Line != 1 {
			t.Errorf("%s: path %q, warnings %v", slip, pathOf(s, "a"), s.Warnings)
		}
	}
	f.write("a.yaml", strings.Replace(withPath("a", "one"), right, "v1beta1", 1))
	if s := f.awaitNames("a"); len(s.Warnings) != 1 {
		t.Errorf("warnings %v", s.Warnings)
	}
	f.write("a.yaml", strings.Replace(withPath("a", "one"), right, "serving.kubeflow.org/v1beta1", 1))
	f.awaitNames()
}

// Nobody else reads these files, so an InferenceService for another controller is most likely a slip.
func TestIgnoredInferenceServiceIsNamed(t *testing.T) {
	const annotation = ", annotations: {serving.kserve.io/deploymentMode: ModelMesh}"
	f := newFolder(t, map[string]string{
		"a.yaml": withPath("a", "one"),
		"b.yaml": text("# two of them") + strings.Replace(withPath("w", "one"), annotation, "", 1) +
			text("---") + strings.Replace(withPath("z", "one"), "ModelMesh", "RawDeployment", 1),
	})
	f.open()
	var want []source.Warning
	for name, line := range map[string]int{"w": 2, "z": 14} {
		want = append(want, source.Warning{File: f.file("b.yaml"), Line: line, Message: "InferenceService default/" + name +
			" is ignored: its annotation serving.kserve.io/deploymentMode is not ModelMesh"})
	}
	slices.SortFunc(want, compareWarnings)
	if got := f.Snapshot().Warnings; !reflect.DeepEqual(got, want) {
		t.Errorf("warnings %v, want %v", got, want)
	}
}

func TestRestart(t *testing.T) {
	f := newFolder(t, map[string]string{"a.yaml": withPath("a", "one"), "b.yaml": withPath("b", "one"), "c.yaml": withPath("c", "one")})
	f.open()
	stop := f.run()
	f.write("a.yaml", withPath("a", "two"))
	f.await("the edit", func(s *source.Snapshot) bool { return pathOf(s, "a") == "two" })
	stop()
	created := f.Snapshot().Objects.InferenceServices[0].CreationTimestamp

	f.write("a.yaml", withPath("a", "three"))
	f.write("b.yaml", "\t")
	f.must(os.Remove(f.file("c.yaml")))
	f.open()
	s := f.Snapshot()
	if !reflect.DeepEqual(names(s), []string{"a", "b"}) || len(s.Warnings) != 1 {
		t.Fatalf("after restart: %v, warnings %v", names(s), s.Warnings)
	}
	a := s.Objects.InferenceServices[0]
	if a.Generation != 3 || !a.CreationTimestamp.Equal(&created) || pathOf(s, "a") != "three" {
		t.Errorf("a: generation %d, created %v (before %v), path %q", a.Generation, a.CreationTimestamp, created, pathOf(s, "a"))
	}
	f.saved = []byte("{")
	f.open()
	if got := names(f.Snapshot()); !reflect.DeepEqual(got, []string{"a"}) {
		t.Errorf("without a memory: %v, want only what can be read", got)
	}
}

func TestUnreadableKeepsObjects(t *testing.T) {
	f := newFolder(t, map[string]string{"in/a.yaml": withPath("a", "one")})
	f.open(f.file("in"))
	f.run()
	f.must(os.Rename(f.file("in"), f.file("away")))
	s := f.await("the warning", func(s *source.Snapshot) bool { return len(s.Warnings) == 1 })
	if !reflect.DeepEqual(names(s), []string{"a"}) {
		t.Errorf("with its directory away: %v", names(s))
	}
	f.write("away/b.yaml", withPath("b", "one"))
	f.must(os.Rename(f.file("away"), f.file("in")))
	f.awaitNames("a", "b")

	f.must(os.Remove(f.file("in/b.yaml")))
	f.must(os.Symlink("nowhere", f.file("in/b.yaml")))
	s = f.await("the dangling link", func(s *source.Snapshot) bool { return len(s.Warnings) == 1 })
	if !strings.Contains(s.Warnings[0].String(), "b.yaml: cannot be read: no such file") {
		t.Errorf("warning %v", s.Warnings[0])
	}
}

func TestMissingPath(t *testing.T) {
	for _, paths := range [][]string{{}, {filepath.Join(t.TempDir(), "absent")}} {
		if _, err := New(Config{Paths: paths}); err == nil || !strings.Contains(err.Error(), "open source") {
			t.Errorf("paths %v: error %v", paths, err)
		}
	}
}

func TestFirstOfDuplicatesWins(t *testing.T) {
	f := newFolder(t, map[string]string{
		"1.yaml": withPath("a", "first") + text("---") + withPath("a", "second"),
		"2.yaml": withPath("a", "third"),
	})
	f.open()
	s := f.Snapshot()
	if pathOf(s, "a") != "first" || len(s.Objects.InferenceServices) != 1 {
		t.Errorf("path %q of %v", pathOf(s, "a"), names(s))
	}
	one := f.file("1.yaml")
	want := []source.Warning{
		{File: one, Line: 13, Message: "InferenceService a is declared twice; the one at " + one + ":1 is used, this one is not"},
		{File: f.file("2.yaml"), Line: 1, Message: "InferenceService a is declared twice; the one at " + one + ":1 is used, this one is not"},
	}
	if !reflect.DeepEqual(s.Warnings, want) {
		t.Errorf("warnings %v, want %v", s.Warnings, want)
	}
	// A file that two paths lead to is one file.
	f.open(f.file("2.yaml"), f.path, f.file("2.yaml"))
	if got := len(f.Snapshot().Warnings); got != 2 {
		t.Errorf("%d warnings when a file is named twice, want 2", got)
	}
}

func TestStorageSecret(t *testing.T) {
	secret := text("apiVersion: v1", "kind: Secret", "metadata: {name: storage-config}",
		"data:", "  plain: eyJ0eXBlIjoiczMifQ==", "  both: b2xk",
		"stringData:", "  both: new", `  text: '{"type": "s3"}'`)
	f := newFolder(t, map[string]string{
		"s.yaml":     secret,
		"other.yaml": strings.Replace(secret, "{name: storage-config}", "{name: storage-config, namespace: other}", 1),
		"no.yaml":    strings.Replace(secret, "storage-config", "tls", 1),
	})
	f.open()
	entries := map[string][]byte{"plain": []byte(`{"type":"s3"}`), "both": []byte("new"), "text": []byte(`{"type": "s3"}`)}
	want := map[string]map[string][]byte{"default": entries, "other": entries}
	if got := f.Snapshot().StorageConfig; !reflect.DeepEqual(got, want) {
		t.Errorf("storage config %q, want %q", got, want)
	}
	f.run()
	f.write("s.yaml", strings.Replace(secret, "b2xk", "not_base64", 1))
	s := f.await("the warning", func(s *source.Snapshot) bool { return len(s.Warnings) == 1 })
	if !reflect.DeepEqual(s.StorageConfig, want) || !strings.Contains(s.Warnings[0].Message, "base64") {
		t.Errorf("after bad base64: %q, warning %v", s.StorageConfig, s.Warnings)
	}
}

// Tools print what the owner wrote, completed as an API server completes it.
func TestRawKeepsUnknownFields(t *testing.T) {
	f := newFolder(t, map[string]string{
		"a.yaml": isvc("a", "      unheardOf: [1]") + text("status: {stale: true}", "---",
			"apiVersion: wmlserving.ai.ibm.com/v1", "kind: ServingRuntime", "metadata: {name: r}",
			"spec: {supportedModelTypes: [{name: sklearn}], containers: []}"),
	})
	f.open()
	s := f.Snapshot()
	var raw struct {
		Metadata struct {
			Namespace         string
			Generation        int
			CreationTimestamp time.Time
		}
		Spec struct {
			Predictor struct{ Model map[string]any }
		}
		Status any
	}
	if err := json.Unmarshal(s.Raw[decide.Key{Namespace: "default", Kind: "InferenceService", Name: "a"}], &raw); err != nil {
		t.Fatal(err)
	}
	if raw.Metadata.Namespace != "default" || raw.Metadata.Generation != 1 || raw.Metadata.CreationTimestamp.IsZero() ||
		raw.Spec.Predictor.Model["unheardOf"] == nil || raw.Status != nil {
		t.Errorf("raw object %+v", raw)
	}
	if got := s.Objects.ServingRuntimes[0]; got.APIVersion != "serving.kserve.io/v1alpha1" || len(got.Spec.SupportedModelFormats) != 1 {
		t.Errorf("runtime of the old group: %+v", got)
	}
}

func TestExcludeAndHidden(t *testing.T) {
	f := newFolder(t, map[string]string{
		"a.yaml": isvc("a"), ".git/b.yaml": isvc("b"), "data/state/c.json": "{}", ".hidden.yaml": "a: b: c",
	})
	s, err := New(Config{Paths: []string{f.path}, Exclude: f.file("data"), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if got := names(s.Snapshot()); !reflect.DeepEqual(got, []string{"a"}) || len(s.Snapshot().Warnings) != 0 {
		t.Errorf("got %v, warnings %v", got, s.Snapshot().Warnings)
	}
	if _, err := New(Config{Paths: []string{f.path}, Exclude: f.path}); err == nil || !strings.Contains(err.Error(), "data directory itself") {
		t.Errorf("a source in the data directory: error %v", err)
	}
}
