package cli

import (
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/author"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
	"github.com/wasmesh/wasmesh/wasm-policies/engine"
	"github.com/wasmesh/wasmesh/wasm-policies/hook/hooktest"
	"github.com/wasmesh/wasmesh/wasm-policies/policytest"
)

// folder is a policy's, built, with a scenario that the module passes. Machine code goes to a cache of the test.
func folder(t *testing.T, module hooktest.Module) string {
	t.Helper()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	dir := filepath.Join(t.TempDir(), "mine")
	put(t, filepath.Join(dir, "mine.wasm"), module.Wasm())
	put(t, filepath.Join(dir, "scenarios", "s.yaml"), []byte("name: it\nhook: place\nrows: [{name: a}, {name: b}]\nwant: {first: a}\n"))
	return dir
}

func put(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestPolicyTest(t *testing.T) {
	good, bad := folder(t, hooktest.Module{}), folder(t, hooktest.Module{Backward: true})
	out, _, err := run(t.Context(), "policy", "test", good)
	if err != nil || !strings.HasSuffix(out, "1 of 1 scenarios passed\n") {
		t.Errorf("error %v\n%s", err, out)
	}
	out, _, err = run(t.Context(), "policy", "test", bad)
	if !errors.Is(err, author.ErrFailed) || !strings.Contains(out, "FAILED  it: a should have come first\n") || !strings.Contains(out, "ROW   WANT   GOT") {
		t.Errorf("error %v\n%s", err, out)
	}
	// The scenarios of one hold for the other, too.
	if _, _, err = run(t.Context(), "policy", "test", filepath.Join(good, "mine.wasm"), "--scenarios", bad); err != nil {
		t.Error(err)
	}
}

// A module that is older than its source is not what the author thinks it is.
func TestStaleModule(t *testing.T) {
	dir := folder(t, hooktest.Module{})
	put(t, filepath.Join(dir, "policy.c"), nil)
	for _, c := range []struct {
		since time.Duration
		stale bool
	}{{time.Second, false}, {time.Minute, true}} {
		changed := time.Now().Add(c.since)
		if err := os.Chtimes(filepath.Join(dir, "policy.c"), changed, changed); err != nil {
			t.Fatal(err)
		}
		_, errs, err := run(t.Context(), "policy", "inspect", dir)
		if err != nil || strings.HasPrefix(errs, "Warning: policy.c is newer than mine.wasm: `wasmesh policy build ") != c.stale {
			t.Errorf("%v later: error %v, standard error %q", c.since, err, errs)
		}
	}
}

func TestModuleIsFound(t *testing.T) {
	dir := folder(t, hooktest.Module{})
	put(t, filepath.Join(dir, "other.wasm"), nil)
	if _, _, err := run(t.Context(), "policy", "inspect", dir); err != nil {
		t.Errorf("the module named like the folder: %v", err)
	}
	for _, c := range []struct {
		files []string
		says  string
	}{
		{nil, "has no module: `wasmesh policy build "},
		{[]string{"a.wasm", "b.wasm"}, "a.wasm, "},
		{[]string{"a.wasm"}, "open policy a: module refused (format)"},
	} {
		dir := t.TempDir()
		for _, file := range c.files {
			put(t, filepath.Join(dir, file), nil)
		}
		if _, _, err := run(t.Context(), "policy", "inspect", dir); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v: error %v does not say %q", c.files, err, c.says)
		}
	}
	huge := filepath.Join(t.TempDir(), "huge.wasm")
	put(t, huge, nil)
	if err := os.Truncate(huge, 1<<40); err != nil {
		t.Fatal(err)
	}
	if _, _, err := run(t.Context(), "policy", "test", huge); err == nil || !strings.Contains(err.Error(), "huge.wasm: it has more than 16777216 bytes") {
		t.Errorf("error %v", err)
	}
}

func TestPolicyApply(t *testing.T) {
	dir, source := folder(t, hooktest.Module{}), t.TempDir()
	m := digits()
	m.policyLooks = becoming(t, adminv1.PolicyPhase_POLICY_PHASE_PROGRAMMED, "")
	m.serve(t)
	m.launch(t, filepath.Join(source, "file.yaml"), source, t.TempDir())
	for _, says := range []string{"written to", "is so already in"} {
		out, errs, err := m.run(t, "policy", "apply", dir, "--hooks", "evict")
		if err != nil || errs != "" || !strings.HasPrefix(out, "ConfigMap mine "+says+" "+filepath.Join(source, "mine.yaml")+"\n") {
			t.Fatalf("error %v, output %q, %q", err, out, errs)
		}
	}
	content, err := os.ReadFile(filepath.Join(source, "mine.yaml"))
	if err != nil || !author.IsManifest(content, "default", "mine") || !strings.Contains(string(content), "\n  hooks: evict\n") {
		t.Errorf("error %v\n%s", err, content)
	}
	printed, _, err := m.run(t, "policy", "apply", dir, "--hooks", "evict", "-o", "-")
	if err != nil || printed != string(content) {
		t.Errorf("-o -: error %v\n%s", err, printed)
	}
	if entries, err := os.ReadDir(source); err != nil || len(entries) != 1 {
		t.Errorf("%v, error %v", entries, err)
	}
}

