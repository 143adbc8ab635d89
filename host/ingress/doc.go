// Package ingress takes requests from clients on gRPC and REST, finds the model that each means, waits until it is
// loaded, and has package forward bring the answer.
//
// Both listeners share one path, Server.invoke: resolve the name in the catalog, take a lease on a loaded copy (at once,
// or after waiting for the load), forward, and try again as long as nothing irrevocable has happened. The copy may be on
// another host: then the request passes over that host's peer listener, which serves it from its own copy or turns it away
// (route.NotHere), and never sends it on. gRPC bodies are not read while a request waits: they stay with the client by
// HTTP/2 flow control, also while it waits at a peer. What a waiting request does hold is charged to a budget, and what
// does not fit is refused with the numbers.
//
// Invariant: every request to a model ends in exactly one route.Outcome, which is counted once, by the host that it came to
// first, and decides the code that the caller sees. A status of the model server's own passes through untouched.
//
// Package node builds a Server, gives it listeners and stops it; package mesh is its Models and its Here.
package ingress
