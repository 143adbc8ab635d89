package launcher

import (
	"fmt"
	"os/exec"
	"path/filepath"

	"github.com/wasmesh/wasmesh/runtimes"
)

// Programs of ours.
const (
	hostProgram       = "wasmesh-host"
	controllerProgram = "wasmesh-controller"
)

// findProgram looks a program of ours up beside the running one, then on PATH.
func findProgram(dir, name string) (string, error) {
	if found, ok := lookUp(filepath.Join(dir, name), name); ok {
		return found, nil
	}
	return "", fmt.Errorf("%s is neither in %s nor on PATH: build it with `make build`", name, dir)
}

// runtimeProgram finds the server type's own program: under the runtimes directory, beside our binaries, on PATH.
func (c Config) runtimeProgram(serverType string, process runtimes.Process) (string, error) {
	candidates := []string{filepath.Join(c.BinDir, process.Program), process.Program}
	where := "on PATH"
	if c.RuntimesDir != "" {
		dir := filepath.Join(c.RuntimesDir, serverType)
		candidates = append([]string{filepath.Join(dir, "bin", process.Program)}, candidates...)
		where = "under " + dir + " nor on PATH"
	}
	if found, ok := lookUp(candidates...); ok {
		return found, nil
	}
	return "", fmt.Errorf("program %s is neither %s: install it with `%s`, then run `wasmesh up` again",
		process.Program, where, process.Install)
}

// lookUp answers the absolute path of the first candidate that can be executed. A bare name is looked for on PATH.
func lookUp(candidates ...string) (string, bool) {
	for _, candidate := range candidates {
		found, err := exec.LookPath(candidate)
		if err != nil {
			continue
		}
		if absolute, err := filepath.Abs(found); err == nil {
			return absolute, true
		}
	}
	return "", false
}
