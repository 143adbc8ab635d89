// Package meter makes a WebAssembly module safe to run without a watchdog: it parses the module, refuses everything
// outside a closed list of rules, and rewrites it so that it counts what it executes and traps when its budget is spent.
//
// wazero, like every compiler of wasm to machine code, produces loops that the Go scheduler cannot preempt, and its own
// deadline check costs a goroutine per call and several times the run time of a small function. A counter inside the
// module costs a few percent, needs neither goroutine nor clock, and gives the same number on every machine and with
// every execution engine.
//
// The invariant: however the module is built, and whatever it is called with, the work done after the counter has
// fallen below zero is at most CreditUnits units, and no charge can wrap the counter around. See charge.go for how.
//
// Rewrite checks what the rewriting relies on: the binary format, every index, the nesting of blocks, and the limits.
// It does not type the operand stack. That is the execution engine's task; an embedder lets the engine compile the
// original module as well, so that a module whose original is invalid never runs in rewritten form.
//
// The depth of recursion is the engine's to bound, and wazero does: it traps on stack overflow. Where is up to the
// engine, so the counter is the same everywhere for calls that do not overflow.
//
// The package is pure: bytes in, bytes out. Its caller is package engine, which sets the counter before a call and
// reads it after; it has no other dependency and serves any host that can read and write an exported global.
package meter

// FuelExport is the name under which the rewritten module exports its counter, a mutable i64 global.
const FuelExport = ReservedPrefix + "fuel"

// ReservedPrefix begins the export names that belong to the host. A module that uses one is refused.
const ReservedPrefix = "__mesh_"

// Mode chooses how a module is metered.
type Mode int

const (
	// Exact charges every basic block where it is executed: the counter tells the instructions executed, and is the
	// same in every execution engine.
	Exact Mode = iota
	// Coarse charges all code of a function at its entry, and all code of a loop at every iteration, as if both arms of
	// each condition were executed. It is cheaper to run and never charges less than Exact.
	Coarse
	// Off validates and limits the module but does not meter it: for benchmarks only.
	Off
)

// Options tell Rewrite what to allow and how to charge. The zero value allows no import and meters exactly.
type Options struct {
	Limits Limits
	// AllowImport reports whether the module may import this function; nil allows none.
	AllowImport func(module, name string) bool
	Mode        Mode
	// HostCallCost is charged before each call of an imported function, directly or through a table, in units.
	HostCallCost uint32
	// InitialFuel is the counter's value in a new instance, in units. It bounds the start function, and any call made
	// before the host sets the counter. Values below zero count as zero.
	InitialFuel int64
	// DropNames omits the name section; without it the engine's stack traces lose the functions' names.
	DropNames bool
}

// Module is a validated and rewritten module, with what the host needs to know about it.
type Module struct {
	// Wasm is the rewritten module. All indices of the original keep their meaning, except that a use of an imported
	// function, other than by the code added here, is the use of a function that charges and then calls it, and that
	// ref.func reads the reference from an added table.
	Wasm []byte
	// FuelExport names the exported counter; empty if Mode is Off.
	FuelExport string
	Imports    []Import
	Exports    []Export // without the counter
	Memory     MemoryLimits
	Functions  int // defined by the original
	// CustomSections names the custom sections of the original in their order, kept or not.
	CustomSections []string
	// Start reports whether instantiation runs code of the module. It is metered like any other, see InitialFuel.
	Start bool
}

// Import is one imported function. Imports of any other kind are refused.
type Import struct {
	Module, Name string
	Type         FuncType
}

// Export is one export of the original module.
type Export struct {
	Name  string
	Kind  ExternKind
	Index uint32   // in the original's index space of Kind
	Type  FuncType // if Kind is ExternFunc
}

// MemoryLimits are those of the module's only memory, in pages of 64 KiB. Max is what the rewritten module declares: the
// lesser of the original's maximum, if any, and Limits.MaxMemoryPages.
type MemoryLimits struct {
	Present  bool
	Min, Max uint32
}

// Rewrite validates module and returns its metered form. The input is not modified and not retained.
//
// # Errors
//
// Every error is a *Refusal, and is final: the same module and options are refused again.
func Rewrite(module []byte, opts Options) (*Module, error) {
	src, refusal := parse(module, opts)
	if refusal != nil {
		return nil, refusal
	}
	wasm, refusal := src.rewrite(opts)
	if refusal != nil {
		return nil, refusal
	}
	out := &Module{
		Wasm:           wasm,
		Imports:        src.imports,
		Exports:        src.exports,
		Functions:      len(src.functions),
		CustomSections: src.customNames(),
		Start:          src.hasStart,
	}
	if opts.Mode != Off {
		out.FuelExport = FuelExport
	}
	if len(src.memories) == 1 {
		out.Memory = MemoryLimits{Present: true, Min: src.memories[0].min, Max: src.memories[0].max}
	}
	return out, nil
}
