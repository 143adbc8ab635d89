package mesh

import (
	"maps"
	"slices"
	"sync"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// demand counts the requests that wait for a host with a runtime, by the runtime that their models prefer.
type demand struct {
	reporter Reporter

	mu      sync.Mutex // guards below, and orders what is published
	waiting map[string]uint32
}

// wait counts one request until the answer is called.
func (d *demand) wait(runtimes []string) (end func()) {
	if len(runtimes) == 0 {
		return func() {}
	}
	d.add(runtimes[0], 1)
	return func() { d.add(runtimes[0], -1) }
}

func (d *demand) add(runtime string, n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.waiting == nil {
		d.waiting = make(map[string]uint32)
	}
	if d.waiting[runtime] += uint32(n); d.waiting[runtime] == 0 {
		delete(d.waiting, runtime)
	}
	demands := make([]*syncv1.Demand, 0, len(d.waiting))
	for _, name := range slices.Sorted(maps.Keys(d.waiting)) {
		demands = append(demands, &syncv1.Demand{Runtime: name, Waiting: d.waiting[name]})
	}
	d.reporter.PublishDemands(demands)
}
