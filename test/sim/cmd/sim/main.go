// sim plays simulated meshes: seeds one after the other, or a scenario from a file.
//
//	sim -seeds 10000 -first 1      ends with a scenario, as small as it can be, for the first seed that breaks a promise
//	sim -seed 4711 -trace          one seed, with a line for everything that happens
//	sim -file scenario.txt -trace  one scenario
//
// It exits with 1 when a promise was broken.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/wasmesh/wasmesh/host/simulate"
	"github.com/wasmesh/wasmesh/host/simulate/scenario"
	"github.com/wasmesh/wasmesh/test/sim"
)

type options struct {
	first, seeds, seed uint64
	file               string
	trace, noShrink    bool
	keepGoing          bool
	processors         int
	shrinkFor          time.Duration
	size               sim.Size
}

// garbage is how much more there may be before it is collected, in percent of what is in use, which is little.
const garbage = 4000

func main() {
	debug.SetGCPercent(garbage)
	o := options{size: sim.DefaultSize()}
	flag.Uint64Var(&o.seeds, "seeds", 500, "how many seeds to play")
	flag.Uint64Var(&o.first, "first", 1, "the first of them")
	flag.Uint64Var(&o.seed, "seed", 0, "play this seed alone")
	flag.StringVar(&o.file, "file", "", "play the scenario in this file")
	flag.BoolVar(&o.trace, "trace", false, "with -seed or -file: print everything that happens")
	flag.BoolVar(&o.noShrink, "no-shrink", false, "print the whole scenario of a seed that breaks a promise")
	flag.DurationVar(&o.shrinkFor, "shrink-for", time.Minute, "how long a scenario that breaks a promise is made smaller")
	flag.BoolVar(&o.keepGoing, "keep-going", false, "play all seeds, whatever is found, and list what is")
	flag.IntVar(&o.processors, "processors", runtime.GOMAXPROCS(0), "how many seeds to play at once")
	flag.IntVar(&o.size.Hosts, "hosts", o.size.Hosts, "hosts of a generated scenario")
	flag.IntVar(&o.size.Models, "models", o.size.Models, "models of a generated scenario")
	flag.IntVar(&o.size.Requests, "requests", o.size.Requests, "requests of a generated scenario")
	flag.IntVar(&o.size.Faults, "faults", o.size.Faults, "faults of a generated scenario, at most")
	flag.Parse()
	ok, err := o.run(os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "sim:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

func (o options) run(out io.Writer) (bool, error) {
	switch {
	case o.file != "":
		text, err := os.ReadFile(o.file)
		if err != nil {
			return false, err
		}
		given, _, _ := strings.Cut(string(text), "----\n")
		s, err := scenario.Parse(given)
		if err != nil {
			return false, fmt.Errorf("%s: %w", o.file, err)
		}
		return o.one(out, s), nil
	case o.seed != 0:
		return o.one(out, sim.Generate(o.seed, o.size)), nil
	}
	return o.many(out), nil
}

// one plays one scenario.
func (o options) one(out io.Writer, s *scenario.Scenario) bool {
	config := simulate.Config{Scenario: s}
	buffered := bufio.NewWriter(out)
	if o.trace {
		config.Trace = buffered
	}
	result := sim.Play(config)
	_ = buffered.Flush()
	fmt.Fprintf(out, "%vhash %016x\n", result, result.Hash)
	if len(result.Broken) > 0 && !o.trace && !o.noShrink {
		o.show(out, s)
	}
	return len(result.Broken) == 0
}

// many plays seeds until one breaks a promise.
func (o options) many(out io.Writer) bool {
	started := time.Now()
	var played, requests, found int
	var first *sim.Finding
	sim.Seeds(o.first, o.seeds, o.processors, o.size, func(f sim.Finding) bool {
		played++
		requests += f.Result.Requests
		if played%1000 == 0 {
			fmt.Fprintf(out, "%d seeds in %v\n", played, time.Since(started).Round(time.Second))
		}
		if len(f.Result.Broken) == 0 {
			return true
		}
		found++
		fmt.Fprintf(out, "seed %d: %s\n", f.Seed, f.Result.Broken[0])
		if first == nil {
			first = &f
		}
		return o.keepGoing
	})
	fmt.Fprintf(out, "%d seeds, %d requests, %d seeds broke a promise, %v\n", played, requests, found, time.Since(started).Round(100*time.Millisecond))
	if first != nil && !o.keepGoing {
		o.show(out, first.Scenario)
	}
	return found == 0
}

// show prints a scenario that breaks a promise, as small as it gets.
func (o options) show(out io.Writer, s *scenario.Scenario) {
	if !o.noShrink {
		fmt.Fprintf(out, "making it smaller, for at most %v\n", o.shrinkFor)
		until := time.Now().Add(o.shrinkFor)
		s = sim.Shrink(s, func(c *scenario.Scenario) bool { return time.Now().Before(until) && len(sim.Run(c).Broken) > 0 })
	}
	fmt.Fprintf(out, "\nThis breaks a promise; put it into a file and play it with sim -file FILE -trace:\n\n%v\n%v", s, sim.Run(s))
}
