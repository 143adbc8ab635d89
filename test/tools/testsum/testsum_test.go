package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// Each case is a package that the real go test runs, so that a change of its event format is noticed.
func TestCountsWhatGoTestReports(t *testing.T) {
	const header = "package p\nimport (\"os\"; \"testing\")\nvar _, _ = os.Exit, testing.Short\n"
	for _, test := range []struct {
		name, source string
		// summary ends the output; says and hides are parts of the output that must be there, and must not.
		summary     string
		says, hides []string
		fails       bool
	}{
		{
			name: "all pass, subtests count",
			source: `func TestA(t *testing.T) { t.Log("quiet-word"); t.Run("x", func(*testing.T) {}); t.Run("y", func(*testing.T) {}) }
func ExampleB() {
	println()
	// Output:
}`,
			summary: "4 passed, 0 failed",
			says:    []string{"ok    p  4 cases"},
			hides:   []string{"quiet-word"},
		},
		{
			name: "one subtest fails",
			source: `func TestA(t *testing.T) { t.Run("good", func(t *testing.T) { t.Log("quiet-word") }); t.Run("bad", func(t *testing.T) { t.Error("loud-word") }) }
func TestB(t *testing.T) { t.Skip() }`,
			summary: "1 passed, 2 failed, 1 skipped",
			says:    []string{"loud-word", "FAIL  p"},
			hides:   []string{"quiet-word"},
			fails:   true,
		},
		{
			name:    "panic",
			source:  `func TestA(t *testing.T) {}; func TestB(t *testing.T) { panic("loud-word") }`,
			summary: "1 passed, 1 failed",
			says:    []string{"loud-word"},
			fails:   true,
		},
		{
			name:    "exit in the middle",
			source:  `func TestA(t *testing.T) { t.Run("x", func(t *testing.T) { t.Log("loud-word"); os.Exit(3) }) }`,
			summary: "0 passed, 2 failed",
			says:    []string{"CUT OFF: TestA/x"},
			fails:   true,
		},
		{
			name:    "TestMain fails after all passed",
			source:  `func TestA(t *testing.T) {}; func TestMain(m *testing.M) { m.Run(); println("loud-word"); os.Exit(2) }`,
			summary: "1 passed, 1 failed",
			says:    []string{"loud-word"},
			fails:   true,
		},
		{
			name:    "does not build",
			source:  `func TestA(t *testing.T) { undefinedName() }`,
			summary: "0 passed, 1 failed",
			says:    []string{"undefined: undefinedName", "FAIL  p  does not build"},
			fails:   true,
		},
		{
			name:    "no test",
			source:  ``,
			summary: "0 passed, 0 failed",
			fails:   true,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			output, err := testsum(t, header+test.source, "./...")
			check(t, output, test.summary, test.says, test.hides)
			if got := err != nil; got != test.fails {
				t.Errorf("exit: %v, want failure = %v\n%s", err, test.fails, output)
			}
		})
	}
}

func TestRunsAddUp(t *testing.T) {
	const source = `package p
import ("os"; "testing")
func TestA(t *testing.T) { if os.Getenv("WORD") != "" { t.Error("loud-word") } }`
	output, err := testsum(t, source, "./...", "--", "WORD=1", "-count=2", "./...")
	check(t, output, "1 passed, 2 failed", []string{"loud-word"}, nil)
	if err == nil {
		t.Error("exit 0, want a failure")
	}
}

func TestAnArgumentThatGoRefusesFails(t *testing.T) {
	output, err := testsum(t, "package p\nimport \"testing\"\nfunc TestA(*testing.T) {}\n", "./...", "--", "-mod=no-such-mode")
	check(t, output, "1 passed, 0 failed", []string{"no-such-mode"}, nil)
	if err == nil {
		t.Error("exit 0, want a failure")
	}
}

func check(t *testing.T, output, summary string, says, hides []string) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(output), "\n")
	if last := lines[len(lines)-1]; last != summary {
		t.Errorf("last line %q, want %q\n%s", last, summary, output)
	}
	for _, part := range says {
		if !strings.Contains(output, part) {
			t.Errorf("output lacks %q:\n%s", part, output)
		}
	}
	for _, part := range hides {
		if strings.Contains(output, part) {
			t.Errorf("output has %q:\n%s", part, output)
		}
	}
}

// testsum runs this program (the test binary, see TestMain) in a module of one test file.
func testsum(t *testing.T, source string, args ...string) (output string, err error) {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{"go.mod": "module p\n", "p.go": "package p\n", "p_test.go": source} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(os.Args[0], args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), asProgram+"=1", "GOFLAGS=-vet=off")
	combined, err := cmd.CombinedOutput()
	return string(combined), err
}

const asProgram = "TESTSUM_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Unsetenv(asProgram)
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestSplitsRuns(t *testing.T) {
	got := runs([]string{"a", "-b", "--", "C=1", "./..."})
	want := [][]string{{"a", "-b"}, {"C=1", "./..."}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("runs = %q, want %q", got, want)
	}
}
