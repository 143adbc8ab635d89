// Package lifecycle loads and unloads this host's models. What is to be done is decided by the machine below it (package
// machine); Executor does it: one goroutine feeds the machine, workers pull, load, unload and remove, and report back as
// events, a supervisor watches the runtime. Executor owns all of these goroutines, and Run waits for every one of them.
//
// Requests come through TryAcquire, which takes no lock and asks nobody when the model is loaded; Join, which waits for a
// load that was reserved; and Acquire, which has the model loaded. All give a Lease; while it is held its copy is not
// unloaded. A copy that takes only so many requests at once has a gate, at which others wait in order (gate.go).
//
// Arbiters of models come through Reserve and GiveUp, and what the machine has to say to them goes out by MeshPort (mesh.go).
//
// What the machine relies on, and where it is kept:
//
//   - results reach it in the order in which they came about (one channel, one goroutine: executor.go);
//   - RuntimeReady comes after the results of all that the former runtime was given (session.end: supervise.go);
//   - a load that the runtime did not answer is reported after it is known whether the runtime lives (Executor.inDoubt).
//
// Package mesh is the caller for requests and for other hosts, package catalog (through node) for what should exist.
package lifecycle
