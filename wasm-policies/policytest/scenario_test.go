package policytest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
)

// byRow answers every row with its index as the keep-value.
type byRow struct{}

func (byRow) Decide(_ policyabi.Hook, request Request) ([]byte, uint64, error) {
	encoded := make([]byte, request.Size())
	request.Encode(encoded)
	v, err := policyabi.ViewEvict(encoded)
	if err != nil {
		return nil, 0, err
	}
	answers := v.Answers()
	for i := range v.Len() {
		answers.Add(i, int32(i), policyabi.ReasonRecency)
	}
	h := v.Header()
	start := int(h.ResponseOff())
	return encoded[start : start+answers.Len()], 7, nil
}

const threeCopies = `
name: rows go in their order
hook: evict
now: 2026-01-01T12:00:00Z
context: {need_memory: 10, purpose: Miss, flags: [Pinned]}
rows:
  - {name: a, last_used_ms: -5m, flags: [InFlight, Loading]}
  - {name: b, last_used_ms: 2026-01-01T11:00:00Z, priority: -3}
  - {name: c, rate: 12}
want: {order: [a, b, c]}
`

func TestScenarioFillsTheRequest(t *testing.T) {
	scenarios, err := Parse("x.yaml", []byte(threeCopies))
	if err != nil {
		t.Fatal(err)
	}
	r := scenarios[0].Request.(*policyabi.EvictRequest)
	const noon = 1767268800000
	if r.Header.NowMs != noon || r.Context.NeedMemory != 10 || r.Context.Purpose != policyabi.PurposeMiss || r.Context.Flags != policyabi.ModelFlagPinned {
		t.Errorf("header %+v, context %+v", r.Header, r.Context)
	}
	if a := r.Rows[0]; a.LastUsedMs != noon-300_000 || a.Flags != policyabi.CopyFlagInFlight|policyabi.CopyFlagLoading || a.Name != "a" {
		t.Errorf("first row %+v", a)
	}
	if b := r.Rows[1]; b.LastUsedMs != noon-3_600_000 || b.Priority != -3 {
		t.Errorf("second row %+v", b)
	}
}

func TestUnits(t *testing.T) {
	scenarios, err := Parse("x.yaml", []byte(strings.Replace(threeCopies, "rate: 12",
		"last_used_ms: -5d, loaded_at_ms: -1.5d, load_ms: 2m, size_memory: 10Gi, size_device: 1.5k", 1)))
	if err != nil {
		t.Fatal(err)
	}
	r := scenarios[0].Request.(*policyabi.EvictRequest)
	const day = 24 * 3600 * 1000
	want := policyabi.EvictRow{
		Name: "c", LastUsedMs: r.Header.NowMs - 5*day, LoadedAtMs: r.Header.NowMs - day*3/2, LoadMs: 120_000, SizeMemory: 10 << 30, SizeDevice: 1500,
	}
	if r.Rows[2] != want {
		t.Errorf("row %+v, want %+v", r.Rows[2], want)
	}
}

func TestRunComparesOrders(t *testing.T) {
	for _, c := range []struct {
		want   string
		passes bool
	}{
		{"{order: [a, b, c]}", true},
		{"{order: [b, a, c]}", false},
		{"{first: a}", true},
		{"{first: c}", false},
		{"{abstain: true}", false},
	} {
		scenarios, err := Parse("x.yaml", []byte(strings.Replace(threeCopies, "{order: [a, b, c]}", c.want, 1)))
		if err != nil {
			t.Fatal(err)
		}
		result := Run(byRow{}, scenarios[0])
		if result.Passed != c.passes {
			t.Errorf("want %s: passed is %v (%s)", c.want, result.Passed, result.Why)
		}
		if !c.passes {
			var table strings.Builder
			if err := result.WriteTable(&table); err != nil || !strings.HasPrefix(table.String(), "FAILED  rows go in their order: ") {
				t.Errorf("table %q, error %v", &table, err)
			}
		}
	}
}

