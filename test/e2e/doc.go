// Package e2e runs the mesh as its users do: the real binaries under `wasmesh up`, YAML files in a directory, a real S3
// server, real or programmable runtimes, and clients on gRPC and REST. What a user would miss is asserted here; how the
// parts do it is asserted beside the parts.
package e2e
