package sim

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sort"
	"time"

	"github.com/wasmesh/wasmesh/host/simulate/scenario"
)

// Size is how large the scenarios are that Generate makes.
type Size struct {
	Hosts, Models, Requests int
	// Faults at most.
	Faults int
}

// DefaultSize is that of `make sim`.
func DefaultSize() Size { return Size{Hosts: 8, Models: 200, Requests: 1000, Faults: 10} }

const (
	mib = 1 << 20
	// settle is how long hosts have to find each other and fill up before the first request, and busy for how long there
	// are requests and faults after that.
	settle = 5 * time.Second
	busy   = 40 * time.Second
	// quiet is longer than anything takes but the shedding of copies, which is waited for if there are too many.
	quiet = 20 * time.Second
)

// generator draws one scenario.
type generator struct {
	*rand.Rand
	size Size
	s    *scenario.Scenario
	// popularity is the sum of the weights of all models up to each.
	popularity []float64
}

// Generate makes the scenario of a seed: the same each time.
func Generate(seed uint64, size Size) *scenario.Scenario {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 0x73696d)), size: size, s: &scenario.Scenario{Seed: seed, Quiet: quiet}}
	g.hosts()
	g.models()
	g.requests()
	if g.IntN(8) > 0 { // Else everything has to be perfect.
		for range 1 + g.IntN(size.Faults) {
			g.fault()
		}
	}
	g.s.Arrange()
	return g.s
}

// often is true in so many of a hundred cases.
func (g *generator) often(percent int) bool { return g.IntN(100) < percent }

func (g *generator) between(low, high time.Duration) time.Duration {
	return (low + time.Duration(g.Int64N(int64(high-low)))).Round(time.Millisecond)
}

func (g *generator) hosts() {
	zones := g.IntN(4)
	capacity := int64(128+64*g.IntN(6)) * mib
	loads := g.IntN(4)
	for i := range g.size.Hosts {
		h := scenario.Host{Name: fmt.Sprintf("h%d", i), Capacity: capacity, Loads: loads}
		if zones > 1 {
			h.Zone = fmt.Sprintf("z%d", i%zones)
		}
		if g.often(10) {
			h.Capacity = capacity / 2
		}
		if g.often(15) {
			h.Skew = g.between(-5*time.Minute, 5*time.Minute)
		}
		g.s.Hosts = append(g.s.Hosts, h)
	}
	if g.often(20) {
		g.s.Hosts = append(g.s.Hosts, scenario.Host{Name: "gateway", Gateway: true})
	}
	if g.often(20) {
		g.s.Hosts = append(g.s.Hosts, scenario.Host{Name: "late", Capacity: capacity, Loads: loads, Later: true})
		g.step(scenario.Step{Verb: scenario.Start, Host: "late"})
	}
}

func (g *generator) models() {
	sum := 0.0
	for i := range g.size.Models {
		m := scenario.Model{
			Name: fmt.Sprintf("m%d", i), Bytes: int64(1+g.IntN(12))*mib + int64(g.IntN(mib)),
			Load: g.between(20*time.Millisecond, 800*time.Millisecond), Pull: g.between(5*time.Millisecond, 150*time.Millisecond),
		}
		switch {
		case g.often(30):
			m.Declared = true
		case g.often(4):
			m.Surprise = true
		}
		switch g.IntN(40) {
		case 0:
			m.Min = 2
		case 1:
			m.Max = 1
		case 2:
			m.Pinned = true
		case 3:
			m.IdleTTL = g.between(5*time.Second, 40*time.Second)
		case 4:
			m.Concurrency = 1 + g.IntN(6)
		case 5:
			m.Priority = 1 + g.IntN(3)
		}
		g.s.Models = append(g.s.Models, m)
		sum += 1 / math.Pow(float64(i+1), 0.9)
		g.popularity = append(g.popularity, sum)
	}
}

// popular draws a model as clients do: the first ones most often.
func (g *generator) popular() string {
	at := g.Float64() * g.popularity[len(g.popularity)-1]
	return g.s.Models[sort.SearchFloat64s(g.popularity, at)].Name
}

func (g *generator) anyHost() string { return g.s.Hosts[g.IntN(g.size.Hosts)].Name }

func (g *generator) anyModel() string { return g.s.Models[g.IntN(len(g.s.Models))].Name }

// step adds one at a time of its own.
func (g *generator) step(s scenario.Step) {
	s.At = g.between(settle, settle+busy)
	g.s.Steps = append(g.s.Steps, s)
}