func TestBadScenariosNameTheField(t *testing.T) {
	for _, c := range []struct{ from, to, says string }{
		{"hook: evict", "hook: evoke", `"evoke" is none of place, evict, status`},
		{"rate: 12", "rte: 12", `rows[2]: no field is named "rte"`},
		{"rate: 12", "rate: -12", "does not fit"},
		{"rate: 12", "rate: 1.5", "not an integer"},
		{"purpose: Miss", "purpose: Mess", `"Mess" is not a value of Purpose; there are Miss, Scale, Drain, MinCopies, Rebalance, Background, Worth`},
		{"[Pinned]", "[Pined]", `"Pined" is not a value of ModelFlag; there are Pinned, Declared`},
		{"[InFlight, Loading]", "Pinnd", `"Pinnd" is not a value of CopyFlag; there are Pinned, Loading, InFlight`},
		{"last_used_ms: -5m", "last_used_ms: yesterday", `"yesterday" is neither a time such as 2026-01-01T00:00:00Z nor a duration from now such as -5m, -36h or -5d`},
		{"last_used_ms: -5m", "last_used_ms: -300000d", `"-300000d" is neither a time`},
		{"rate: 12", "load_ms: soon", `rows[2].load_ms: "soon" is no duration such as 200ms`},
		{"rate: 12", "load_ms: -1s", "-1000 does not fit into uint32"},
		{"rate: 12", "size_memory: 10GB", `"10GB" is no size: write bytes, or a number with Ki, Mi, Gi, Ti, k, M, G or T, such as 500Mi`},
		{"rate: 12", "size_memory: 0.3Ki", "not an integer"},
		{"rate: 12", "rate: 12k", `"12k" is not a number`},
		{"order: [a, b, c]", "order: [a, x]", `no row is named "x"`},
		{"now: 2026-01-01T12:00:00Z", "nou: 1", `scenario 1: no key is named "nou"; there are name, hook, now, config, seed, context, rows, want`},
		{"{order: [a, b, c]}", "{ordre: [a, b, c]}", `want: no key is named "ordre"; there are order, first, status, abstain`},
		{"{order: [a, b, c]}", "{order: a}", "want.order is a list of rows by name"},
		{"now: 2026-01-01T12:00:00Z", "config: {a: 1}", "scenario 1: config is text: lines of key=integer"},
		{"now: 2026-01-01T12:00:00Z", "seed: -1", "seed is an integer that is not negative"},
		{"  - {name: c, rate: 12}", "  - c", "rows is a list of fields with values"},
		{threeCopies, "- a", "a scenario is written as keys with values; there are name, hook"},
		{threeCopies, "# one\n---\n" + threeCopies + "---\na: [", "scenario 2: "},
		{"name: rows go in their order", "seed: 1", "scenario 1: it has no name"},
		{"name: rows go in their order", "name: ' '", "scenario 1: it has no name"},
		{"context: {need_memory: 10,", "context: {zz: 1, b: 1, a: 1,", `context: no field is named "a"`},
		{"{order: [a, b, c]}", "{}", "say either abstain: true, or what it should answer"},
		{"{order: [a, b, c]}", "{abstain: true, first: a}", "say either abstain: true, or what it should answer"},
		{"{order: [a, b, c]}", "{order: []}", "say abstain: true"},
		{"{order: [a, b, c]}", "{order: [a, b]}", "2 of 3 are named"},
		{"{order: [a, b, c]}", "{order: [a, b, b]}", `"b" is there twice`},
		{"{order: [a, b, c]}", "{status: {ready: 1}}", "only the hook status"},
		{"name: c, rate", "name: no, rate", "rows[2].name: YAML takes it for false: write it in quotes"},
		{"name: c, rate", "name: 7, rate", "YAML takes it for the number 7"},
		{"name: c, rate", "name: a, rate", `two are named "a"`},
	} {
		_, err := Parse("x.yaml", []byte(strings.Replace(threeCopies, c.from, c.to, 1)))
		if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "x.yaml") {
			t.Errorf("%s: error %v does not say %q", c.to, err, c.says)
		}
	}
}

