package chart

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// goldens are sets of values that people install with; testdata/golden has what comes out, the CustomResourceDefinitions
// aside (see TestCustomResourceDefinitions).
var goldens = []struct {
	name string
	args []string
}{
	{"default", nil},
	{"quickstart", []string{"--set", "quickstart.enabled=true", "--set", "userNamespaces={team-a,team-b}"}},
	{"namespace-scope", []string{"--set", "namespaceScope=true", "--set", "quickstart.enabled=true"}},
	{"everything", []string{"--values", "testdata/everything.yaml", "--api-versions", "monitoring.coreos.com/v1/ServiceMonitor"}},
}

func TestGolden(t *testing.T) {
	for _, golden := range goldens {
		t.Run(golden.name, func(t *testing.T) {
			var kept []string
			for _, document := range documents(render(t, golden.args...)) {
				if document = strings.TrimSpace(document); document != "" && !strings.Contains(document, "\nkind: CustomResourceDefinition\n") {
					kept = append(kept, document+"\n")
				}
			}
			compare(t, filepath.Join("testdata", "golden", golden.name+".yaml"), strings.Join(kept, "---\n"))
		})
	}
}

// compare with a file, or write it.
func compare(t *testing.T, file, got string) {
	t.Helper()
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got == string(want) {
		return
	}
	gotLines, wantLines := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range max(len(gotLines), len(wantLines)) {
		if g, w := line(gotLines, i), line(wantLines, i); g != w {
			t.Fatalf("%s, line %d (go test ./test/chart -rewrite accepts it):\ngot  %q\nwant %q", file, i+1, g, w)
		}
	}
}

func line(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "(nothing)"
}
