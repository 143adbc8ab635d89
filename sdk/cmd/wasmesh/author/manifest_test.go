package author

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/wasmesh/wasmesh/wasm-policies/engine"
)

func TestManifestRoundTrip(t *testing.T) {
	m := Manifest{
		Name: "p", Namespace: "ns", Module: bytes.Repeat([]byte("wasm"), 100_000), Config: "a=1\nb=2\n", Hooks: []string{"place", "evict"}, Shadow: true,
	}
	content, serverSide, err := m.YAML()
	if err != nil || serverSide {
		t.Fatalf("server-side %v, error %v", serverSide, err)
	}
	var object corev1.ConfigMap
	if err := yaml.UnmarshalStrict(content, &object); err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(m.Module)
	want := map[string]string{"sha256": hex.EncodeToString(digest[:]), "config": m.Config, "hooks": "place,evict", "mode": "shadow"}
	if object.Kind != "ConfigMap" || object.APIVersion != "v1" || object.Name != "p" || object.Namespace != "ns" || object.Labels["wasmesh.dev/policy"] != "true" {
		t.Errorf("object %+v", object.ObjectMeta)
	}
	for key, value := range want {
		if object.Data[key] != value {
			t.Errorf("data.%s is %q, not %q", key, object.Data[key], value)
		}
	}
	if len(object.Data) != len(want) || len(object.BinaryData) != 1 {
		t.Errorf("data %v, %d keys of binary data", object.Data, len(object.BinaryData))
	}
	for key, value := range object.BinaryData {
		module, err := engine.Inflate(value, len(m.Module))
		if err != nil || !bytes.Equal(module, m.Module) || !strings.HasSuffix(key, ".wasm.gz") {
			t.Errorf("binaryData.%s: %d bytes, error %v", key, len(module), err)
		}
	}
	again, _, err := m.YAML()
	if err != nil || !bytes.Equal(content, again) {
		t.Errorf("written again it differs, error %v", err)
	}
	nowhere := bytes.Replace(content, []byte("\n  namespace: ns\n"), []byte("\n"), 1)
	if !IsManifest(content, "ns", "p") || !IsManifest(nowhere, "other", "p") || IsManifest(content, "ns", "q") ||
		IsManifest(content, "other", "p") || IsManifest(append(content, "---\nkind: Secret\n"...), "ns", "p") {
		t.Error("IsManifest does not tell the policy's ConfigMap from others")
	}
}

// Nothing is said that was not asked for: a default may change.
func TestManifestLeavesDefaultsOut(t *testing.T) {
	content, _, err := Manifest{Name: "p", Namespace: "ns", Module: []byte("wasm")}.YAML()
	if err != nil {
		t.Fatal(err)
	}
	var object corev1.ConfigMap
	if err := yaml.UnmarshalStrict(content, &object); err != nil {
		t.Fatal(err)
	}
	if len(object.Data) != 1 || object.Data["sha256"] == "" {
		t.Errorf("data %v", object.Data)
	}
}

// noise does not compress.
func noise(size int) []byte {
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{}).Read(b) // Never fails.
	return b
}

func TestManifestLimits(t *testing.T) {
	of := func(size int) Manifest { return Manifest{Name: "p", Namespace: "ns", Module: noise(size)} }
	if _, serverSide, err := of(100 << 10).YAML(); err != nil || serverSide {
		t.Errorf("100 KiB: server-side %v, error %v", serverSide, err)
	}
	// In base64 that is more than an annotation holds.
	if _, serverSide, err := of(250 << 10).YAML(); err != nil || !serverSide {
		t.Errorf("250 KiB: server-side %v, error %v", serverSide, err)
	}
	if _, _, err := of(1<<20 + 1).YAML(); err == nil || !strings.Contains(err.Error(), "p takes ") || !strings.Contains(err.Error(), "at most 1048576") {
		t.Errorf("1 MiB: error %v", err)
	}
	m := of(1<<20 - 2000) // Its keys and configuration count, too.
	if _, _, err := m.YAML(); err != nil {
		t.Errorf("just below 1 MiB: %v", err)
	}
	m.Config = strings.Repeat("#", 2000)
	if _, _, err := m.YAML(); err == nil {
		t.Error("a configuration that does not fit is accepted")
	}
}

func TestManifestRefuses(t *testing.T) {
	for _, c := range []struct {
		m    Manifest
		says string
	}{
		{Manifest{Name: "../p", Namespace: "ns"}, `"../p" cannot be the name`},
		{Manifest{Name: "", Namespace: "ns"}, `"" cannot be the name`},
		{Manifest{Name: "p", Namespace: "n.s"}, `"n.s" cannot be a namespace`},
		{Manifest{Name: "p", Namespace: "ns", Hooks: []string{"evict", "rout"}}, `hook "rout" is none of place, evict, status`},
		{Manifest{Name: "p", Namespace: "ns", Config: "\xff"}, "not UTF-8"},
	} {
		if _, _, err := c.m.YAML(); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: error %v does not say %q", c.m, err, c.says)
		}
	}
}

func TestWriteWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	for _, content := range []string{"one", "two"} {
		if err := WriteWhole(path, []byte(content)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != content {
			t.Errorf("%q, error %v", got, err)
		}
	}
	// What cannot be put in place leaves nothing behind.
	if err := os.Mkdir(path+".d", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := WriteWhole(path+".d", nil); err == nil {
		t.Error("a file replaces a directory")
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 2 {
		t.Errorf("%v, error %v", entries, err)
	}
}
