// Package engine runs policy modules: WebAssembly that decides something for the host and that the host does not trust.
// It is the only package of the project that knows wazero, and the only place that decides how a guest is contained.
//
// # Life of a module
//
// Compile inspects a module, validates it whole, rewrites it so that it counts its own fuel (package meter), compiles it,
// makes one instance, checks the version of the ABI and hands the configuration over. All of that happens off the
// caller's hot path, one module at a time. What it returns is a Program: code plus a bounded pool of instances. A caller
// takes an instance, writes a request into the guest's memory, calls a hook with a budget of fuel, reads the answer out
// of the guest's memory, and gives the instance back:
//
//	instance, err := program.Acquire()
//	if err != nil { ... }                                // busy or closed: decide without the policy
//	defer instance.Release()
//	buffer, err := instance.Buffer(request.Size())
//	if err != nil { ... }
//	request.Encode(buffer)
//	answer, used, err := instance.Call(policyabi.HookPlace, request.Size(), engine.Budget(policyabi.HookPlace, rows))
//
// Nothing of this allocates. The example is a whole program. A Program has one instance at first and makes more when callers
// wait; who wants all of them before it decides calls Warm.
//
// # Invariants
//
//   - A guest stops within its budget of fuel, whatever it does, and the number is the same on every machine. wazero's own
//     way to stop a guest (WithCloseOnContextDone) is never used: it costs five times the run time and does not stop every
//     guest. As wazero's machine code cannot be preempted, the budget also bounds how long the garbage collector waits.
//   - A guest reaches nothing: no file, no socket, no clock but the request's, no randomness but the request's seed. It can
//     write log lines, within limits. A module that imports anything else is refused by the name of the import.
//   - An instance is used again only after a call that returned an answer or abstained. wazero leaves a module callable
//     after a trap, in a state that nobody knows; here any failure discards the instance, and so does memory that has grown.
//   - Failing to make an instance hurts nobody who has one.
//   - A Program is closed by its last reference. The owner has one, each acquired instance has one: replacing a program
//     under load never closes an instance in use.
//   - No panic of a guest, of a host function or of wazero leaves this package; whatever a guest does comes back as a Trap.
//     That is why a module is compiled on one goroutine: of several, a panic on any would end the process.
//
// # Caching
//
// With Config.CacheDir the machine code of a module survives the process. Each module has a directory of its own there,
// named by the digest of the rewritten module, and so also by how it was rewritten; wazero adds its own version, the
// architecture and the features of the processor. Each Program has a wazero runtime and a wazero cache of its own: caches
// shared by runtimes have had faults in counting who uses what, and closing one program must not touch another.
package engine
