package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/wasmesh/wasmesh/wasm-policies/hook/hooktest"
)

// requests is a recording of ten models of 1 MB that are asked for in turn, each one second after the one before.
func requests(t *testing.T) string {
	t.Helper()
	var rows strings.Builder
	rows.WriteString("time_ms,model,size_bytes,load_ms\n")
	for i := range 200 {
		fmt.Fprintf(&rows, "%d,m%d,1000000,100\n", 1000*i, i%10)
	}
	path := filepath.Join(t.TempDir(), "requests.csv")
	put(t, path, []byte(rows.String()))
	return path
}

// Where everything fits nothing waits; with a third of the memory much does, and the policies that decide are named.
func TestSim(t *testing.T) {
	trace := requests(t)
	roomy, _, err := run(t.Context(), "sim", "--trace", trace, "--hosts", "2", "--capacity", "10Mi")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"10 models", "200 requests in 3m19s", "2 hosts of 10.0 MiB, place policy balanced (built in), evict policy cost-aware (built in)",
		`served +200 of 200 requests`, `hit ratio +100.000 %`, `evictions +0`,
	} {
		if !regexp.MustCompile(strings.NewReplacer("(", `\(`, ")", `\)`).Replace(line)).MatchString(roomy) {
			t.Errorf("no %q in\n%s", line, roomy)
		}
	}
	mine := filepath.Join(folder(t, hooktest.Module{}), "mine.wasm")
	tight, _, err := run(t.Context(), "sim", "--trace", trace, "--hosts", "2", "--capacity", "30%", "--policy", mine)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"place policy mine, evict policy mine", "cold requests", "200 of 200"} {
		if !strings.Contains(tight, part) {
			t.Errorf("no %q in\n%s", part, tight)
		}
	}
	one, _, err := run(t.Context(), "sim", "--trace", trace, "--hosts", "1", "--capacity", "10Mi")
	if err != nil || !strings.Contains(one, "\n1 host of 10.0 MiB") {
		t.Errorf("one host: error %v\n%s", err, one)
	}
	again, _, err := run(t.Context(), "sim", "--trace", trace, "--hosts", "2", "--capacity", "30%", "--policy", mine)
	if err != nil || again != tight {
		t.Errorf("%v: it said\n%s\nand then\n%s", err, tight, again)
	}
}

func TestSimRefuses(t *testing.T) {
	trace := requests(t)
	mine := filepath.Join(folder(t, hooktest.Module{}), "mine.wasm")
	traps := filepath.Join(folder(t, hooktest.Module{Fault: hooktest.Traps}), "mine.wasm")
	status, err := os.ReadFile("../../../../wasm-policies/status-strict/status-strict.wasm")
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "status-strict.wasm")
	put(t, other, status)
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "say what to replay"},
		{[]string{"--trace", trace}, "say what to replay"},
		{[]string{"--trace", trace, "--capacity", "much"}, "--capacity much"},
		{[]string{"--trace", trace, "--capacity", "0%"}, "--capacity 0%"},
		{[]string{"--trace", trace, "--capacity", "1Gi", "--hosts", "0"}, "--hosts 0"},
		{[]string{"--trace", filepath.Join(t.TempDir(), "none.csv"), "--capacity", "1Gi"}, "none.csv"},
		{[]string{"--trace", trace, "--capacity", "1Gi", "--policy", mine, "--policy", mine}, "decides the hook place already"},
		{[]string{"--trace", trace, "--capacity", "1Gi", "--policy", other}, "decides neither"},
		{[]string{"--trace", trace, "--capacity", "1Gi", "--policy", traps}, "policy"},
		{[]string{"--trace", trace, "--capacity", "1Gi", "--policy", filepath.Join(t.TempDir(), "none.wasm")}, "none.wasm"},
	} {
		if _, _, err := run(t.Context(), append([]string{"sim"}, c.args...)...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: error %v, want one with %q", c.args, err, c.want)
		}
	}
}
