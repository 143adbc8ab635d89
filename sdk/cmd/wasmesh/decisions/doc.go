// Package decisions reads recorded policy decisions, explains them to people, and asks a policy again what was asked
// then. The command line calls it; it keeps nothing.
//
// A recording is a gzip stream of wasmesh.sync.v1.Decision messages, each preceded by its length as a varint, so that it
// can be written as it comes and read without the whole in memory.
package decisions
