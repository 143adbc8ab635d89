package author

import (
	"fmt"
	"io"
	"strings"

	"github.com/wasmesh/wasmesh/wasm-policies/engine"
)

// Inspect prints what a module is, without running any of it.
func Inspect(out io.Writer, info engine.Info, module []byte) error {
	zipped, err := compress(module)
	if err != nil {
		return err
	}
	hooks := make([]string, len(info.Hooks))
	for i, hook := range info.Hooks {
		hooks[i] = hook.String()
	}
	maximum := "none declared"
	if info.MemoryMax > 0 {
		maximum = fmt.Sprintf("%d KiB", info.MemoryMax*(engine.PageSize>>10))
	}
	for _, line := range [][2]string{
		{"Hooks", or(strings.Join(hooks, ", "))},
		{"SHA-256", info.Digest},
		{"Size", fmt.Sprintf("%d bytes, %d gzipped (a ConfigMap holds %d)", len(module), len(zipped), maxConfigMapBytes)},
		{"Memory", fmt.Sprintf("%d KiB at start, maximum %s", info.MemoryMin*(engine.PageSize>>10), maximum)},
		{"Imports", or(strings.Join(info.Imports, ", "))},
	} {
		fmt.Fprintf(out, "%-9s%s\n", line[0]+":", line[1])
	}
	return nil
}

func or(text string) string {
	if text == "" {
		return "none"
	}
	return text
}