func (g *generator) requests() {
	for left := g.size.Requests; left > 0; {
		r := scenario.Step{
			Verb: scenario.Request, Model: g.popular(), Host: "*", Work: g.between(time.Millisecond, 30*time.Millisecond),
			Deadline: 30 * time.Second,
		}
		switch {
		case g.often(2): // Many at once.
			r.Count = 10 + g.IntN(60)
			r.Over = g.between(0, time.Second)
			if g.often(50) {
				r.Model, r.Over = g.anyModel(), g.between(0, 20*time.Millisecond) // For what is not there, most likely.
			}
		case g.often(5):
			r.Deadline = g.between(5*time.Millisecond, 3*time.Second)
		case g.often(2):
			r.Work = g.between(time.Second, 8*time.Second)
		}
		left -= max(r.Count, 1)
		g.step(r)
	}
}

// fault adds one.
func (g *generator) fault() {
	last := g.between(200*time.Millisecond, 15*time.Second)
	host, model := g.anyHost(), g.anyModel()
	pair := []string{host, g.anyHost()}
	if pair[0] == pair[1] {
		pair[1] = g.s.Hosts[(g.IntN(g.size.Hosts-1)+1)%g.size.Hosts].Name
	}
	if pair[0] == pair[1] {
		pair = []string{g.s.Hosts[0].Name, g.s.Hosts[1].Name}
	}
	switch g.IntN(18) {
	case 0, 1:
		g.step(scenario.Step{Verb: scenario.Crash, Host: host, For: last})
	case 2:
		g.step(scenario.Step{Verb: scenario.Hang, Host: host, For: last / 3})
	case 3:
		g.partition(last)
	case 4:
		g.step(scenario.Step{Verb: scenario.Cut, Hosts: pair, For: last})
	case 5:
		g.step(scenario.Step{Verb: scenario.Reset, Hosts: pair})
	case 6, 7:
		g.step(scenario.Step{Verb: scenario.Lose, Hosts: pair, Count: 1 + g.IntN(3)})
	case 8:
		g.step(scenario.Step{Verb: scenario.SlowPeer, Host: host, By: g.between(5*time.Millisecond, 900*time.Millisecond), For: last})
	case 9:
		g.step(scenario.Step{Verb: scenario.SlowDisk, Host: host, By: g.between(100*time.Millisecond, 5*time.Second), For: last})
	case 10, 11:
		g.step(scenario.Step{Verb: scenario.RuntimeCrash, Host: host, For: last / 3})
	case 12:
		g.step(scenario.Step{Verb: scenario.StickyUnload, Host: host, For: last})
	case 13:
		g.step(scenario.Step{Verb: scenario.Break, Model: g.popular(), Host: g.sometimes(host), For: last})
	case 14:
		g.step(scenario.Step{Verb: scenario.Unreachable, Model: g.popular(), For: last})
	case 15:
		g.catalog(model, last)
	case 16:
		g.step(scenario.Step{Verb: scenario.ClockJump, Host: host, By: g.between(time.Second, time.Minute)})
	case 17:
		if g.often(50) {
			g.step(scenario.Step{Verb: scenario.Drain, Host: host})
		} else {
			g.step(scenario.Step{Verb: scenario.Forget, Model: g.popular(), Host: "*"})
		}
	}
}

// sometimes answers the host, or all.
func (g *generator) sometimes(host string) string {
	if g.often(50) {
		return host
	}
	return "*"
}

// partition cuts some hosts off from the others.
func (g *generator) partition(last time.Duration) {
	s := scenario.Step{Verb: scenario.Partition, For: last}
	for i := range g.size.Hosts {
		if g.often(40) {
			s.Hosts = append(s.Hosts, g.s.Hosts[i].Name)
		}
	}
	if len(s.Hosts) > 0 && len(s.Hosts) < g.size.Hosts {
		g.step(s)
	}
}

// catalog changes it, or has nobody hear of it.
func (g *generator) catalog(model string, last time.Duration) {
	switch g.IntN(4) {
	case 0:
		g.step(scenario.Step{Verb: scenario.NoController, For: last})
	case 1:
		g.step(scenario.Step{Verb: scenario.Remove, Model: model})
	case 2:
		g.step(scenario.Step{Verb: scenario.Remove, Model: model})
		again := g.s.Steps[len(g.s.Steps)-1]
		again.Verb = scenario.Add
		again.At += last
		g.s.Steps = append(g.s.Steps, again)
	case 3:
		g.step(scenario.Step{Verb: scenario.Change, Model: model, Min: g.IntN(4), Pinned: g.often(20), Priority: g.IntN(3)})
	}
}
