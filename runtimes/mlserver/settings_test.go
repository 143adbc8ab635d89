package mlserver

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/wasmesh/wasmesh/runtimes"
)

func TestGenerated(t *testing.T) {
	cases := []struct {
		format         string
		implementation any
	}{
		{"sklearn", "mlserver_sklearn.SKLearnModel"},
		{"SKLearn", "mlserver_sklearn.SKLearnModel"},
		{"lightgbm", "mlserver_lightgbm.LightGBMModel"},
		{"xgboost", "mlserver_xgboost.XGBoostModel"},
		{"mllib", "mlserver_mllib.MLlibModel"}, // not ModelMesh's "mlserver-mllib", which Python cannot import
		{"mlflow", "mlserver_mlflow.MLflowRuntime"},
		{"catboost", "mlserver_catboost.CatboostModel"},
		{"huggingface", "mlserver_huggingface.HuggingFaceRuntime"},
		{"tensorflow", nil},
	}
	for _, c := range cases {
		s, err := generated("m__isvc-1", c.format, "/models/m/model.bin")
		if err != nil {
			t.Fatal(err)
		}
		want := settings{"name": "m__isvc-1", "parameters": map[string]any{"uri": "/models/m/model.bin"}}
		if c.implementation != nil {
			want["implementation"] = c.implementation
		}
		if !reflect.DeepEqual(s, want) {
			t.Errorf("%s: %v; want %v", c.format, s, want)
		}
	}
}

func TestAdopted(t *testing.T) {
	cases := []struct {
		name, in, want string
	}{
		{
			"name and version are the mesh's", `{"name": "theirs", "parameters": {"version": "7", "extra": {"a": 1}}, "max_batch_size": 4}`,
			`{"name": "id", "parameters": {"extra": {"a": 1}}, "max_batch_size": 4}`,
		},
		{"relative uri", `{"parameters": {"uri": "./sub/m.joblib"}}`, `{"name": "id", "parameters": {"uri": "/models/m/sub/m.joblib"}}`},
		{"the directory itself", `{"parameters": {"uri": "."}}`, `{"name": "id", "parameters": {"uri": "/models/m"}}`},
		{"absolute uri", `{"parameters": {"uri": "/m.joblib"}}`, `{"name": "id", "parameters": {"uri": "/models/m/m.joblib"}}`},
		{"climbing uri", `{"parameters": {"uri": "../other/m.joblib"}}`, `{"name": "id", "parameters": {"uri": "/models/m/other/m.joblib"}}`},
		{"climbing file uri", `{"parameters": {"uri": "file:///../m.joblib"}}`, `{"name": "id", "parameters": {"uri": "/models/m/m.joblib"}}`},
		{"file uri twice", `{"parameters": {"uri": "FILE:file:..//x"}}`, `{"name": "id", "parameters": {"uri": "/models/m/file:../x"}}`},
		{"uri of another scheme", `{"parameters": {"uri": "runs:/1/model"}}`, `{"name": "id", "parameters": {"uri": "runs:/1/model"}}`},
		{"null uri", `{"parameters": {"uri": null}}`, `{"name": "id", "parameters": {"uri": null}}`},
		{"no parameters", `{"implementation": "a.B"}`, `{"name": "id", "implementation": "a.B"}`},
	}
	for _, c := range cases {
		s, err := adopted("id", "/models/m", []byte(c.in))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var want settings
		if err := json.Unmarshal([]byte(c.want), &want); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(s, want) {
			t.Errorf("%s: %v; want %v", c.name, s, want)
		}
	}
	for _, in := range []string{``, `[]`, `null`, `{"parameters": []}`, `{"parameters": {"uri": 1}}`} {
		if s, err := adopted("id", "/models/m", []byte(in)); err == nil || !strings.Contains(err.Error(), settingsFile) {
			t.Errorf("adopted(%s) = %v, %v; want an error that names %s", in, s, err, settingsFile)
		}
	}
}

// FuzzAdopted: whatever a model brings, its uri stays inside its directory and its name is the mesh's.
func FuzzAdopted(f *testing.F) {
	for _, seed := range []string{`{"parameters":{"uri":"../../etc/passwd"}}`, `{"parameters":{"uri":"file:file:..//x"}}`, `{"name":1}`, `null`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := adopted("id", "/models/m", raw)
		if err != nil {
			return
		}
		if s["name"] != "id" {
			t.Errorf("name %v", s["name"])
		}
		parameters, _ := s["parameters"].(map[string]any)
		uri, isPath := parameters["uri"].(string)
		if prefix := scheme.FindString(uri); !isPath || prefix != "" && !strings.EqualFold(prefix, "file:") {
			return
		}
		if uri != "/models/m" && !strings.HasPrefix(uri, "/models/m/") || strings.Contains(uri, "/../") {
			t.Errorf("uri %q leaves the model's directory", uri)
		}
	})
}

func TestInject(t *testing.T) {
	s := settings{"inputs": "own", "outputs": "own"}
	if err := s.inject([]byte(`{"inputs": [{"name": "a", "datatype": "fp32", "shape": [-1, 2]}, {"name": "b", "datatype": "STRING"}]}`)); err != nil {
		t.Fatal(err)
	}
	want := settings{
		"inputs": []tensor{
			{Name: "a", Datatype: "FP32", Shape: []int64{-1, 2}},
			{Name: "b", Datatype: "BYTES", Shape: []int64{}},
		},
		"outputs": "own", // the schema is silent about them
	}
	if !reflect.DeepEqual(s, want) {
		t.Errorf("%v; want %v", s, want)
	}
	for schema, words := range map[string]string{
		`{"inputs": [{"datatype": "FP32", "shape": [1]}]}`:  "name is missing",
		`{"outputs": [{"name": "x", "datatype": "FLOAT"}]}`: `"FLOAT"`,
		`{"inputs": {}}`: "schema",
		`{"inputs": [{"name": "x", "datatype": "FP32", "shape": "1"}]}`: "shape",
	} {
		if err := (settings{}).inject([]byte(schema)); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("inject(%s): %v; want an error with %q", schema, err, words)
		}
	}
}

// TestRepositoryRefusesOddIDs: an id cannot name a place outside the repository.
func TestRepositoryRefusesOddIDs(t *testing.T) {
	base := t.TempDir()
	outside := filepath.Join(base, "outside")
	if err := os.Mkdir(outside, 0o755); err != nil {
		t.Fatal(err)
	}
	r := repository{root: filepath.Join(base, "root")}
	for _, id := range []string{"", ".", "..", "../outside", "a/b", "a\x00b"} {
		if _, err := r.lay(runtimes.Model{ID: id, FormatName: "sklearn", Path: outside}); err == nil {
			t.Errorf("lay %q succeeded", id)
		}
		if err := r.remove(id); err != nil {
			t.Errorf("remove %q: %v", id, err)
		}
	}
	if _, err := os.Stat(outside); err != nil {
		t.Error(err)
	}
}
