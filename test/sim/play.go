package sim

import (
	"fmt"
	"runtime/debug"

	"github.com/wasmesh/wasmesh/host/simulate"
)

// Play is simulate.Run with an answer even when something panics.
func Play(config simulate.Config) (result *simulate.Result) {
	defer func() {
		if r := recover(); r != nil {
			result = &simulate.Result{Broken: []string{fmt.Sprintf("panic: %v\n%s", r, debug.Stack())}}
		}
	}()
	return simulate.Run(config)
}
