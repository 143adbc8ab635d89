// Package placement replays recorded requests against a mesh of hosts, to see what it costs that memory is in many places:
// the seconds that are spent on loading models, beside those of one host that has the memory of all.
//
// Hosts are those of test/bench/eviction: the ledger, usage rates and reclaim curves of host/modelcache, and the evict policy
// that ships, as WebAssembly. Where a model goes is decided as in the product: by host/arbiter on the host that comes first for
// the model (host/members), from what hosts have said of themselves, by the place policy that ships, through its hook; a host
// whose memory is no longer free refuses once, and tells its figures; and what is remembered of a model's use goes with it
// from host to host.
//
// What hosts say is late, as in the product (Shipped), and to see how much that matters, by other times. There is one copy of
// a model at most. A load takes no simulated time: the next request finds the model there, though other hosts are told of a
// load for as long as it would take. So figures are about where models go and nothing else, and equal traces give equal
// figures on every machine.
//
// Beside it stand hosts that place models otherwise, at random for one, and those of ModelMesh, which evict and place by
// recency alone. All of these know of each other without any delay, which only helps them.
//
// bench-placement in cmd prints the table.
package placement