func TestPolicyApplyRefuses(t *testing.T) {
	dir, source := folder(t, hooktest.Module{}), t.TempDir()
	put(t, filepath.Join(source, "taken.yaml"), []byte("kind: Secret\nmetadata: {name: taken}\n"))
	const foreign = "kind: ConfigMap\nmetadata: {name: foreign, namespace: other, labels: {wasmesh.dev/policy: 'true'}}\n"
	put(t, filepath.Join(source, "foreign.yaml"), []byte(foreign))
	config := filepath.Join(t.TempDir(), "config")
	put(t, config, []byte("a=1\n"))
	m := digits().serve(t)
	m.launch(t, source)
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"--name", "taken"}, "taken.yaml holds something else: give the policy another --name"},
		{[]string{"--name", "foreign"}, "foreign.yaml holds something else: give the policy another --name"},
		{[]string{"-n", "other"}, "apply policy mine: -n other: this mesh reads policies of namespace default only: leave -n out, or write the ConfigMap for another controller to a file with -o"},
		{[]string{"-n", "other", "--name", "foreign"}, "apply policy mine: -n other: "},
		{[]string{"--name", "../../x"}, `"../../x" cannot be the name of a ConfigMap`},
		{[]string{"--hooks", "status"}, "apply policy mine: --hooks status: the module decides [place evict]"},
		{[]string{"--config", config}, "policy mine refused (configure)"},
		{[]string{"--config", config + ".none"}, "no such file"},
	} {
		_, _, err := m.run(t, append([]string{"policy", "apply", dir}, c.args...)...)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v: error %v does not say %q", c.args, err, c.says)
		}
	}
	if entries, err := os.ReadDir(source); err != nil || len(entries) != 2 {
		t.Errorf("%v, error %v", entries, err)
	}
	printed, _, err := m.run(t, "policy", "apply", dir, "-n", "other", "-o", "-")
	if err != nil || !author.IsManifest([]byte(printed), "other", "mine") || !strings.Contains(printed, "\n  namespace: other\n") {
		t.Errorf("-n other -o -: error %v\n%s", err, printed)
	}
}

func TestPolicyApplyWithoutDirectory(t *testing.T) {
	dir := folder(t, hooktest.Module{})
	if _, _, err := run(t.Context(), "policy", "apply", dir, "--data-dir", t.TempDir()); err == nil || !strings.Contains(err.Error(), "or name a file with -o") {
		t.Errorf("without a mesh: error %v", err)
	}
	m := digits().serve(t)
	file := filepath.Join(t.TempDir(), "f.yaml")
	put(t, file, nil)
	m.launch(t, file)
	if _, _, err := m.run(t, "policy", "apply", dir); err == nil || !strings.Contains(err.Error(), "the mesh was started with files only") {
		t.Errorf("with files only: error %v", err)
	}
	out, _, err := m.run(t, "policy", "apply", dir, "-o", file)
	if content, _ := os.ReadFile(file); err != nil || !author.IsManifest(content, "default", "mine") || strings.Contains(out, "policy status") {
		t.Errorf("into a file: error %v, output %q", err, out)
	}
}

