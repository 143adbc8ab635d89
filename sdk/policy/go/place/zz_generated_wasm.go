// Code generated from abi.yaml by sdk/policyabi/internal/generate. DO NOT EDIT.

//go:build wasm

package place

import (
	"runtime"

	"github.com/wasmesh/wasmesh/sdk/policy/go/internal/buffer"
)

//go:wasmexport mesh_place
func export(length int32) int32 {
	n := call(buffer.Bytes(length))
	runtime.Gosched() // See buffer.Bytes.
	return n
}
