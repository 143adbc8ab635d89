// Package placement (pure) decides on which host a model is loaded. It puts what is known of the hosts into the rows that
// the place policy ranks (Ask), and checks the policy's ranking against what the host requires of a target (Choose):
//
//   - never a host that is not able: that leaves, has the model already, is excluded, or could not hold it were it empty;
//   - while a request waits, never none when one is able: those that a policy did not name follow after those it did.
//
// A policy therefore can make a poor choice and not a harmful one. Who asks tries the candidates in order until one has
// taken the load. Package arbiter calls it.
package placement
