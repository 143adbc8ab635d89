package resources

import (
	"slices"
	"testing"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

func TestClaims(t *testing.T) {
	secret := map[string][]byte{
		"a":      []byte(`{"type": "pvc", "name": "models-a"}`),
		"b":      []byte(`{"type": "pvc", "name": "models-b"}`),
		"again":  []byte(`{"type": "pvc", "name": "models-a"}`),
		"bucket": []byte(`{"type": "s3", "name": "not-a-claim"}`),
		// Other fields may hold anything.
		"web":   []byte(`{"type": "http", "headers": {"x": ["y"]}, "name": {"not": "a string"}}`),
		"odd":   []byte(`{"type": "pvc", "name": "models-c", "readOnly": true}`),
		"twice": []byte(`{"type": "pvc"}`),
	}
	broken := map[string][]byte{
		"nothing": nil, "text": []byte("pvc"), "cut": []byte(`{"type": "pvc", "name": "mod`), "list": []byte(`[{"type": "pvc", "name": "x"}]`),
		"null": []byte("null"), "number": []byte(`{"type": "pvc", "name": 7}`), "kind": []byte(`{"type": ["pvc"], "name": "x"}`),
		"bad": []byte(`{"type": "pvc", "name": "../../etc"}`), "empty": []byte(`{"type": "pvc", "name": ""}`),
	}
	model := func(key string, parameters map[string]string) *syncv1.Model {
		return &syncv1.Model{Storage: &syncv1.StorageReference{SecretKey: key, Parameters: parameters}}
	}
	models := []*syncv1.Model{
		nil, {}, model("", map[string]string{"type": "pvc", "name": "own"}),
		model("a", map[string]string{"name": "own-2"}), // Another claim than the entry names.
		model("bucket", map[string]string{"name": "no"}),
		model("", map[string]string{"type": "pvc", "name": "Not_Valid"}),
		model("", map[string]string{"type": "pvc"}),
		model("web", map[string]string{"type": "pvc"}),
		model("missing", map[string]string{"name": "no"}),
	}
	entries := []string{"models-a", "models-b", "models-c"}
	for name, tt := range map[string]struct {
		secret map[string][]byte
		models []*syncv1.Model
		want   []string
	}{
		"nothing":            {nil, nil, nil},
		"entries":            {secret, nil, entries},
		"entries and models": {secret, models, append(slices.Clone(entries), "own", "own-2")},
		"models alone":       {nil, models, []string{"own"}},
		"broken":             {broken, nil, nil},
	} {
		if got := Claims(tt.secret, tt.models); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
	// One entry that is wrong takes no claim from the pods, which would be restarted for it.
	for key, content := range broken {
		with := map[string][]byte{"a": secret["a"], "odd": secret["odd"], key: content}
		if got := Claims(with, nil); !slices.Equal(got, []string{"models-a", "models-c"}) {
			t.Errorf("beside %s: %v", content, got)
		}
	}
}
