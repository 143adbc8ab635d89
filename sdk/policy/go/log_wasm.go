//go:build wasm

package policy

//go:wasmimport mesh_v1 log
func hostLog(level int32, line string)
