// Package policy carries the guest SDKs beside it as files, so that the command line can start and build a policy
// outside a clone of this repository. Policies do not import it: they import the SDK of their language.
package policy

import "embed"

// Files are the SDKs of C, Rust and AssemblyScript: their sources, and nothing that compilers or editors leave beside them.
//
//go:embed c/*.h
//go:embed rust/Cargo.toml rust/src/*.rs
//go:embed assemblyscript/index.ts assemblyscript/package.json assemblyscript/assembly/*.ts
var Files embed.FS

// Go is the SDK of Go, zipped: it is a module of its own, which go:embed cannot reach.
//
//go:generate go run ./internal/bundle/cmd go go.zip
//go:embed go.zip
var Go []byte
