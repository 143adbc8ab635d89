// Package launcher runs a whole mesh as local processes: the controller, and for each ServingRuntime that some model
// needs its hosts with their runtimes, from the same binaries as in a cluster. It stands where the kubelet and the
// Deployments stand there: it starts, restarts with back-off, chooses ports and stops in order; it knows nothing of
// models. Called by `wasmesh up`; the other commands only ask it where a mesh keeps its socket.
//
// Invariants: no process outlives the launcher (package process). A process is never started before the one that it
// replaces has ended, since it gets the same ports and some servers share a port with another instead of failing. One
// launcher runs on a data directory at a time.
package launcher
