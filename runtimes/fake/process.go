package fake

import (
	"fmt"
	"net"
	"strconv"

	"github.com/wasmesh/wasmesh/runtimes"
)

// Process describes cmd/fake-runtime as a local process. Its environment variables (FAKE_LOAD_DELAY and so on) come from
// the ServingRuntime's container; what the launcher states in config wins.
func Process(config runtimes.ProcessConfig) (runtimes.Process, error) {
	host, port, err := net.SplitHostPort(config.GRPCAddress)
	if err != nil {
		return runtimes.Process{}, fmt.Errorf("describe fake runtime process: gRPC address: %w", err)
	}
	args := []string{"--host=" + host, "--port=" + port, "--exit-on-stdin-eof"}
	if config.CapacityBytes > 0 {
		args = append(args, "--capacity-bytes="+strconv.FormatInt(config.CapacityBytes, 10))
	}
	if config.MaxLoadingConcurrency > 0 {
		args = append(args, "--max-loading-concurrency="+strconv.Itoa(config.MaxLoadingConcurrency))
	}
	if config.LoadTimeout > 0 {
		args = append(args, "--model-loading-timeout="+config.LoadTimeout.String())
	}
	return runtimes.Process{
		Program: "fake-runtime",
		Args:    args,
		Env:     config.Env,
		Ours:    true,
		Install: "make build",
	}, nil
}
