package simulate

import (
	"fmt"
	"strings"
	"time"

	"github.com/wasmesh/wasmesh/host/route"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
)

// Result is what came of a simulation.
type Result struct {
	// Broken are the promises that were found broken, the first first; none when all held.
	Broken []string
	// Hash is the same for two runs that did the same.
	Hash uint64
	Stats
	// Models are those that a step of the scenario asks for, by name, as they were after the quiet.
	Models []ModelResult
}

// ModelResult is what came of one model: the loads that were begun, and the copies that there were in the end.
type ModelResult struct {
	Name          string
	Loads, Copies int
}

// Stats counts what happened.
type Stats struct {
	Requests int
	// Refused found no host that takes connections; all others have one of Outcomes.
	Refused  int
	Outcomes map[route.Outcome]int
	Loads, LoadsFailed, Evictions,
	// Forwards to other hosts, Resyncs of residency, hosts that were Drained.
	Forwards, Resyncs, Drained int
	// LoadTime of all loads that succeeded, and LoadsFor how many were begun for what.
	LoadTime time.Duration
	LoadsFor map[policyabi.Purpose]int
	// Reservations that arbiters asked for.
	Reservations int
	// Cold are how long the requests waited that were not served at once, but for a load.
	Cold []time.Duration
	// Events that the clock fired, and End of virtual time.
	Events int
	End    time.Duration
}

// String is the outcome as scenario files have it, a line for each kind of thing.
func (r *Result) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "requests %d\n", r.Requests)
	for o := route.Served; o <= route.Internal; o++ {
		if n := r.Outcomes[o]; n > 0 {
			fmt.Fprintf(&b, "  %v %d\n", o, n)
		}
	}
	if r.Refused > 0 {
		fmt.Fprintf(&b, "  refused %d\n", r.Refused)
	}
	for _, m := range r.Models {
		fmt.Fprintf(&b, "%s %s, %s left\n", m.Name, counted(m.Loads, "load"), counted(m.Copies, "copy"))
	}
	if r.Drained > 0 {
		fmt.Fprintf(&b, "%s drained\n", counted(r.Drained, "host"))
	}
	for _, what := range r.Broken {
		fmt.Fprintf(&b, "BROKEN %s\n", what)
	}
	return b.String()
}

// counted is "1 load", "2 loads", "no copies".
func counted(n int, what string) string {
	many := what + "s"
	if stem, ok := strings.CutSuffix(what, "y"); ok {
		many = stem + "ies"
	}
	switch n {
	case 0:
		return "no " + many
	case 1:
		return "1 " + what
	}
	return fmt.Sprintf("%d %s", n, many)
}
