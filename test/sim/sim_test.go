package sim

import (
	"flag"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/wasmesh/wasmesh/host/route"
	"github.com/wasmesh/wasmesh/host/simulate"
	"github.com/wasmesh/wasmesh/host/simulate/scenario"
)

var rewrite = flag.Bool("rewrite", false, "write the outcomes in testdata anew; read the difference before you keep it")

// TestSeeds plays the first seeds of `make sim`.
func TestSeeds(t *testing.T) {
	Seeds(1, 500, runtime.GOMAXPROCS(0), DefaultSize(), func(f Finding) bool {
		if len(f.Result.Broken) > 0 {
			t.Errorf("seed %d: %s\nto see it: go run ./test/sim/cmd/sim -seed %d -trace", f.Seed, f.Result.Broken[0], f.Seed)
		}
		return !t.Failed()
	})
}

// A seed that was played once can be played again, event by event.
func TestReplay(t *testing.T) {
	size := Size{Hosts: 5, Models: 60, Requests: 300, Faults: 10}
	other := 0
	for seed := range uint64(8) {
		var first, second strings.Builder
		a := Play(simulate.Config{Scenario: Generate(seed, size), Trace: &first})
		// What was printed and read is the same scenario.
		s, err := scenario.Parse(Generate(seed, size).String())
		if err != nil {
			t.Fatal(err)
		}
		b := Play(simulate.Config{Scenario: s, Trace: &second})
		if a.Hash != b.Hash || first.String() != second.String() {
			t.Fatalf("seed %d: %016x, and then %016x: %s", seed, a.Hash, b.Hash, firstDifference(first.String(), second.String()))
		}
		s.Seed++
		if Run(s).Hash != a.Hash {
			other++
		}
	}
	if other != 8 {
		t.Errorf("%d of 8 scenarios end otherwise with another seed of delays", other)
	}
}

func firstDifference(a, b string) string {
	as, bs := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(as), len(bs)) {
		if as[i] != bs[i] {
			return as[i] + " | " + bs[i]
		}
	}
	return "one is longer"
}

// A scenario is made as small as it gets: here one in which a request is interrupted, among hundreds of other things.
func TestShrink(t *testing.T) {
	interrupted := func(s *scenario.Scenario) bool { return Run(s).Outcomes[route.Interrupted] > 0 }
	s := Generate(3, Size{Hosts: 4, Models: 20, Requests: 200, Faults: 5})
	s.Steps = append(s.Steps,
		scenario.Step{At: 20 * time.Second, Verb: scenario.Request, Model: "m7", Host: "h1", Count: 30, Work: 5 * time.Second},
		scenario.Step{At: 22 * time.Second, Verb: scenario.Crash, Host: "h1", For: time.Second},
	)
	s.Arrange()
	if !interrupted(s) {
		t.Fatal("nothing is interrupted at first")
	}
	small := Shrink(s, interrupted)
	if !interrupted(small) || len(small.Models) != 1 || len(small.Hosts) != 1 || small.Requests() != 1 || small.Faults() != 1 {
		t.Errorf("still as large as this:\n%v", small)
	}
}

// TestScenarios plays what people wrote down: a scenario, a line of "----" and what comes of it.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d scenarios, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			given, want, _ := strings.Cut(string(text), "----\n")
			s, err := scenario.Parse(given)
			if err != nil {
				t.Fatal(err)
			}
			result := Run(s)
			got := result.String()
			if len(result.Broken) > 0 {
				t.Errorf("%s\nto see it: go run ./test/sim/cmd/sim -file test/sim/%s -trace", got, file)
			}
			if *rewrite {
				if err := os.WriteFile(file, []byte(given+"----\n"+got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != want {
				t.Errorf("came of it:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// BenchmarkSeed is what one seed of `make sim` costs, in processor time.
func BenchmarkSeed(b *testing.B) {
	seed := uint64(1_000_000)
	for b.Loop() {
		seed++
		if broken := Run(Generate(seed, DefaultSize())).Broken; len(broken) > 0 {
			b.Fatalf("seed %d: %s", seed, broken[0])
		}
	}
}
