// Package mesh measures what a mesh of several hosts does to requests: a stampede on a model that is nowhere, cold starts
// one at a time, the loss of a host, a rolling drain, a sudden step of load on one model, and hits while many wait. Hosts
// are the shipped programs, each a process; runtimes are fakes in this process, so that the moment at which a load ended
// is known exactly. What is printed is compared within one run: a latency with the runtime's own, a busy mesh with the
// same mesh at rest.
package mesh

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/wasmesh/wasmesh/runtimes/fake"
	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
	"github.com/wasmesh/wasmesh/sdk/proto/inference"
	"github.com/wasmesh/wasmesh/test/rig"
)

// Config of a measurement.
type Config struct {
	// Bin is the directory of the programs.
	Bin string
	Out io.Writer
}

// Figures are a measurement's results by name.
type Figures map[string]float64

// Scenario is one measurement.
type Scenario struct {
	Name string
	Run  func(context.Context, Config) (Figures, error)
}

// Scenarios are all of them, in the order in which they are run.
func Scenarios() []Scenario {
	return []Scenario{
		{"stampede", Stampede}, {"cold", Cold}, {"isolation", Isolation}, {"kill", Kill}, {"drain", Drain}, {"step", Step},
	}
}

// within runs a measurement on a mesh of its own.
func within(ctx context.Context, c Config, mesh rig.Config, measure func(*rig.Mesh) error) error {
	dir, err := os.MkdirTemp("", "wasmesh-bench-")
	if err != nil {
		return err
	}
	mesh.Bin, mesh.Dir = c.Bin, dir
	m, err := rig.Start(ctx, mesh)
	if err != nil {
		return fmt.Errorf("%w; logs are in %s", err, dir)
	}
	err = measure(m)
	if stopped := m.Stop(); err == nil {
		err = stopped
	}
	if err != nil {
		return fmt.Errorf("%w; logs are in %s", err, dir)
	}
	return os.RemoveAll(dir)
}

// ask sends one small request.
func ask(ctx context.Context, host *rig.Host, model string) error {
	_, err := host.Client().ModelInfer(ctx, request(model))
	return err
}

func request(model string) *inference.ModelInferRequest {
	return &inference.ModelInferRequest{ModelName: model, Inputs: []*inference.ModelInferRequest_InferInputTensor{{
		Name: "x", Datatype: "FP32", Shape: []int64{1, 1}, Contents: &inference.InferTensorContents{Fp32Contents: []float32{1}},
	}}}
}

// modelIDs answers the concrete id behind every InferenceService.
func modelIDs(ctx context.Context, m *rig.Mesh) (map[string]string, error) {
	reply, err := m.Admin().ListModels(ctx, &adminv1.ListModelsRequest{})
	if err != nil {
		return nil, err
	}
	ids := make(map[string]string)
	for _, model := range reply.GetModels() {
		ids[model.GetModel().GetAlias()] = model.GetModel().GetId()
	}
	return ids, nil
}

// holders are the hosts in whose runtime the model is loaded.
func holders(m *rig.Mesh, modelID string) (hosts []*rig.Host) {
	for _, h := range m.Hosts() {
		if runtime := h.Runtime(); runtime != nil {
			if _, _, ok := runtime.LoadSpan(modelID); ok {
				hosts = append(hosts, h)
			}
		}
	}
	return hosts
}

// untilLoaded asks for every model once, so that each is somewhere.
func untilLoaded(ctx context.Context, m *rig.Mesh, names []string) error {
	for i, name := range names {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		err := ask(ctx, m.Hosts()[i%len(m.Hosts())], name)
		cancel()
		if err != nil {
			return fmt.Errorf("first request for %s: %w", name, err)
		}
	}
	return nil
}

// numbered makes n models of one behaviour.
func numbered(prefix string, n int, artifact fake.Artifact) (models []rig.Model, names []string) {
	for i := range n {
		name := fmt.Sprintf("%s-%03d", prefix, i)
		models, names = append(models, rig.Model{Name: name, Artifact: artifact}), append(names, name)
	}
	return models, names
}

// forgetful has models unloaded soon after their last use. A new model is loaded in the background once; this is how it
// is nowhere again before it is measured.
func forgetful(models []rig.Model) []rig.Model {
	for i := range models {
		models[i].Annotations = map[string]string{"wasmesh.dev/idle-ttl": "1s"}
	}
	return models
}

// untilUnloaded returns when no runtime has held a model for two looks a second apart.
func untilUnloaded(ctx context.Context, m *rig.Mesh) error {
	const calm = 3
	for empty := 0; empty < calm; {
		select {
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
		empty++
		for _, h := range m.Hosts() {
			if h.Runtime().Calls().Bytes > 0 {
				empty = 0
			}
		}
	}
	return nil
}

// quantile of durations, which it sorts.
func quantile(of []time.Duration, q float64) time.Duration {
	if len(of) == 0 {
		return 0
	}
	slices.Sort(of)
	return of[min(int(q*float64(len(of))), len(of)-1)]
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// Print writes figures in one line for programs.
func Print(w io.Writer, figures Figures) {
	names := make([]string, 0, len(figures))
	for name := range figures {
		names = append(names, name)
	}
	slices.Sort(names)
	parts := make([]string, len(names))
	for i, name := range names {
		parts[i] = fmt.Sprintf("%s=%.4g", name, figures[name])
	}
	fmt.Fprintln(w, "figures:", strings.Join(parts, " "))
}
