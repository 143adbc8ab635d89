// Package cli is the wasmesh command line: it parses flags, asks a mesh through wasmesh.admin.v1, and prints as kubectl
// prints. The mesh is that of a data directory, asked on its unix socket, or that of a cluster, asked through the API
// server; commands do not know which. It keeps no state.
package cli
