package mlserver

import (
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"

	"github.com/wasmesh/wasmesh/runtimes"
)

// defaults hold unless the container's environment says otherwise.
var defaults = []string{
	// In process: with one worker, its default, a request costs twice the time and memory, and a load can hang while the
	// server says that it is ready.
	"MLSERVER_PARALLEL_WORKERS=0",
	// true adds an access-log interceptor to every call.
	"MLSERVER_DEBUG=false",
	// The mesh bounds messages; grpc's own bound is 4 MiB.
	"MLSERVER_GRPC_MAX_MESSAGE_LENGTH=-1",
	// Older versions fail RepositoryIndex of an empty repository unless the environment has a name to fill in.
	"MLSERVER_MODEL_NAME=dummy-model-fixme",
	// Numeric libraries would start a thread a core for each request, of each of many servers on one machine.
	"OMP_NUM_THREADS=1",
	"OPENBLAS_NUM_THREADS=1",
	"MKL_NUM_THREADS=1",
}

// Process describes MLServer as a local process on the given addresses, which must share one host: MLServer has a single
// setting for it, and can listen on TCP only. Two servers on one gRPC port do not fail, they share it (SO_REUSEPORT), so
// the launcher must own the port and wait for the end of a server before it starts the next.
func Process(config runtimes.ProcessConfig) (runtimes.Process, error) {
	repository := RepositoryDir(config.ModelsDir)
	env := merge(defaults, config.Env)
	env = merge(env, []string{
		"MLSERVER_MODELS_DIR=" + repository,
		"MLSERVER_MODEL_REPOSITORY_ROOT=" + repository,
		// What is there is from before and the adapter's to remove.
		"MLSERVER_LOAD_MODELS_AT_STARTUP=false",
		"MLSERVER_METRICS_DIR=" + filepath.Join(config.WorkDir, ".metrics"),
		"MLSERVER_ENVIRONMENTS_DIR=" + filepath.Join(config.WorkDir, ".envs"),
	})
	host := ""
	for _, listener := range []struct{ name, address string }{
		{"GRPC", config.GRPCAddress}, {"HTTP", config.HTTPAddress}, {"METRICS", config.MetricsAddress},
	} {
		h, port, err := net.SplitHostPort(listener.address)
		if err != nil {
			return runtimes.Process{}, fmt.Errorf("describe MLServer process: %s address: %w", listener.name, err)
		}
		if host != "" && h != host {
			return runtimes.Process{}, fmt.Errorf("describe MLServer process: it listens on one host, not on %s and %s", host, h)
		}
		host = h
		env = merge(env, []string{"MLSERVER_" + listener.name + "_PORT=" + port})
	}
	return runtimes.Process{
		Program: "mlserver",
		Args:    []string{"start", repository},
		Env:     merge(env, []string{"MLSERVER_HOST=" + host}),
		Install: "make runtime-mlserver",
	}, nil
}

// merge answers base with the variables of over added or replaced, each name once.
func merge(base, over []string) []string {
	merged := slices.Clone(base)
	for _, variable := range over {
		name, _, _ := strings.Cut(variable, "=")
		merged = slices.DeleteFunc(merged, func(old string) bool { return strings.HasPrefix(old, name+"=") })
		merged = append(merged, variable)
	}
	return merged
}
