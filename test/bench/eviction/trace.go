package eviction

import (
	"time"

	"github.com/wasmesh/wasmesh/host/simulate/recording"
)

// Trace is what was asked for, and when; Model one of its models and Request one use of a model.
type (
	Trace   = recording.Trace
	Model   = recording.Model
	Request = recording.Request
)

// Read reads a trace, in one of the formats of README.md.
func Read(path string) (*Trace, error) { return recording.Read(path) }

// epoch is the start of every trace.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// TimeOf is when a request comes, in the time of Hosts.
func TimeOf(r Request) time.Time { return epoch.Add(r.At) }
