//go:build wasm

package policy

import (
	"runtime"

	"github.com/wasmesh/wasmesh/sdk/policy/go/internal/buffer"
)

//go:wasmexport mesh_abi
func meshABI() int32 { return Major<<16 | Minor }

//go:wasmexport mesh_buf
func meshBuf(size int32) int32 { return int32(buffer.Reserve(size)) }

//go:wasmexport mesh_configure
func meshConfigure(length int32) int32 {
	err := Configure(buffer.Bytes(length))
	if err != nil {
		Log(LogLevelError, err.Error())
	}
	runtime.Gosched() // See buffer.Bytes.
	if err != nil {
		return int32(CallErrorConfig)
	}
	return 0
}
