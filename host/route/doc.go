// Package route (pure) says where a request goes and how it can end. Here is the closed list of ends: every request has
// exactly one Outcome, which is the metric label and fixes the gRPC and HTTP code, so that no two packages map the same
// trouble to different answers.
//
// Called by package ingress, and by whatever stops a request on its way.
package route
