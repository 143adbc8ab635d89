// Package live puts hosts as they are, with all their goroutines, through schedules of faults: peers and memberlist over a
// network in memory (package peerstest), links, mesh and executor, each host beside an inference server that is made up.
// Everything runs in one testing/synctest bubble for each schedule, so minutes pass in milliseconds.
//
// A seed draws a schedule: hosts that are killed, come back, join and leave, networks that are cut, slow or lossy, runtimes
// that crash, models that do not load, two hosts of one name, halves of a mesh with an arbiter each. Nothing is timed; these
// hold in all schedules:
//
//   - a request ends in exactly one outcome, within its deadline, and one that any host could have served without fault is
//     not answered with a defect of ours;
//   - an answer comes from the model that was asked, and no request is run twice;
//   - no inference server is ever given more than its memory, or told to unload what it is answering from;
//   - when the faults are over and some time has passed, all hosts see the same hosts and the same copies, those are what
//     the inference servers hold, no model has more copies than it needs, and every host serves every model;
//   - when all hosts have stopped, no goroutine is left.
//
// Package simulate (test/sim) runs far more schedules over the same decisions, one event at a time; what is found here is in
// the glue between them. A seed fixes its schedule, but not in which order goroutines run: one that failed once may have to
// be run some times.
//
//	go test ./test/sim/live -run 'Schedule/seed=17' -logs
//	go test ./test/sim/live -seeds 1000 -first 101
package live
