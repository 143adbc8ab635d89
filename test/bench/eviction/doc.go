// Package eviction replays recorded requests against the eviction policies that this project ships, to see what each costs:
// the seconds that are spent on loading models which had been there before.
//
// What is replayed on is what a host decides with: the ledger, usage rates and clock of host/modelcache, the rows that
// host/eviction makes of them, and the modules as `make policies` builds them, run by wasm-policies/engine. Only time is simulated, and a
// load takes none of it: the next request finds the model there. So figures are about the order of eviction and nothing
// else, and equal traces give equal figures on every machine.
//
// Beside the policies stands the best of three clairvoyant ones, on the same ledger: evict what is needed again last, the
// same weighed by size, and by size and load time. No exact optimum is known for models of different size and cost; for
// equal ones the first is it.
//
// bench-eviction in cmd prints the table; README.md describes the formats of traces, so that anybody's can be replayed.
package eviction
