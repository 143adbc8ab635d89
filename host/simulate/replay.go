package simulate

import (
	"fmt"
	"slices"
	"time"

	"github.com/wasmesh/wasmesh/host/simulate/recording"
	"github.com/wasmesh/wasmesh/host/simulate/scenario"
)

// ReplayConfig is a recording and the mesh that it is to be served by.
type ReplayConfig struct {
	Recording *recording.Trace
	Hosts     int
	// Capacity of each host, in bytes, and Loads at once; 0 is the host's default.
	Capacity int64
	Loads    int
	// Work is how long a runtime is busy with a request, and Deadline how long a client waits; 0 for the defaults.
	Work, Deadline time.Duration
	Policies       Policies
	// Progress is told the part of the recording that has been served, now and then; nil tells nobody.
	Progress func(part float64)
}

const (
	replayDeadline = 5 * time.Minute
	// replayStart is how long hosts have to find each other before the first request.
	replayStart = 10 * time.Second
	// progressSteps is how often progress is told.
	progressSteps = 100
)

// Replay serves a recording from a mesh without faults. The models are in the catalog from the start, with their sizes, so
// hosts load in the background what they have room for; clients ask any host. Equal configurations give equal results. The
// error says what a policy did that it must not do.
func Replay(config ReplayConfig) (*Result, error) {
	s := &scenario.Scenario{Seed: 1}
	for i := range config.Hosts {
		s.Hosts = append(s.Hosts, scenario.Host{Name: fmt.Sprintf("h%d", i), Capacity: config.Capacity, Loads: config.Loads})
	}
	for _, m := range config.Recording.Models {
		s.Models = append(s.Models, scenario.Model{Name: m.Name, Bytes: m.Size, Load: m.Load, Declared: true})
	}
	if err := s.Check(); err != nil {
		return nil, fmt.Errorf("replay %s: %w", config.Recording.Name, err)
	}
	w := newWorld(Config{Scenario: s, Policies: config.Policies})
	w.recorded = true
	for _, h := range w.hosts {
		w.clock.after(0, h.boot)
	}
	if config.Deadline <= 0 {
		config.Deadline = replayDeadline
	}
	if config.Work <= 0 {
		config.Work = scenario.DefaultWork
	}
	r := replay{ReplayConfig: config, world: w}
	r.arrive()
	w.runUntil(replayStart + config.Recording.Span() + config.Deadline + time.Second)
	result := w.result()
	slices.Sort(result.Cold)
	if len(w.failed) > 0 {
		return result, fmt.Errorf("replay %s: %s", config.Recording.Name, w.failed[0])
	}
	return result, nil
}

// replay sends recorded requests.
type replay struct {
	ReplayConfig
	world *World
	next  int
	told  int
}

// arrive sends what is due, and comes back when the next is.
func (r *replay) arrive() {
	requests := r.Recording.Requests
	for r.next < len(requests) {
		due := &requests[r.next]
		if wait := replayStart + due.At - r.world.clock.now; wait > 0 {
			r.tell()
			r.world.clock.after(wait, r.arrive)
			return
		}
		r.next++
		r.world.clients.ask(&request{
			model: r.world.model(r.Recording.Models[due.Model].Name), deadline: r.Deadline, work: r.Work,
		})
	}
	r.tell()
}

func (r *replay) tell() {
	if part := r.next * progressSteps / max(len(r.Recording.Requests), 1); part > r.told && r.Progress != nil {
		r.told = part
		r.Progress(float64(part) / progressSteps)
	}
}
