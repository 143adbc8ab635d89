package arch

import (
	"slices"
	"strings"
	"testing"
)

// rule says what files in some trees must not import.
type rule struct {
	name string
	// why is printed with each breach.
	why     string
	applies func(f file) bool
	// forbids answers whether this import breaks the rule; imports of ours start with "./".
	forbids func(path string) bool
}

var rules = []rule{
	{
		name:    "host does not know controller",
		why:     "they meet only in the sync protocol, so that either can be replaced",
		applies: func(f file) bool { return under(f.dir, "host") },
		forbids: func(path string) bool { return under(path, "./controller") },
	},
	{
		name:    "controller does not know host",
		why:     "they meet only in the sync protocol, so that either can be replaced",
		applies: func(f file) bool { return under(f.dir, "controller") },
		forbids: func(path string) bool { return under(path, "./host") },
	},
	{
		name:    "sdk stands alone",
		why:     "outsiders build against it; only its command line may know the rest",
		applies: func(f file) bool { return under(f.dir, "sdk") && !under(f.dir, "sdk/cmd") },
		forbids: func(path string) bool {
			return underAny(path, "./host", "./controller", "./runtimes", "./wasm-policies", "./test")
		},
	},
	{
		name:    "runtimes know only the sdk",
		why:     "an adapter is useful without this host",
		applies: func(f file) bool { return under(f.dir, "runtimes") && !f.test },
		forbids: func(path string) bool { return underAny(path, "./host", "./controller", "./wasm-policies", "./test") },
	},
	{
		name:    "the product does not import its tests",
		why:     "what only tests need must not reach a binary",
		applies: func(f file) bool { return !f.test && !under(f.dir, "test") },
		forbids: func(path string) bool { return under(path, "./test") || path == "testing" },
	},
	{
		name:    "one importer of wazero",
		why:     "the engine is the only place that decides how guests are contained",
		applies: func(f file) bool { return !under(f.dir, "wasm-policies/engine") },
		forbids: func(path string) bool { return under(path, "github.com/tetratelabs/wazero") },
	},
	{
		name:    "Kubernetes stays out of the data plane",
		why:     "a host must start, serve and be read without a cluster",
		applies: func(f file) bool { return !underAny(f.dir, "controller", "sdk/apis", "sdk/cmd", "test") },
		forbids: func(path string) bool {
			return strings.HasPrefix(path, "k8s.io/") || under(path, "sigs.k8s.io/controller-runtime")
		},
	},
}

// testKits are packages of the product that exist for tests and may import testing.
var testKits = []string{"runtimes/runtimetest"}

func TestImports(t *testing.T) {
	for _, f := range sources(t) {
		for _, r := range rules {
			if !r.applies(f) || slices.Contains(testKits, f.dir) {
				continue
			}
			for _, path := range f.imports() {
				if r.forbids(path) {
					t.Errorf("%s imports %s: %s (%s)", f.path, path, r.name, r.why)
				}
			}
		}
	}
}

// pure packages decide; they are given the time and they perform nothing.
var pure = []string{
	"sdk/modelid", "host/rest", "host/route", "host/forward/splice", "host/lifecycle/machine", "host/modelcache",
	"host/eviction", "host/placement", "host/members", "host/peers/residency", "host/arbiter", "controller/config", "controller/decide", "controller/policyconfig", "controller/resolve", "controller/resources", "sdk/cmd/wasmesh/printer",
	"sdk/policyabi", "wasm-policies/builtin", "wasm-policies/engine/meter", "wasm-policies/hook/conformance",
	"wasm-policies/hook/internal/header",
}

// impure is what a pure package must not import.
var impure = []string{"net", "os", "os/exec", "log", "log/slog", "context", "syscall", "google.golang.org/grpc", "github.com/prometheus/client_golang/prometheus"}

func TestPurePackages(t *testing.T) {
	seen := make(map[string]bool)
	for _, f := range sources(t) {
		listed := slices.Contains(pure, f.dir)
		if !listed && f.syntax.Doc != nil && strings.Contains(f.syntax.Doc.Text(), "(pure)") {
			t.Errorf("%s says that package %s is pure, but the list of pure packages lacks it", f.path, f.dir)
		}
		if f.test || !listed {
			continue
		}
		seen[f.dir] = true
		for _, path := range f.imports() {
			if slices.Contains(impure, path) {
				t.Errorf("%s imports %s, but package %s is pure", f.path, path, f.dir)
			}
		}
		for _, finding := range effects(f) {
			t.Errorf("%s: %s, but package %s is pure", f.path, finding, f.dir)
		}
	}
	for _, dir := range pure {
		if !seen[dir] {
			t.Errorf("no package %s: the list of pure packages is out of date", dir)
		}
	}
}
