package engine

import (
	"log/slog"
	"runtime"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
)

// PageSize is the size of a page of WebAssembly memory in bytes.
const PageSize = 64 << 10

// Config is what an Engine is made with. The zero value works.
type Config struct {
	// CacheDir keeps machine code for the next start; it is created if need be. What lies there is executed as is, so
	// nobody else may write to it. Empty: no cache.
	CacheDir string
	Limits   Limits
	Fuel     FuelTable
	// Interpreter runs guests without compiling them to machine code: some fifty times slower, and the only way on
	// architectures without a compiler, where it is chosen by itself.
	Interpreter bool
	// Logger gets what guests write. nil: nobody does.
	Logger *slog.Logger
}

// Limits bound what a module may take. Zero means the default.
type Limits struct {
	// ModuleBytes of an uncompressed module; default 16 MiB.
	ModuleBytes int
	// MemoryPages of one instance, of 64 KiB each; default 256 (16 MiB).
	MemoryPages uint32
	// Instances of one program at the same time; default the number of processors, at most 8.
	Instances int
	// RequestBytes of one request, response area included; default 4 MiB.
	RequestBytes int
	// LogLineBytes of one line that a guest logs, the rest is cut off; default 1 KiB.
	LogLineBytes int
	// LogBytes that a guest logs in one call, lines beyond are dropped and counted; default 4 KiB.
	LogBytes int
	// CachedModules is how many modules CacheDir keeps; the least recently used goes. Default 32.
	CachedModules int
}

func (l Limits) withDefaults() Limits {
	orDefault(&l.ModuleBytes, 16<<20)
	orDefault(&l.MemoryPages, 256)
	orDefault(&l.Instances, min(runtime.GOMAXPROCS(0), 8))
	orDefault(&l.RequestBytes, 4<<20)
	orDefault(&l.LogLineBytes, 1<<10)
	orDefault(&l.LogBytes, 4<<10)
	orDefault(&l.CachedModules, 32)
	return l
}

func orDefault[T int | uint32 | uint64](value *T, otherwise T) {
	if *value <= 0 {
		*value = otherwise
	}
}

// FuelTable says how much fuel each kind of call gets. One unit is one executed instruction: a tenth of a nanosecond to a
// whole one, more for a division. Zero means the default.
type FuelTable struct {
	// Initialize is for _initialize, and what a start section has used counts against it; the runtime of a Go guest takes
	// 0.7 M of the default of 50 M.
	Initialize uint64
	// Configure is for mesh_configure; default 50 M.
	Configure uint64
	// Buffer is for mesh_buf and mesh_abi; default 10 M, as a Go guest may collect garbage there.
	Buffer uint64
	// Place, Evict and Status are for one decision.
	Place, Evict, Status HookFuel
}

// HookFuel is the fuel of one decision: Base and PerRow for each row of the request, together at most Max.
type HookFuel struct{ Base, PerRow, Max uint64 }

func (f FuelTable) withDefaults() FuelTable {
	orDefault(&f.Initialize, 50_000_000)
	orDefault(&f.Configure, 50_000_000)
	orDefault(&f.Buffer, 10_000_000)
	// A Go guest takes some 400 units for a row: fifty times as much is still milliseconds for a thousand rows. Max is
	// five times what it takes for as many rows as a request can have, and bounds how long the garbage collector may have
	// to wait for a guest that loops: some 60 ms, see BenchmarkLoop.
	f.Place = f.Place.withDefaults(HookFuel{Base: 2_000_000, PerRow: 20_000, Max: 50_000_000})
	f.Evict = f.Evict.withDefaults(HookFuel{Base: 2_000_000, PerRow: 20_000, Max: 50_000_000})
	f.Status = f.Status.withDefaults(HookFuel{Base: 5_000_000, PerRow: 20_000, Max: 50_000_000})
	return f
}

func (h HookFuel) withDefaults(d HookFuel) HookFuel {
	if h == (HookFuel{}) {
		return d
	}
	orDefault(&h.Max, d.Max)
	return h
}

// Budget is the fuel of a decision of hook over a request of so many rows.
func (f FuelTable) Budget(hook policyabi.Hook, rows int) uint64 {
	f = f.withDefaults()
	h := f.Place
	switch hook {
	case policyabi.HookEvict:
		h = f.Evict
	case policyabi.HookStatus:
		h = f.Status
	}
	return min(h.Base+h.PerRow*uint64(max(rows, 0)), h.Max)
}

// Budget is FuelTable.Budget of the default table.
func Budget(hook policyabi.Hook, rows int) uint64 { return FuelTable{}.Budget(hook, rows) }
