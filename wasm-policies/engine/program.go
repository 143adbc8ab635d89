package engine

import (
	"context"
	"sync"
	"time"

	"github.com/tetratelabs/wazero"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
)

// Program is a compiled module with its configuration and a pool of instances. It is safe for concurrent use.
//
// It is counted who uses it: its owner from Compile on, each acquired instance, and whoever Retain told so. Whoever leaves
// last closes it, and from then on nobody can enter. Counting and taking an instance are one step under one lock.
type Program struct {
	engine     *Engine
	name       string
	id         string
	info       Info
	config     []byte
	fuelExport string

	runtime  wazero.Runtime
	compiled wazero.CompiledModule
	cache    wazero.CompilationCache
	closed   func()

	log logLimiter

	mu sync.Mutex
	// owners counts references; 0 is for ever.
	owners int
	// free are instances that nobody uses, the most recently used last, which is the next to go: its memory is warm.
	free []*Instance
	// live counts instances that exist or are being made.
	live int
	// keep is how many there are to be even if nobody waits for one: 1, or after Warm as many as there may be.
	keep int
	// growing says that a goroutine makes instances.
	growing bool
	// waiting are callers that wait for an instance, oldest first, bounded by maxWaiters.
	waiting []chan *Instance
	// failures to make an instance in a row, and when the next try may be.
	failures int
	retryAt  time.Time
	stats    Stats
}

// Stats says what a program has been through.
type Stats struct {
	// Instances there are now, and how many were ever made.
	Instances, Made int
	// Discarded after a failure, and Recycled because their memory had grown.
	Discarded, Recycled int
	// Failed attempts to make an instance.
	Failed int
	// LinesDropped of what guests logged.
	LinesDropped uint64
}

// Name is Source.Name.
func (p *Program) Name() string { return p.name }

// ID names the module together with its configuration in 12 hexadecimal digits: the same ID decides the same.
func (p *Program) ID() string { return p.id }

// Info describes the module.
func (p *Program) Info() Info { return p.info }

// Implements says whether the module exports the hook.
func (p *Program) Implements(hook policyabi.Hook) bool {
	for _, h := range p.info.Hooks {
		if h == hook {
			return true
		}
	}
	return false
}

// Budget is the fuel of a decision over so many rows by the engine's table.
func (p *Program) Budget(hook policyabi.Hook, rows int) uint64 {
	return p.engine.fuel.Budget(hook, rows)
}

// Stats is a snapshot.
func (p *Program) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats
	s.Instances = p.live
	s.LinesDropped = p.log.dropped.Load()
	return s
}

// Retain takes a reference, unless the program is closed. Each is given back with Release.
func (p *Program) Retain() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.owners == 0 {
		return false
	}
	p.owners++
	return true
}

// Release gives a reference back. The last one closes the program.
func (p *Program) Release() {
	p.mu.Lock()
	last := p.leave()
	p.mu.Unlock()
	if last {
		p.close()
	}
}

// leave drops a reference and says whether the caller has to close the program, once it has let go of p.mu.
func (p *Program) leave() bool {
	if p.owners == 0 {
		return false // Released too often: it is closed, and stays so.
	}
	p.owners--
	return p.owners == 0
}

// close runs once, when nobody has an instance or makes one.
func (p *Program) close() {
	p.mu.Lock()
	p.free, p.live = nil, 0
	p.mu.Unlock()
	p.shut()
	p.closed()
}

// shut frees what wazero holds.
func (p *Program) shut() {
	ctx := context.Background()
	if p.runtime != nil {
		_ = p.runtime.Close(ctx)
	}
	if p.cache != nil {
		_ = p.cache.Close(ctx)
	}
}