// The scenarios of shipped policies can be read.
func TestShippedScenarios(t *testing.T) {
	dirs, err := filepath.Glob("../*/scenarios")
	if err != nil || len(dirs) == 0 {
		t.Fatalf("%d directories, error %v", len(dirs), err)
	}
	for _, dir := range dirs {
		scenarios, err := ReadDir(dir)
		if err != nil {
			t.Error(err)
		}
		if len(scenarios) < 3 {
			t.Errorf("%s has %d scenarios, want at least 3", dir, len(scenarios))
		}
	}
}

// Every field of the ABI can be written, by the name that it has there, and in the units that it is in.
func TestFieldsHaveTheirNamesInTheABI(t *testing.T) {
	schema, err := os.ReadFile("../../sdk/policyabi/offsets.txt")
	if err != nil {
		t.Fatal(err)
	}
	structs := map[string]any{
		"PlaceContext": &policyabi.PlaceContext{}, "PlaceRow": &policyabi.PlaceRow{}, "EvictContext": &policyabi.EvictContext{},
		"EvictRow": &policyabi.EvictRow{}, "StatusContext": &policyabi.StatusContext{}, "StatusRow": &policyabi.StatusRow{},
		"StatusAnswer": &policyabi.StatusAnswer{},
	}
	set := 0
	for line := range strings.Lines(string(schema)) {
		words := strings.Fields(line)
		if len(words) < 5 || words[0] != "field" {
			continue
		}
		parent, field, _ := strings.Cut(words[1], ".")
		into, known := structs[parent]
		if !known || field == "" || strings.HasPrefix(field, "name_") || strings.HasPrefix(field, "reserved") {
			continue
		}
		values := []any{1.0}
		switch unit := strings.Join(words[5:], " "); unit {
		case "bytes":
			values = append(values, "10Gi")
		case "ms", "ms since 1970":
			values = append(values, "1d")
		}
		for _, value := range values {
			if err := (filler{}).fields(parent, map[string]any{field: value}, into); err != nil {
				t.Error(err)
			}
		}
		set++
	}
	if set < 80 {
		t.Errorf("offsets.txt has %d fields", set)
	}
}

const oneStatus = `
# What is between documents may be comments only.
---
name: a loaded model is ready
hook: status
context: {transition: UpToDate}
rows: [{name: m, loaded: 1}]
want: {status: {active_state: Loaded, ready: 1}}
---
# The end.
`

// answering gives the same status to whatever is asked.
type answering struct{ policyabi.StatusAnswer }

func (a answering) Decide(_ policyabi.Hook, request Request) ([]byte, uint64, error) {
	encoded := make([]byte, request.Size())
	request.Encode(encoded)
	v, err := policyabi.ViewStatus(encoded)
	if err != nil {
		return nil, 0, err
	}
	answers := v.Answers()
	answers.Set(a.StatusAnswer)
	return answers.Bytes(), 7, nil
}

func TestStatusTable(t *testing.T) {
	scenarios, err := Parse("x.yaml", []byte(oneStatus))
	if err != nil || len(scenarios) != 1 {
		t.Fatalf("%d scenarios, error %v", len(scenarios), err)
	}
	loaded := policyabi.StatusAnswer{Transition: policyabi.TransitionUpToDate, ActiveState: policyabi.ModelStateLoaded, Ready: 1}
	if r := Run(answering{loaded}, scenarios[0]); !r.Passed {
		t.Errorf("failed: %s", r.Why)
	}
	loaded.Ready = 0
	var table strings.Builder
	if err := Run(answering{loaded}, scenarios[0]).WriteTable(&table); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(table.String()) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	want := []string{
		"FAILED a loaded model is ready: another status",
		"FIELD WANT GOT", "transition UpToDate", "active_state Loaded Loaded", "target_state", "active_failure", "target_failure", "ready 1 0",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("table:\n%s", &table)
	}
}
