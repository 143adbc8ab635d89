// Package peers is the mesh as one host is part of it: who else is there, what everybody holds, and how to call them.
//
// Three mechanisms, each for what it is good at. Gossip (sub-package gossip) says who ought to be there and how to reach
// them; it is lossy and slow to be sure, so nothing else rides on it. A Link (sub-package link) to each of them says what
// it holds and how it does, and its standing is what "live" means: a connection that is reset is gone at once, one that is
// silent after two missed beats, until it is heard again. Seeds, from the controller, from disk and from DNS, are what makes a mesh of hosts that do
// not know each other, and again of two halves that have declared each other dead, which gossip never does by itself.
//
// The invariant: a host is live in the View only while all that it holds is in the Table, and the Table holds nothing of a
// host that is not live. The View changes first when a host goes, and last when it comes, so whoever reads the Table and
// then looks for the host in the View is never sent to one that is known to have gone.
//
// Links cost by the square of the hosts, and a mesh starts all at once, perhaps on machines that have no time for it. So
// what is lost for want of time must not make more work: a link that is silent for a moment is kept, few are made at a time,
// a host that finds itself late blames nobody else and asks nobody anything, and Views are made at most every few
// milliseconds.
//
// Whoever calls shows a token that the key of the mesh makes. With Config.PeerTLS both sides have certificates besides, and
// a follower is who its certificate says.
//
// Package mesh owns a Peers, tells it what this host holds and does, and answers the calls of others.
package peers
