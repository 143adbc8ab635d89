// Package recording reads recordings of requests, in order to replay them: which model was asked for when, how large it is
// and how long it takes to load. There are two formats, of one CSV file with a row for each request (Read says which columns),
// and of the Azure Functions 2019 trace. `wasmesh sim` reads them, and so do the benchmarks of policies.
package recording

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

// Trace is what was asked for, and when.
type Trace struct {
	// Name is for people.
	Name   string
	Models []Model
	// Requests in the order of time.
	Requests []Request
}

// Model is one of a Trace.
type Model struct {
	Name string
	// Size in bytes of memory.
	Size int64
	// Load is how long a load takes, in whole milliseconds.
	Load time.Duration
}

// Request is one use of a model.
type Request struct {
	// At is the time since the start of the trace.
	At time.Duration
	// Model is an index of Trace.Models.
	Model int32
}

// Of a trace that does not say how long loads take, each takes half a second and the time of reading its size at 200 MB/s.
const (
	loadBase        = 500 * time.Millisecond
	bytesPerLoadSec = 200_000_000
	maxModelBytes   = 1 << 50
	maxRequests     = 200_000_000
	maxTraceSeconds = 10 * 365 * 24 * 3600
)

// loadTime is how long a model of that size takes to load.
func loadTime(size int64) time.Duration {
	ms := float64(loadBase.Milliseconds()) + float64(size)*1000/bytesPerLoadSec
	return time.Duration(ms+0.5) * time.Millisecond
}

// TotalSize is the memory that all models would take, in bytes.
func (t *Trace) TotalSize() int64 {
	var total int64
	for _, m := range t.Models {
		total += m.Size
	}
	return total
}

// Uncached is the load time if no model ever stayed.
func (t *Trace) Uncached() time.Duration {
	var total time.Duration
	for _, r := range t.Requests {
		total += t.Models[r.Model].Load
	}
	return total
}

// Span is from the start to the last request.
func (t *Trace) Span() time.Duration {
	if len(t.Requests) == 0 {
		return 0
	}
	return t.Requests[len(t.Requests)-1].At
}

// arrange puts the requests in order. Those of one moment stay as they were recorded.
func (t *Trace) arrange() error {
	if len(t.Requests) == 0 {
		return fmt.Errorf("read trace %s: it has no requests", t.Name)
	}
	var bytes int64
	for _, m := range t.Models {
		if bytes += m.Size; bytes < 0 {
			return fmt.Errorf("read trace %s: its models take more than %d bytes together", t.Name, int64(math.MaxInt64))
		}
	}
	var loading time.Duration
	for _, r := range t.Requests {
		if loading += t.Models[r.Model].Load; loading < 0 {
			return fmt.Errorf("read trace %s: its loads take more than %v together, which cannot be added up", t.Name, time.Duration(math.MaxInt64).Round(time.Hour))
		}
	}
	slices.SortStableFunc(t.Requests, func(a, b Request) int { return cmp.Compare(a.At, b.At) })
	return nil
}
