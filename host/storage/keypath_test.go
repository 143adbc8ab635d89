package storage

import (
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

func TestCleanPath(t *testing.T) {
	tests := map[string]struct{ want, err string }{
		"":                          {},
		"/":                         {},
		"//":                        {},
		"a":                         {want: "a"},
		"/a/b/":                     {want: "a/b"},
		"a b/ü.onnx":                {want: "a b/ü.onnx"},
		"..a/b..":                   {want: "..a/b.."},
		"a//b":                      {err: "empty segment"},
		"../a":                      {err: `a segment ".."`},
		"a/../../b":                 {err: `a segment ".."`},
		"a/./b":                     {err: `a segment "."`},
		"a\\b":                      {err: "backslash"},
		"a\x00b":                    {err: "control character"},
		"a\nb":                      {err: "control character"},
		"a\xffb":                    {err: "not valid UTF-8"},
		strings.Repeat("a", 256):    {err: "longer than 255 bytes"},
		strings.Repeat("ab/", 400):  {err: "longer than 1024 bytes"},
		strings.Repeat("a", 255):    {want: strings.Repeat("a", 255)},
		"model-\u202e\u0085.joblib": {err: "control character"},
	}
	for in, test := range tests {
		got, err := cleanPath(in)
		if test.err != "" {
			wantError(t, err, Misconfigured, test.err)
		} else if err != nil || got != test.want {
			t.Errorf("cleanPath(%q) = %q, %v, want %q", in, got, err, test.want)
		}
	}
}

func TestLocalNames(t *testing.T) {
	tests := []struct{ path, schema, wantModel, wantSchema string }{
		{"sklearn/mnist.joblib", "", "mnist.joblib", ""},
		{"", "", "_model", ""},
		{"m", "schemas/s.json", "m", "s.json"},
		{"a/same.json", "b/same.json", "same.json", "_schema.json"},
		{"a/_schema.json", "b/_schema.json", "_schema.json", "_schema_.json"},
		{"", "_model", "_model", "_schema.json"},
	}
	for _, test := range tests {
		model, schema := localNames(test.path, test.schema)
		if model != test.wantModel || schema != test.wantSchema {
			t.Errorf("localNames(%q, %q) = %q, %q, want %q, %q",
				test.path, test.schema, model, schema, test.wantModel, test.wantSchema)
		}
	}
}

// FuzzKey: a key that is let through makes a file at exactly one place, inside the model's directory.
func FuzzKey(f *testing.F) {
	for _, seed := range []string{"a", "../x", "a/../../x", "/etc/passwd", "a//b", ".", "a/.", "~", "a\\..\\b", "C:\\x",
		"\x00", "-rf", "a/b/c", "ünï/ç", strings.Repeat("x/", 600)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, key string) {
		if badKey(key) != "" {
			return
		}
		if !filepath.IsLocal(key) || path.Clean(key) != key {
			t.Fatalf("%q is let through and not a clean local path", key)
		}
		dir := t.TempDir()
		name := filepath.Join(dir, key)
		if !strings.HasPrefix(name, dir+"/") {
			t.Fatalf("%q leads to %q", key, name)
		}
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte("x"), 0o600); err != nil {
			t.Fatalf("%q is let through and no file name: %v", key, err)
		}
	})
}

// FuzzRelative: what belongs to a model is the path itself and what lies below it, never a sibling.
func FuzzRelative(f *testing.F) {
	f.Add("a", "a")
	f.Add("a", "a/b")
	f.Add("a", "ab")
	f.Add("", "x/y")
	f.Add("a/b", "a")
	f.Fuzz(func(t *testing.T, modelPath, key string) {
		rel, ok := relative(modelPath, key)
		switch {
		case !ok:
			if key == modelPath || modelPath == "" || strings.HasPrefix(key, modelPath+"/") {
				t.Fatalf("%q is not taken as part of %q", key, modelPath)
			}
		case modelPath == "":
			if rel != key {
				t.Fatalf("%q of the root is %q", key, rel)
			}
		case rel == "":
			if key != modelPath && key != modelPath+"/" {
				t.Fatalf("%q is taken for %q itself", key, modelPath)
			}
		case modelPath+"/"+rel != key:
			t.Fatalf("%q of %q is %q", key, modelPath, rel)
		}
	})
}
