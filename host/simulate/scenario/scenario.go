// Package scenario is what a simulated mesh is put through: hosts, models, and what happens when, as a value and as text
// that people read and write (Parse, Scenario.String). Package simulate plays it. It knows nothing of how the mesh works, so
// a scenario that was written down stays what it is when the mesh changes.
//
// The text has one thing on each line; "#" starts a comment:
//
//	seed 7
//	hosts 3 capacity=64MiB zones=3
//	models 20 size=4MiB..16MiB load=100ms..1s
//	model fraud size=12MiB load=700ms min=2
//
//	at 1s     request fraud via=h1 count=100 over=50ms deadline=10s work=5ms
//	at 2s     crash h1 for=5s
//	at 10s    drain h2
//	quiet 30s
//
// README.md of test/sim lists everything that can happen.
package scenario

import (
	"cmp"
	"slices"
	"time"
)

// Scenario is all that a simulation depends on: equal ones end equally.
type Scenario struct {
	// Seed of delays, jitter and whatever goes wrong by chance.
	Seed   uint64
	Hosts  []Host
	Models []Model
	// Steps in the order of time.
	Steps []Step
	// Quiet is how long nothing new happens after the last step and the end of all faults, before the mesh has to be in
	// order again.
	Quiet time.Duration
}

// Host is a host and the runtime beside it.
type Host struct {
	Name, Zone string
	// Capacity in bytes of memory for models.
	Capacity int64
	// Loads at once; 0 is the host's default.
	Loads int
	// Skew is how far its clock is ahead.
	Skew time.Duration
	// Gateway: it has no runtime.
	Gateway bool
	// Later: it is not there at first; a start brings it.
	Later bool
}

// Model is one of the catalog.
type Model struct {
	Name string
	// Bytes of memory that a copy takes.
	Bytes int64
	// Load is how long the runtime takes to load it; Pull how long storage takes to bring it to a host that has no file of
	// it.
	Load, Pull time.Duration
	// Declared: the owner states its size. Else the host finds it out.
	Declared bool
	// Surprise: it takes twice what its file says, which only the runtime finds out.
	Surprise bool
	// Later: it is not in the catalog at first; an add brings it.
	Later bool
	// As the owner's annotations: 0 for none.
	Min, Max int
	Pinned   bool
	Priority int
	IdleTTL  time.Duration
	// Concurrency is the most requests that a copy takes at once, as its runtime says; 0 is no limit.
	Concurrency int
}

// Verb says what happens in a Step.
type Verb string

// The verbs. Those that last have For; what they did ends then.
const (
	// Request: clients ask host Host for model Model, Count of them spread over Over, each with Deadline; the runtime works
	// on each for Work. Host "*" is any live one.
	Request Verb = "request"
	// Crash: the process of Host dies with its runtime, and starts anew after For (0: stays away).
	Crash Verb = "crash"
	// Start: Host starts, if it does not run.
	Start Verb = "start"
	// Drain: Host hands over and leaves.
	Drain Verb = "drain"
	// Hang: Host does nothing for For, and then goes on.
	Hang Verb = "hang"
	// Partition: nothing gets through between Hosts and all others.
	Partition Verb = "partition"
	// Cut: nothing gets through between the first of Hosts and the second.
	Cut Verb = "cut"
	// Reset: the connections between the first of Hosts and the second break, and may be made again at once.
	Reset Verb = "reset"
	// Lose: the next Count residency messages from the first of Hosts to the second are lost, unnoticed by both.
	Lose Verb = "lose"
	// SlowPeer: everything to and from Host takes By longer.
	SlowPeer Verb = "slow-peer"
	// SlowDisk: pulls on Host take By longer.
	SlowDisk Verb = "slow-disk"
	// RuntimeCrash: the runtime of Host dies, and is back after For.
	RuntimeCrash Verb = "runtime-crash"
	// StickyUnload: the runtime of Host refuses to unload anything.
	StickyUnload Verb = "sticky-unload"
	// Forget: the runtime of Host has dropped Model without a word.
	Forget Verb = "forget"
	// Break: loads of Model fail, on Host only unless that is empty or "*".
	Break Verb = "break"
	// Unreachable: storage does not answer for Model.
	Unreachable Verb = "unreachable"
	// NoController: no host hears of changes to the catalog, and hosts that start get none from the controller.
	NoController Verb = "no-controller"
	// ClockJump: the clock of Host goes ahead by By.
	ClockJump Verb = "clock-jump"
	// Add, Change and Remove: Model comes into the catalog, gets other annotations, goes.
	Add    Verb = "add"
	Change Verb = "change"
	Remove Verb = "remove"
)

// Step is something that happens. Which fields count depends on the verb.
type Step struct {
	At   time.Duration
	Verb Verb
	// Host is the one it happens to; Hosts where it takes several.
	Host  string
	Hosts []string
	Model string
	For   time.Duration
	By    time.Duration
	Count int
	// Of requests.
	Over, Deadline, Work time.Duration
	// Of a Change: as in Model.
	Min, Max, Priority int
	Pinned             bool
}

// Defaults of requests that do not say.
const (
	DefaultDeadline = 30 * time.Second
	DefaultWork     = 5 * time.Millisecond
	// DefaultQuiet is longer than everything that the mesh waits for before it tidies up, but for failed loads.
	DefaultQuiet = time.Minute
)

// End is when the last step begins or the last thing that lasts ends.
func (s *Scenario) End() time.Duration {
	var end time.Duration
	for i := range s.Steps {
		end = max(end, s.Steps[i].At+s.Steps[i].For, s.Steps[i].At+s.Steps[i].Over)
	}
	return end
}

// Arrange puts the steps in the order of time; those of one moment stay as they are.
func (s *Scenario) Arrange() {
	slices.SortStableFunc(s.Steps, func(a, b Step) int { return cmp.Compare(a.At, b.At) })
}

// Requests counts the requests of all steps.
func (s *Scenario) Requests() int {
	n := 0
	for i := range s.Steps {
		if s.Steps[i].Verb == Request {
			n += max(s.Steps[i].Count, 1)
		}
	}
	return n
}

// Faults counts the steps that are no requests.
func (s *Scenario) Faults() int {
	n := 0
	for i := range s.Steps {
		if s.Steps[i].Verb != Request {
			n++
		}
	}
	return n
}
