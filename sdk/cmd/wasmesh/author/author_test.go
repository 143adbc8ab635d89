package author

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/wasmesh/wasmesh/wasm-policies/engine"
	"github.com/wasmesh/wasmesh/wasm-policies/hook/hooktest"
	"github.com/wasmesh/wasmesh/wasm-policies/policytest"
)

func newEngine(t *testing.T) *engine.Engine {
	e, err := engine.New(engine.Config{CacheDir: t.TempDir()})
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

func open(t *testing.T, name string, content []byte) *policytest.Module {
	t.Helper()
	module, err := policytest.Open(newEngine(t), name, content)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(module.Close)
	return module
}

// What `policy new` makes builds and passes, as it is, in every language for every hook, and has few lines to read.
func TestNewPoliciesPass(t *testing.T) {
	for _, l := range languages {
		for _, hook := range Hooks() {
			t.Run(l.name+"-"+hook, func(t *testing.T) {
				t.Parallel()
				template := Template{Dir: filepath.Join(t.TempDir(), "a-policy"), Language: l.name, Hook: hook}
				if err := New(template); err != nil {
					t.Fatal(err)
				}
				if n := codeLines(t, filepath.Join(template.Dir, l.source)); n > 15 {
					t.Errorf("%s has %d lines of code", l.source, n)
				}
				var said strings.Builder
				path, err := Build(t.Context(), &said, template.Dir, "")
				if err != nil {
					t.Fatalf("%v\n%s", err, &said)
				}
				content, err := os.ReadFile(path)
				if err != nil || filepath.Base(path) != "a-policy.wasm" {
					t.Fatalf("module %s: %v", path, err)
				}
				module := open(t, template.Name(), content)
				if hooks := module.Info().Hooks; len(hooks) != 1 || hooks[0].String() != hook {
					t.Errorf("it decides %v", hooks)
				}
				var out strings.Builder
				if err := Test(t.Context(), &out, module, template.Dir); err != nil {
					t.Errorf("%v\n%s", err, &out)
				}
				if !strings.HasPrefix(out.String(), "ok      conformance\n") || strings.Count(out.String(), "\nok ") < 2 {
					t.Errorf("output:\n%s", &out)
				}
			})
		}
	}
}

var comment = regexp.MustCompile(`^\s*(//.*|/\*.*\*/)?\s*$`)

// codeLines counts lines that are neither blank nor comments alone.
func codeLines(t *testing.T, path string) int {
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(string(content)) {
		if !comment.MatchString(strings.TrimSuffix(line, "\n")) {
			n++
		}
	}
	return n
}

func TestNewRefuses(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		template Template
		says     string
	}{
		{Template{Dir: filepath.Join(dir, "x"), Language: "java", Hook: "evict"}, `--lang "java" is none of go, rust, as, c`},
		{Template{Dir: filepath.Join(dir, "x"), Hook: "evict"}, `--lang "" is none of`},
		{Template{Dir: filepath.Join(dir, "x"), Language: "c", Hook: "route"}, `--hook "route" is none of place, evict, status`},
		{Template{Dir: filepath.Join(dir, "x"), Language: "c"}, `--hook "" is none of`},
		{Template{Dir: filepath.Join(dir, "A_b"), Language: "c", Hook: "evict"}, `"A_b" cannot be the name of a ConfigMap`},
		{Template{Dir: dir, Language: "c", Hook: "evict"}, "exists already"},
	} {
		if filepath.Base(c.template.Dir) == filepath.Base(dir) {
			c.template.Dir = filepath.Join(dir, "present")
			if err := os.Mkdir(c.template.Dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := New(c.template); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: error %v does not say %q", c.template, err, c.says)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "x")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what was refused left a folder: %v", err)
	}
}

// The compiler's own words reach the author, and a module that was there stays.
func TestBuildFails(t *testing.T) {
	template := Template{Dir: filepath.Join(t.TempDir(), "broken"), Language: "c", Hook: "evict"}
	if err := New(template); err != nil {
		t.Fatal(err)
	}
	for file, content := range map[string]string{"policy.c": "int x = nonsense;\n", "broken.wasm": "the last one"} {
		if err := os.WriteFile(filepath.Join(template.Dir, file), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var said strings.Builder
	_, err := Build(t.Context(), &said, template.Dir, "")
	if err == nil || !strings.Contains(err.Error(), template.Dir) || !strings.Contains(said.String(), "nonsense") {
		t.Errorf("error %v, output:\n%s", err, &said)
	}
	if content, err := os.ReadFile(filepath.Join(template.Dir, "broken.wasm")); err != nil || string(content) != "the last one" {
		t.Errorf("module %q, error %v", content, err)
	}
	if _, err := Build(t.Context(), &said, filepath.Join(template.Dir, "none"), ""); err == nil || !strings.Contains(err.Error(), "is no directory") {
		t.Errorf("error %v", err)
	}
}

// scenarios writes them where Test looks.
func scenarios(t *testing.T, content string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, scenariosDir), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, scenariosDir, "s.yaml"), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// The module ranks rows as they come. Everything that fails is shown, with what was wanted beside what came.
func TestFailedScenarios(t *testing.T) {
	dir := scenarios(t, `
name: the second goes first
hook: evict
rows: [{name: a}, {name: b}]
want: {order: [b, a]}
---
name: nobody says how a status reads
hook: status
context: {transition: UpToDate}
rows: [{name: m}]
want: {status: {ready: 1}}
---
name: the first is best
hook: place
rows: [{name: a}, {name: b}]
want: {order: [a, b]}
---
name: it would have to be configured
hook: place
config: speed=7
rows: [{name: a}, {name: b}]
want: {first: b}
`)
	var out strings.Builder
	err := Test(t.Context(), &out, open(t, "as-they-come", hooktest.Module{}.Wasm()), dir)
	if !errors.Is(err, ErrFailed) || err.Error() != "policy test failed: 3 of 4 scenarios" {
		t.Errorf("error %v", err)
	}
	const want = `ok      conformance with configuration 1 of 2
FAILED  the second goes first: another order
        ROW   WANT   GOT   KEEP   REASON
        a     2      1     0      Recency
        b     1      2     1      Recency
FAILED  nobody says how a status reads: the module does not export mesh_status
        FIELD   WANT   GOT
        ready   1
ok      the first is best (FUEL fuel)
FAILED  it would have to be configured: policy as-they-come refused (configure): there is a configuration, but the module exports no mesh_configure: remove the configuration
        ROW   WANT   GOT   SCORE   REASON
        a
        b     1
1 of 4 scenarios passed
`
	got := regexp.MustCompile(`\d+ fuel`).ReplaceAllString(out.String(), "FUEL fuel")
	got = regexp.MustCompile(`(?m) +$`).ReplaceAllString(got, "")
	if got != want {
		t.Errorf("output:\n%s", got)
	}
}

// A module that traps, loops or lies is told by rule and request, and fails; nothing hangs.
func TestBrokenRules(t *testing.T) {
	for _, c := range []struct {
		fault hooktest.Fault
		says  []string
	}{
		{hooktest.Traps, []string{"answers", "unreachable"}},
		{hooktest.Loops, []string{"answers", "fuel", "is used up"}},
		{hooktest.Lies, []string{"valid answer", "place", "two rows"}},
	} {
		var out strings.Builder
		module := open(t, "bad", hooktest.Module{Fault: c.fault, Rows: 2}.Wasm())
		err := Test(t.Context(), &out, module, t.TempDir())
		if !errors.Is(err, ErrFailed) || err.Error() != "policy test failed: it breaks rules of the mesh" {
			t.Errorf("error %v", err)
		}
		for _, words := range append(c.says, "FAILED  conformance of bad", "HOOK    REQUEST") {
			if !strings.Contains(out.String(), words) {
				t.Errorf("output does not say %q:\n%s", words, &out)
			}
		}
	}
}

// A module that accepts none of the configurations cannot be tested.
func TestRefusedModule(t *testing.T) {
	dir := scenarios(t, "name: a is first\nhook: place\nconfig: a=1\nrows: [{name: a}]\nwant: {first: a}\n")
	err := Test(t.Context(), new(strings.Builder), open(t, "mine", hooktest.Module{}.Wasm()), dir)
	var refusal *engine.Refusal
	if !errors.As(err, &refusal) || refusal.Policy != "mine" || refusal.Rule != engine.RuleConfigure ||
		!strings.HasPrefix(err.Error(), filepath.Join(dir, scenariosDir, "s.yaml")+`, scenario "a is first": policy mine refused`) {
		t.Errorf("error %v", err)
	}
}

func TestInspectAndBench(t *testing.T) {
	module := open(t, "mine", hooktest.Module{}.Wasm())
	var out strings.Builder
	if err := Inspect(&out, module.Info(), module.Wasm()); err != nil {
		t.Fatal(err)
	}
	for _, words := range []string{"Hooks:   place, evict\n", "SHA-256: " + module.Info().Digest + "\n", "Imports: none\n", " gzipped (a ConfigMap holds 1048576)"} {
		if !strings.Contains(out.String(), words) {
			t.Errorf("inspect does not say %q:\n%s", words, &out)
		}
	}
	out.Reset()
	if err := Bench(t.Context(), &out, module, ""); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(out.String(), "\n"); len(lines) != 10 || !strings.HasPrefix(lines[8], "evict       1000") {
		t.Errorf("bench:\n%s", &out)
	}
	broken := open(t, "bad", hooktest.Module{Fault: hooktest.Traps, Rows: 100}.Wasm())
	if err := Bench(t.Context(), &out, broken, ""); err == nil || !strings.Contains(err.Error(), "place over 100 rows") {
		t.Errorf("error %v", err)
	}
}
