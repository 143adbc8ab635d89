// Package residency (pure) is the knowledge of which host holds which model. Each host keeps a Log of its own copies, and
// a Table of everybody's, its own included.
//
// A Log numbers its changes and keeps a digest of what it holds; both together are a Stamp. Who follows it takes a
// snapshot once, and from then on what has changed since: Table.Replace and Table.Advance. The invariant: what a Table
// holds of a host is what the host's Log held at the Stamp that the Table has of it, or less fresh, never a mixture.
// Whatever does not fit (a gap, another epoch, a digest that differs) is refused whole with a GapError, and only a new
// snapshot helps. Only the owner's word on its own copies is ever taken, so nothing has to be merged.
//
// A Log belongs to one goroutine. A Table is written by one goroutine and read by any number, without locks: entries are
// spread by key over small shards, each an immutable sorted array behind an atomic pointer, and a write replaces the few
// shards that it touches. A read of one key is consistent; two reads may see two moments.
//
// Package peers carries the messages (contents: sdk/proto/peer/v1) and owns both; package route and the arbiter read.
package residency
