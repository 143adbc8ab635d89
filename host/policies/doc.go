// Package policies is the host's side of policy generations. The controller says which generations this host should have
// and what for (PolicyPlan); a Set fetches their modules, compiles and tries them, has the hooks place and evict use them,
// keeps plan and modules on disk, and says what has become of each (PolicyReport).
//
// It works towards the newest plan, level by level: one goroutine compares what is wanted with what there is and takes the
// next step, so that plans which were superseded cost at most the step under way, and any plan leads to the same state
// whatever came before. Nothing of this is on a path of requests. Until a generation that should decide is prepared, the
// built-in policy decides, never an older generation: all hosts of a mesh decide alike, or as they do without policies.
//
// Package node makes a Set, runs it, gives its hooks to those who decide, and passes on what the sync stream says.
package policies
