// Package builtin is the table of server types that a ServingRuntime may name in builtInAdapter.serverType: for each the
// adapter that a host drives it with, and how the standalone launcher runs it as a local process. It is the one place
// that knows every adapter.
package builtin

import (
	"fmt"
	"strings"

	"github.com/wasmesh/wasmesh/runtimes"
	"github.com/wasmesh/wasmesh/runtimes/fake"
	"github.com/wasmesh/wasmesh/runtimes/mlserver"
	"github.com/wasmesh/wasmesh/runtimes/spi"
)

// Type is one kind of inference server.
type Type struct {
	// Name is the serverType.
	Name string
	// NewAdapter makes the adapter without waiting for the server.
	NewAdapter func(runtimes.Config) (runtimes.Adapter, error)
	// Process describes the server as a local process.
	Process func(runtimes.ProcessConfig) (runtimes.Process, error)
}

// Types answers the table, sorted by name.
func Types() []Type {
	return []Type{
		{Name: "fake", NewAdapter: newSPI, Process: fake.Process},
		{Name: "mlserver", NewAdapter: newMLServer, Process: mlserver.Process},
	}
}

// Lookup finds a server type. The empty name is a runtime that speaks mmesh.ModelRuntime itself; its program is the
// ServingRuntime's own, so it has no Process.
func Lookup(serverType string) (Type, error) {
	if serverType == "" {
		return Type{NewAdapter: newSPI, Process: noProcess}, nil
	}
	var known []string
	for _, t := range Types() {
		if t.Name == serverType {
			return t, nil
		}
		known = append(known, t.Name)
	}
	return Type{}, fmt.Errorf("unknown builtInAdapter.serverType %q: the known ones are %s; a runtime that implements "+
		"mmesh.ModelRuntime itself needs no builtInAdapter", serverType, strings.Join(known, ", "))
}

func newSPI(config runtimes.Config) (runtimes.Adapter, error) {
	adapter, err := spi.New(config)
	if err != nil {
		return nil, err
	}
	return adapter, nil
}

func newMLServer(config runtimes.Config) (runtimes.Adapter, error) {
	adapter, err := mlserver.New(config)
	if err != nil {
		return nil, err
	}
	return adapter, nil
}

func noProcess(runtimes.ProcessConfig) (runtimes.Process, error) {
	return runtimes.Process{}, fmt.Errorf("a runtime without builtInAdapter has no local program: it needs the container " +
		"of its ServingRuntime, so run it in a cluster, or name a builtInAdapter.serverType")
}
