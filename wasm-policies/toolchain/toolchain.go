// Package toolchain carries the scripts beside it, which compile policies with pinned compilers, so that the command line
// can run them outside a clone of this repository.
package toolchain

import "embed"

// Scripts are build, install and pins; build expects the SDKs in ../../sdk/policy from where it lies.
//
//go:embed build install pins
var Scripts embed.FS
