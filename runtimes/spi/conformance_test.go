package spi_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/wasmesh/wasmesh/runtimes"
	"github.com/wasmesh/wasmesh/runtimes/fake"
	"github.com/wasmesh/wasmesh/runtimes/runtimetest"
	"github.com/wasmesh/wasmesh/runtimes/spi"
	"github.com/wasmesh/wasmesh/sdk/proto/inference"
)

// TestConformance drives the fake runtime through the SPI.
func TestConformance(t *testing.T) {
	runtimetest.Run(t, func(t *testing.T) runtimetest.Fixture {
		address := runtimetest.FreeAddress(t)
		artifacts := t.TempDir()
		var server *fake.Server
		start := func(t *testing.T) {
			var err error
			if server, err = fake.Listen(address, fake.Config{CapacityBytes: 8 << 20}); err != nil {
				t.Fatal(err)
			}
		}
		start(t)
		t.Cleanup(func() { server.Kill() })

		artifact := func(a fake.Artifact) func(*testing.T, string) runtimes.Model {
			return func(t *testing.T, id string) runtimes.Model {
				path := filepath.Join(artifacts, id+".json")
				if err := a.WriteFile(path); err != nil {
					t.Fatal(err)
				}
				return runtimes.Model{ID: id, FormatName: "fake", Path: path}
			}
		}
		return runtimetest.Fixture{
			Open: func(t *testing.T) runtimes.Adapter {
				adapter, err := spi.New(runtimes.Config{ManagementAddress: address})
				if err != nil {
					t.Fatal(err)
				}
				return adapter
			},
			DataAddress: address,
			ModelsDir:   t.TempDir(),
			Good:        artifact(fake.Artifact{}),
			Broken: func(t *testing.T, id string) runtimes.Model {
				path := filepath.Join(artifacts, id+".broken")
				if err := os.WriteFile(path, []byte("no fake model"), 0o644); err != nil {
					t.Fatal(err)
				}
				return runtimes.Model{ID: id, FormatName: "fake", Path: path}
			},
			BrokenWords: "is not a model of the fake runtime",
			Slow: func(t *testing.T, id string) (runtimes.Model, func(context.Context) error) {
				model := artifact(fake.Artifact{LoadMS: fake.Milliseconds(3_600_000)})(t, id)
				return model, func(ctx context.Context) error { return server.WaitLoading(ctx, id) }
			},
			Request: func(id string) *inference.ModelInferRequest {
				return &inference.ModelInferRequest{
					ModelName: id,
					Inputs: []*inference.ModelInferRequest_InferInputTensor{{
						Name: "x", Datatype: "BYTES", Shape: []int64{1},
						Contents: &inference.InferTensorContents{BytesContents: [][]byte{[]byte("echo")}},
					}},
				}
			},
			Check: func(response *inference.ModelInferResponse) error {
				if len(response.GetOutputs()) != 1 || string(response.GetOutputs()[0].GetContents().GetBytesContents()[0]) != "echo" {
					return fmt.Errorf("the answer %v is not an echo", response)
				}
				return nil
			},
			Kill:       func(*testing.T) { server.Kill() },
			Start:      start,
			CannotTell: true,
		}
	})
}
