// Package cli is the wasmesh command line: it parses flags, asks the mesh through wasmesh.admin.v1 on the unix socket
// of the data directory, and prints as kubectl prints. It keeps no state.
package cli
