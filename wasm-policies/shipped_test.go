package wasmpolicies_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/wasmesh/wasmesh/wasm-policies/engine"
	"github.com/wasmesh/wasmesh/wasm-policies/policytest"
)

// built is where `make policies` puts the modules.
const built = "../bin/policies"

// shipped are the policies, each a folder here and a module there.
func shipped() []string {
	return []string{
		"evict-cost-aware", "evict-gdsf", "evict-lru",
		"place-balanced", "place-modelmesh", "place-pack", "place-spread-zones",
		"status-modelmesh", "status-strict",
	}
}

// What a module may take, gzipped: a ConfigMap holds 1 MiB, and what needs no runtime of its own stays a few KiB.
const (
	maxGzipped      = 700 << 10
	maxGzippedSmall = 8 << 10
)

// TestShippedModules: nine modules, each with the hook of its name alone and small enough; those that are committed are what
// was built and what DIGESTS and the READMEs say.
func TestShippedModules(t *testing.T) {
	var found []string
	for _, path := range glob(t, built+"/*.wasm") {
		found = append(found, strings.TrimSuffix(filepath.Base(path), ".wasm"))
	}
	if !slices.Equal(found, shipped()) {
		t.Fatalf("bin/policies has %v, not %v: make policies", found, shipped())
	}
	digests := string(read(t, "DIGESTS"))
	for _, name := range shipped() {
		module := read(t, filepath.Join(built, name+".wasm"))
		info, err := engine.Inspect(module)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if hook, _, _ := strings.Cut(name, "-"); len(info.Hooks) != 1 || info.Hooks[0].String() != hook {
			t.Errorf("%s has the hooks %v", name, info.Hooks)
		}
		limit := maxGzippedSmall
		if len(glob(t, name+"/*.go")) > 0 {
			limit = maxGzipped
		} else {
			digest := sha256.Sum256(module)
			line := fmt.Sprintf("%s  %s/%s.wasm\n", hex.EncodeToString(digest[:]), name, name)
			if !strings.Contains(digests, line) || !bytes.Equal(read(t, name+"/"+name+".wasm"), module) {
				t.Errorf("%s is not what is committed: make policies-check", name)
			}
			if size := fmt.Sprintf("\nSize: %d bytes,", len(module)); !bytes.Contains(read(t, name+"/README.md"), []byte(size)) {
				t.Errorf("%s/README.md does not say%s", name, size)
			}
		}
		if size := gzipped(t, module); size > limit {
			t.Errorf("%s takes %d bytes gzipped, more than %d", name, size, limit)
		}
	}
}

// TestShippedScenarios: each policy does what its README promises, and keeps to the rules of the ABI on empty, large and
// extreme requests, and on those of older and newer hosts.
func TestShippedScenarios(t *testing.T) {
	e := newEngine(t)
	for _, name := range shipped() {
		t.Run(name, func(t *testing.T) {
			module := open(t, e, name)
			scenarios, err := policytest.ReadDir(name + "/scenarios")
			if err != nil {
				t.Fatal(err)
			}
			if len(scenarios) < 3 {
				t.Errorf("%d scenarios", len(scenarios))
			}
			for _, s := range scenarios {
				configured, err := module.With(t.Context(), s.Config)
				if err != nil {
					t.Fatalf("%s: %v", s.Name, err)
				}
				if result := policytest.Run(configured, s); !result.Passed {
					var table strings.Builder
					_ = result.WriteTable(&table) // A strings.Builder takes everything.
					t.Errorf("%s: %s\n%s", s.Name, result.Why, table.String())
				}
			}
			configured, err := module.With(t.Context(), "")
			if err != nil {
				t.Fatal(err)
			}
			if err := configured.Conform(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestShippedConfig: comments and blank lines are fine, and what is not understood is refused, in every language. That of Go
// has tests of its own.
func TestShippedConfig(t *testing.T) {
	e := newEngine(t)
	for name, key := range map[string]string{
		"evict-gdsf": "frequency", "evict-cost-aware": "recent_divisor", "place-pack": "max_queue",
	} {
		module := open(t, e, name)
		good := fmt.Sprintf("# a comment\n\n  %s = -9223372036854775808 \r\n%s=7", key, key)
		if _, err := module.With(t.Context(), good); err != nil {
			t.Errorf("%s: %q is refused: %v", name, good, err)
		}
		for _, bad := range []string{"nonsense=1", key, key + "=", key + "=1x", key + "=9223372036854775808", "=1", key + "2=1"} {
			if _, err := module.With(t.Context(), bad); err == nil {
				t.Errorf("%s accepts the configuration %q", name, bad)
			}
		}
	}
}

func newEngine(t testing.TB) *engine.Engine {
	e, err := engine.New(engine.Config{CacheDir: t.TempDir()}) // So that a module is compiled once for all its configurations.
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func open(t testing.TB, e *engine.Engine, name string) *policytest.Module {
	module, err := policytest.Open(e, name, read(t, filepath.Join(built, name+".wasm")))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(module.Close)
	return module
}

func glob(t testing.TB, pattern string) []string {
	paths, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

func read(t testing.TB, path string) []byte {
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func gzipped(t testing.TB, content []byte) int {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Len()
}
