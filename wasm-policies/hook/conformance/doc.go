// Package conformance is what the mesh asks of a policy before it lets it decide: requests that are empty, small, large,
// extreme, and as older and newer hosts write them, the same in every run, and the rules that each answer must keep. Hosts
// try every generation with it (package hook), so does the controller, and so does `wasmesh policy test`, so that what
// passes on an author's machine passes in the mesh. (pure)
package conformance
