package builtin_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/wasmesh/wasmesh/runtimes"
	"github.com/wasmesh/wasmesh/runtimes/builtin"
)

func TestLookup(t *testing.T) {
	for serverType, program := range map[string]string{"mlserver": "mlserver", "fake": "fake-runtime"} {
		found, err := builtin.Lookup(serverType)
		if err != nil {
			t.Fatal(err)
		}
		adapter, err := found.NewAdapter(runtimes.Config{ManagementAddress: "127.0.0.1:1", ModelsDir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		if err := adapter.Close(); err != nil {
			t.Error(err)
		}
		process, err := found.Process(runtimes.ProcessConfig{
			GRPCAddress: "127.0.0.1:1", HTTPAddress: "127.0.0.1:2", MetricsAddress: "127.0.0.1:3", ModelsDir: "/m", WorkDir: "/w",
		})
		if err != nil || process.Program != program || process.Install == "" {
			t.Errorf("%s: process %+v, %v; want program %s and how to install it", serverType, process, err, program)
		}
	}
}

func TestLookupOfOthers(t *testing.T) {
	_, err := builtin.Lookup("tensorrt")
	if err == nil || !strings.Contains(err.Error(), `"tensorrt"`) || !strings.Contains(err.Error(), "fake, mlserver") {
		t.Errorf("unknown type: %v; want its name and the known ones", err)
	}
	own, err := builtin.Lookup("")
	if err != nil {
		t.Fatal(err)
	}
	if adapter, err := own.NewAdapter(runtimes.Config{ManagementAddress: "unix:/run/models.sock"}); err != nil {
		t.Errorf("adapter for a runtime of the user's own: %v", err)
	} else if err := adapter.Close(); err != nil {
		t.Error(err)
	}
	if _, err := own.Process(runtimes.ProcessConfig{}); err == nil {
		t.Error("a runtime of the user's own got a local program")
	}
	names := []string{}
	for _, known := range builtin.Types() {
		names = append(names, known.Name)
	}
	if !slices.IsSorted(names) {
		t.Errorf("%v is not sorted", names)
	}
}

// TestAdaptersThatCannotBeMade: an error is an error, not an adapter that holds nil.
func TestAdaptersThatCannotBeMade(t *testing.T) {
	for _, known := range builtin.Types() {
		if adapter, err := known.NewAdapter(runtimes.Config{ModelsDir: "relative"}); err == nil || adapter != nil {
			t.Errorf("%s without an address: %v, %v; want an error alone", known.Name, adapter, err)
		}
	}
}
