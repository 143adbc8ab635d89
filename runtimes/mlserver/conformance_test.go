package mlserver_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/wasmesh/wasmesh/runtimes"
	"github.com/wasmesh/wasmesh/runtimes/runtimetest"
	"github.com/wasmesh/wasmesh/sdk/proto/inference"
)

func TestConformance(t *testing.T) {
	runtimetest.Run(t, func(t *testing.T) runtimetest.Fixture {
		s := newServer(t)
		return runtimetest.Fixture{
			Open:        s.open,
			DataAddress: s.address,
			ModelsDir:   s.modelsDir,
			Good: func(t *testing.T, id string) runtimes.Model {
				model, _ := digits(t, id)
				return model
			},
			Broken: func(t *testing.T, id string) runtimes.Model {
				dir := file(t, t.TempDir(), "model.joblib", "this is no joblib")
				return runtimes.Model{ID: id, FormatName: "sklearn", Path: filepath.Join(dir, "model.joblib")}
			},
			BrokenWords: `MLServer could not load "model.joblib" with mlserver_sklearn.SKLearnModel: `,
			Slow:        slow,
			Request: func(id string) *inference.ModelInferRequest {
				_, request := digits(t, id)
				return request
			},
			Check: func(response *inference.ModelInferResponse) error {
				if got := response.GetOutputs()[0].GetContents().GetInt64Contents(); len(got) != 1 || got[0] != 8 {
					return fmt.Errorf("the digit is %v, want 8", got)
				}
				return nil
			},
			Kill:  s.kill,
			Start: s.start,
		}
	})
}

// slowModel tells through a fifo that its load has begun, and then runs the given statement.
const slowModel = `
import asyncio, time
from mlserver import MLModel

class Slow(MLModel):
    async def load(self) -> bool:
        with open(self.settings.parameters.extra["fifo"], "w") as fifo:
            fifo.write("loading")
        %s
        return True
`

// slow makes a model whose load waits for an hour, blocking one whose load holds MLServer up as a library call does.
func slow(t *testing.T, id string) (runtimes.Model, func(context.Context) error) {
	return announced(t, id, "await asyncio.sleep(3600)")
}

func blocking(t *testing.T, id string) (runtimes.Model, func(context.Context) error) {
	return announced(t, id, "time.sleep(1)")
}

func announced(t *testing.T, id, statement string) (runtimes.Model, func(context.Context) error) {
	t.Helper()
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	// Open for both, so that neither side's open blocks.
	reader, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = reader.Close() })
	dir := file(t, t.TempDir(), "slowmodel.py", fmt.Sprintf(slowModel, statement))
	file(t, dir, "model-settings.json", fmt.Sprintf(`{"implementation": "slowmodel.Slow", "parameters": {"extra": {"fifo": %q}}}`, fifo))
	started := func(ctx context.Context) error {
		if deadline, ok := ctx.Deadline(); ok {
			if err := reader.SetReadDeadline(deadline); err != nil {
				return err
			}
		}
		_, err := reader.Read(make([]byte, 1))
		return err
	}
	return runtimes.Model{ID: id, FormatName: "python", Path: dir}, started
}
