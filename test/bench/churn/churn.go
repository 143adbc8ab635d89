// Package churn asks for far more models than fit into memory, as fast as answers come back, and sees whether the mesh
// keeps its promises: no request fails, and no runtime ever holds more than its capacity. The set-up is the one in which
// ModelMesh was measured: memory for 50 models of 10 MiB, Zipf(1.0) over 500, 16 requests in flight.
package churn

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wasmesh/wasmesh/runtimes/fake"
	"github.com/wasmesh/wasmesh/sdk/proto/inference"
	"github.com/wasmesh/wasmesh/test/rig"
)

// The shape of the load.
const (
	models     = 500
	modelBytes = 10 << 20
	fitting    = 50
	inFlight   = 16
	// patience is the deadline of a request: loads queue up behind each other, and that is no failure.
	patience = 60 * time.Second
)

// Config of a run.
type Config struct {
	// Bin is the directory of the programs.
	Bin string
	// Hosts share the memory equally.
	Hosts int
	// Load is how long a model takes to load.
	Load time.Duration
	// Time is how long requests are sent.
	Time time.Duration
}

// Result of a run.
type Result struct {
	Requests, Failed int
	// Failures are messages, a few of each run.
	Failures []string
	// HitPercent of the requests found their model loaded.
	HitPercent float64
	// UsedVsCapacity is the most that a runtime ever held, loads and unloads under way included, over its capacity.
	UsedVsCapacity float64
	// Refused are loads that a runtime refused for want of memory, Torn are unloads under a request: a host causes none.
	Refused, Torn int
	Loads         int
	P50, P99      time.Duration
}

// Run starts a mesh, asks, and stops it.
func Run(ctx context.Context, config Config) (result Result, err error) {
	dir, err := os.MkdirTemp("", "wasmesh-churn-")
	if err != nil {
		return result, err
	}
	defer os.RemoveAll(dir)
	served := make([]rig.Model, models)
	for i := range served {
		served[i] = rig.Model{
			Name:     fmt.Sprintf("churn-%03d", i),
			Artifact: fake.Artifact{LoadMS: fake.Milliseconds(config.Load.Milliseconds()), SizeBytes: modelBytes},
		}
	}
	mesh, err := rig.Start(ctx, rig.Config{
		Bin: config.Bin, Dir: dir, Hosts: config.Hosts, CapacityBytes: fitting * modelBytes / int64(config.Hosts), Models: served,
	})
	if err != nil {
		return result, err
	}
	defer func() {
		if stopped := mesh.Stop(); err == nil {
			err = stopped
		}
	}()
	missesBefore, err := misses(ctx, mesh)
	if err != nil {
		return result, err
	}
	took := ask(ctx, mesh, config.Time, &result)
	missesAfter, err := misses(ctx, mesh)
	if err != nil {
		return result, err
	}
	result.HitPercent = 100 * (1 - (missesAfter-missesBefore)/float64(max(result.Requests, 1)))
	for _, h := range mesh.Hosts() {
		calls := h.Runtime().Calls()
		result.UsedVsCapacity = max(result.UsedVsCapacity, float64(calls.PeakBytes)/float64(fitting*modelBytes/config.Hosts))
		result.Refused += calls.OverCapacity
		result.Torn += calls.UnloadedInFlight
		result.Loads += calls.Loads
	}
	slices.Sort(took)
	if n := len(took); n > 0 {
		result.P50, result.P99 = took[n/2], took[n*99/100]
	}
	return result, nil
}

// ask keeps inFlight requests in flight and answers how long each took.
func ask(ctx context.Context, mesh *rig.Mesh, during time.Duration, result *Result) (took []time.Duration) {
	popularity := zipf(models)
	var mu sync.Mutex
	var turn atomic.Uint64
	var workers sync.WaitGroup
	end := time.Now().Add(during)
	for w := range inFlight {
		random := rand.New(rand.NewPCG(1, uint64(w)))
		workers.Go(func() {
			for time.Now().Before(end) && ctx.Err() == nil {
				host := mesh.Hosts()[turn.Add(1)%uint64(len(mesh.Hosts()))]
				name := fmt.Sprintf("churn-%03d", pick(popularity, random.Float64()))
				started := time.Now()
				err := askOne(ctx, host, name)
				mu.Lock()
				result.Requests++
				took = append(took, time.Since(started))
				if err != nil {
					if result.Failed++; len(result.Failures) < 5 {
						result.Failures = append(result.Failures, err.Error())
					}
				}
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	return took
}

func askOne(ctx context.Context, host *rig.Host, name string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := host.Client().ModelInfer(ctx, &inference.ModelInferRequest{ModelName: name, Inputs: []*inference.ModelInferRequest_InferInputTensor{{
		Name: "x", Datatype: "FP32", Shape: []int64{1, 1}, Contents: &inference.InferTensorContents{Fp32Contents: []float32{1}},
	}}})
	return err
}

// zipf is the cumulative popularity of n models, exponent 1.
func zipf(n int) []float64 {
	cumulative, sum := make([]float64, n), 0.0
	for i := range cumulative {
		sum += 1 / float64(i+1)
		cumulative[i] = sum
	}
	for i := range cumulative {
		cumulative[i] /= sum
	}
	return cumulative
}

func pick(cumulative []float64, at float64) int {
	i, _ := slices.BinarySearch(cumulative, at)
	return min(i, len(cumulative)-1)
}

// misses is how many requests waited for a load, as the hosts count them.
func misses(ctx context.Context, mesh *rig.Mesh) (total float64, err error) {
	for _, h := range mesh.Hosts() {
		n, err := h.Metric(ctx, "modelmesh_cache_miss_milliseconds_count")
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}
