// Package route (pure) says where a request goes and how it can end.
//
// Pick reads an immutable picture of the mesh and says where one request should go next: to the copy here, to a copy on
// a peer, to a host that is loading the model, or that somebody has to load it. Trip strings picks together to the life
// of one request: it remembers who answered "not here", who broke down and where a load failed, so that a request that is
// sent on never goes round in a circle. NotHere and the header names are what hosts say to each other about a request
// that one of them passes to another.
//
// Invariants: a Trip ends after at most MaxVisits visits, MaxFailedLoads failed loads and MaxAsks placements; it goes back
// to a host that turned it away only when that host said to wait there, or the model's arbiter named it; and every request
// has exactly one Outcome, which is the metric label and fixes the gRPC and HTTP code, so that no two packages map the
// same trouble to different answers.
//
// Called by packages mesh and ingress, and by the simulator, which drives the same Trips.
package route
