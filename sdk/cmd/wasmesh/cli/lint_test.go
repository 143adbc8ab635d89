package cli

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/lint"
)

// withStorage is an InferenceService at a URI, with a field more.
func withStorage(uri, more string) []byte {
	return []byte(`apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {name: m, annotations: {serving.kserve.io/deploymentMode: ModelMesh}}
spec: {predictor: {` + more + `model: {modelFormat: {name: sklearn}, storageUri: "` + uri + `"}}}
`)
}

// The exit code says how bad it is.
func TestLintExitCodes(t *testing.T) {
	dir := t.TempDir()
	put(t, filepath.Join(dir, "good", "a.yaml"), withStorage("s3://b/p", ""))
	put(t, filepath.Join(dir, "good", "notes.txt"), []byte("not: [yaml"))
	put(t, filepath.Join(dir, "good", ".hidden", "b.yaml"), []byte("not: [yaml"))
	put(t, filepath.Join(dir, "warning", "deeper", "a.yml"), withStorage("s3://b/p", "minReplicas: 1, "))
	put(t, filepath.Join(dir, "error.json"), bytes.Replace(withStorage("gs://b/p", ""), []byte("name: m,"), []byte("name: other,"), 1))
	put(t, filepath.Join(dir, "empty", "notes.txt"), nil)
	for _, c := range []struct {
		args  []string
		code  int
		lines int
		errs  string
	}{
		{[]string{"-f", filepath.Join(dir, "good")}, 0, 0, "0 errors, 0 warnings in 1 object.\n"},
		{[]string{"-f", filepath.Join(dir, "warning")}, 0, 1, "0 errors, 1 warning in 1 object.\n"},
		{[]string{"-f", filepath.Join(dir, "warning"), "--strict"}, 1, 1, "0 errors, 1 warning in 1 object.\n"},
		{[]string{"-f", filepath.Join(dir, "warning"), "-f", filepath.Join(dir, "error.json"), "--strict"}, 2, 2, "1 error, 1 warning in 2 objects.\n"},
	} {
		out, errs, err := run(t.Context(), append([]string{"lint"}, c.args...)...)
		code, say := 0, false
		if err != nil {
			code, say = ExitCode(err)
		}
		if code != c.code || say || strings.Count(out, "\n") != c.lines || errs != c.errs {
			t.Errorf("%v: exit code %d, said %v, standard error %q\n%s", c.args, code, say, errs, out)
		}
	}
	for path, says := range map[string]string{"empty": "there is no *.yaml, *.yml or *.json below it", "none": "no such file"} {
		_, _, err := run(t.Context(), "lint", "-f", filepath.Join(dir, path))
		if code, say := ExitCode(err); err == nil || code != 1 || !say || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: error %v", path, err)
		}
	}
}

func TestLintForPrograms(t *testing.T) {
	var out bytes.Buffer
	streams := Streams{In: bytes.NewReader(withStorage("gs://b/p", "")), Out: &out, Err: &bytes.Buffer{}}
	err := Run(t.Context(), []string{"wasmesh", "lint", "-f", "-", "-o", "json"}, streams)
	var findings []lint.Finding
	if code, _ := ExitCode(err); code != 2 || json.Unmarshal(out.Bytes(), &findings) != nil || len(findings) != 1 {
		t.Fatalf("error %v\n%s", err, out.String())
	}
	if f := findings[0]; f.File != "-" || f.Line != 4 || f.Kind != "InferenceService" || f.Name != "m" || f.Level != lint.Error {
		t.Errorf("%+v", f)
	}
	if _, _, err := run(t.Context(), "lint", "-f", t.TempDir(), "-o", "xml"); err == nil || !strings.Contains(err.Error(), "one of text, json") {
		t.Errorf("error %v", err)
	}
}