// byModule is a decision as the module makes it.
func byModule(t *testing.T, module hooktest.Module, rows int) *syncv1.Decision {
	t.Helper()
	e, err := engine.New(engine.Config{})
	if err != nil {
		t.Fatal(err)
	}
	opened, err := policytest.Open(e, "mine", module.Wasm())
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	policy, err := opened.With(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	d := &syncv1.Decision{
		HostId: "host-0", Id: uint64(rows), Hook: "evict", TimeMs: decisionTime, ModelId: "m",
		Outcome: syncv1.DecisionOutcome_DECISION_OUTCOME_ANSWERED, Request: policytest.Typical(policyabi.HookEvict, rows),
		Generation: &syncv1.Generation{Policy: "mine"},
	}
	if d.Answer, d.Fuel, err = policy.DecideBytes(d.GetRequest()); err != nil {
		t.Fatal(err)
	}
	if d.Generation.ModuleDigest, err = hex.DecodeString(opened.Info().Digest); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestRecordReplayDiff(t *testing.T) {
	mine, other := folder(t, hooktest.Module{}), filepath.Join(folder(t, hooktest.Module{Backward: true}), "mine.wasm")
	m := digits()
	m.decisions = []*syncv1.Decision{byModule(t, hooktest.Module{}, 3), byModule(t, hooktest.Module{}, 5), placed(t, "m"), evicted(t, "m", false), evicted(t, "m", true)}
	m.warnings = []string{"host fake-0: no answer"}
	m.serve(t)
	file := filepath.Join(t.TempDir(), "r")
	out, errs, err := m.run(t, "policy", "record", "-o", file, "--hook", "evict", "--model", "m", "--limit", "9")
	if err != nil || out != "5 decisions written to "+file+"\n" || errs != "Warning: host fake-0: no answer\n" {
		t.Fatalf("record: %q, %q, error %v", out, errs, err)
	}
	if m.asked.Load().GetHook() != "evict" || m.asked.Load().GetModel() != "m" || m.asked.Load().GetLimit() != 9 {
		t.Errorf("asked for %v", m.asked.Load())
	}

	out, _, err = run(t.Context(), "policy", "replay", mine, file)
	if err != nil || !strings.HasSuffix(out, "4 decisions replayed, 2 come out otherwise; 2 of 2 made by this module and configuration are bit-exact\n") ||
		!strings.Contains(out, "built-in (mine out of fuel)") {
		t.Errorf("replay by the same module: error %v\n%s", err, out)
	}
	out, _, err = run(t.Context(), "policy", "replay", other, file)
	if err != nil || !strings.HasSuffix(out, "4 decisions replayed, 2 come out otherwise\n") || !strings.Contains(out, "model-0      model-2") {
		t.Errorf("replay by another: error %v\n%s", err, out)
	}
	out, _, err = run(t.Context(), "policy", "diff", filepath.Join(mine, "mine.wasm"), other, file)
	if err != nil || !strings.Contains(out, "FIRST BY OLD   FIRST BY NEW") || !strings.HasSuffix(out, "4 decisions replayed, 4 come out otherwise\n") {
		t.Errorf("diff: error %v\n%s", err, out)
	}
	out, _, err = run(t.Context(), "policy", "diff", mine, mine, file)
	if err != nil || out != "4 decisions replayed, 0 come out otherwise\n" {
		t.Errorf("diff with itself: error %v\n%s", err, out)
	}
}

// A recording that the same module does not repeat is an error: it keeps state, or the recording was changed.
func TestReplayIsNotExact(t *testing.T) {
	mine := folder(t, hooktest.Module{})
	m := digits()
	m.decisions = []*syncv1.Decision{byModule(t, hooktest.Module{}, 3)}
	m.decisions[0].Fuel++
	file := filepath.Join(t.TempDir(), "r")
	if _, _, err := m.serve(t).run(t, "policy", "record", "-o", file); err != nil {
		t.Fatal(err)
	}
	if _, _, err := run(t.Context(), "policy", "replay", mine, file); !errors.Is(err, errNotExact) {
		t.Errorf("error %v", err)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	put(t, file, content[:len(content)-9])
	if _, _, err := run(t.Context(), "policy", "replay", mine, file); err == nil || !strings.HasPrefix(err.Error(), file+": read recording: ") {
		t.Errorf("cut off: error %v", err)
	}
}

func TestRecordNothing(t *testing.T) {
	m := digits().serve(t)
	file := filepath.Join(t.TempDir(), "r")
	if _, _, err := m.run(t, "policy", "record", "-o", file); err == nil || !strings.Contains(err.Error(), "no such decision has been recorded") {
		t.Errorf("error %v", err)
	}
	if _, _, err := m.run(t, "policy", "record", "-o", file, "--hook", "evoke"); err == nil || !strings.Contains(err.Error(), `"evoke" is none of`) {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("an empty recording was written")
	}
}

// Without --config, what a module decided is asked with the configuration that it had then; with it, with that one.
func TestReplayTakesTheRecordedConfiguration(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	const module, config = "../../../../wasm-policies/evict-gdsf/evict-gdsf.wasm", "frequency=1\n"
	content, err := os.ReadFile(module)
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.New(engine.Config{})
	if err != nil {
		t.Fatal(err)
	}
	opened, err := policytest.Open(e, "evict-gdsf", content)
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	policy, err := opened.With(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	d := byModule(t, hooktest.Module{}, 5)
	d.Generation.Config = []byte(config)
	if d.Generation.ModuleDigest, err = hex.DecodeString(opened.Info().Digest); err != nil {
		t.Fatal(err)
	}
	if d.Answer, d.Fuel, err = policy.DecideBytes(d.GetRequest()); err != nil {
		t.Fatal(err)
	}
	m := digits()
	m.decisions = []*syncv1.Decision{d}
	file, given := filepath.Join(t.TempDir(), "r"), filepath.Join(t.TempDir(), "config")
	put(t, given, []byte("frequency=0\n"))
	if _, _, err := m.serve(t).run(t, "policy", "record", "-o", file); err != nil {
		t.Fatal(err)
	}
	if out, _, err := run(t.Context(), "policy", "replay", module, file); err != nil || !strings.Contains(out, "1 of 1 made by this module and configuration are bit-exact") {
		t.Errorf("error %v\n%s", err, out)
	}
	if out, _, err := run(t.Context(), "policy", "replay", module, file, "--config", given); err != nil || strings.Contains(out, "bit-exact") {
		t.Errorf("with another configuration: error %v\n%s", err, out)
	}
}
