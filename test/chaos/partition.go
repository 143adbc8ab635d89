package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/wasmesh/wasmesh/runtimes/fake"
	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
	"github.com/wasmesh/wasmesh/sdk/proto/inference"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
	"github.com/wasmesh/wasmesh/test/rig"
)

// Config of a partition.
type Config struct {
	// Bin is the directory of the programs.
	Bin string
	// Apart is how long the halves do not see each other.
	Apart time.Duration
	Out   io.Writer
}

const (
	hosts  = 4
	models = 24
	mib    = 1 << 20
	// settle bounds how long it may take until there is one copy of each model again: the scale-down period of the hosts
	// below and the seconds in which halves find each other.
	settle = 60 * time.Second
)

// Partition runs two hosts in each half, cuts the network between them under load, heals it, and reports an error unless
// no answer was wrong, no request failed but those that were in flight when it was cut, and there is one copy of each
// model in the end.
func Partition(ctx context.Context, c Config) (err error) {
	network, err := NewNetwork()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, network.Close()) }()
	dir, err := os.MkdirTemp("", "wasmesh-partition-")
	if err != nil {
		return err
	}
	config := rig.Config{
		Bin: c.Bin, Dir: dir, Hosts: hosts, CapacityBytes: 64 * mib, HostArgs: []string{"--scale-down-after=10s"},
		Place: func(k int) rig.Place {
			address, command, failed := network.Host(k % 2)
			err = errors.Join(err, failed)
			return rig.Place{Address: address, Command: command}
		},
	}
	for i := range models {
		config.Models = append(config.Models, rig.Model{Name: fmt.Sprintf("split-%02d", i), Artifact: fake.Artifact{LoadMS: fake.Milliseconds(50), SizeBytes: mib}})
	}
	mesh, failed := rig.Start(ctx, config)
	if err = errors.Join(err, failed); err != nil {
		return fmt.Errorf("%w; logs are in %s", err, dir)
	}
	err = c.partition(ctx, network, mesh)
	if err = errors.Join(err, mesh.Stop()); err != nil {
		return fmt.Errorf("%w; logs are in %s", err, dir)
	}
	return os.RemoveAll(dir)
}

func (c Config) partition(ctx context.Context, network *Network, mesh *rig.Mesh) error {
	whole, err := c.phase(ctx, mesh, "whole", 5*time.Second)
	if err != nil {
		return err
	}
	if err := c.untilOneCopy(ctx, mesh, time.Now()); err != nil {
		return err
	}
	if err := network.Cut(); err != nil {
		return err
	}
	cut := time.Now()
	apart, err := c.phase(ctx, mesh, "apart", c.Apart)
	if err != nil {
		return err
	}
	if err := network.Heal(); err != nil {
		return err
	}
	healed := time.Now()
	fmt.Fprintf(c.Out, "healed after %v\n", healed.Sub(cut).Round(time.Second))
	again, err := c.phase(ctx, mesh, "healed", 20*time.Second)
	if err != nil {
		return err
	}
	if err := c.untilOneCopy(ctx, mesh, healed); err != nil {
		return err
	}
	late := 0
	for _, f := range apart.failed {
		// A half finds out within two beats; what it had sent across until then is lost.
		if f.sent.After(cut.Add(5 * time.Second)) {
			late++
		}
	}
	fmt.Fprintf(c.Out, "figures: wrong=%d failed_whole=%d failed_at_cut=%d failed_apart=%d failed_healed=%d apart_s=%.0f\n",
		whole.wrong+apart.wrong+again.wrong, len(whole.failed), len(apart.failed)-late, late, len(again.failed), healed.Sub(cut).Seconds())
	if whole.wrong+apart.wrong+again.wrong+late+len(whole.failed)+len(again.failed) > 0 {
		return errors.New("requests failed, or were answered wrongly, that should not have been")
	}
	return nil
}

// answered is what became of the requests of a phase.
type answered struct {
	mu     sync.Mutex
	served map[string]int // by host asked
	failed []failure
	wrong  int
}

type failure struct {
	sent time.Time
	err  error
}

// phase asks every host for every model in turn.
func (c Config) phase(ctx context.Context, mesh *rig.Mesh, name string, during time.Duration) (*answered, error) {
	a := &answered{served: make(map[string]int)}
	end := time.Now().Add(during)
	var workers sync.WaitGroup
	for _, h := range mesh.Hosts() {
		workers.Go(func() {
			for i := 0; time.Now().Before(end) && ctx.Err() == nil; i++ {
				a.ask(ctx, h, fmt.Sprintf("split-%02d", i%models))
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	workers.Wait()
	copies, err := copiesByModel(ctx, mesh)
	if err != nil {
		return nil, err
	}
	most := 0
	for _, n := range copies {
		most = max(most, n)
	}
	fmt.Fprintf(c.Out, "%s: served by host %v, %d failed, %d wrong; %d models loaded, at most %d copies of one\n",
		name, a.served, len(a.failed), a.wrong, len(copies), most)
	for i, f := range a.failed {
		if i < 3 {
			fmt.Fprintln(c.Out, "  failed:", f.err)
		}
	}
	return a, ctx.Err()
}

func (a *answered) ask(ctx context.Context, h *rig.Host, model string) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	sent := time.Now()
	reply, err := h.Client().ModelInfer(ctx, &inference.ModelInferRequest{ModelName: model, Inputs: []*inference.ModelInferRequest_InferInputTensor{{
		Name: "x", Datatype: "FP32", Shape: []int64{1, 1}, Contents: &inference.InferTensorContents{Fp32Contents: []float32{1}},
	}}})
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case err != nil:
		a.failed = append(a.failed, failure{sent, err})
	case !strings.HasPrefix(reply.GetModelName(), model+"__isvc-"):
		a.wrong++
	default:
		a.served[h.ID]++
	}
}

func copiesByModel(ctx context.Context, mesh *rig.Mesh) (map[string]int, error) {
	reply, err := mesh.Admin().ListModels(ctx, &adminv1.ListModelsRequest{})
	if err != nil {
		return nil, err
	}
	copies := make(map[string]int)
	for _, model := range reply.GetModels() {
		for _, at := range model.GetCopies() {
			if at.GetCopy().GetState() == syncv1.CopyState_COPY_STATE_LOADED {
				copies[model.GetModel().GetAlias()]++
			}
		}
	}
	return copies, nil
}

// untilOneCopy waits until every model is loaded once.
func (c Config) untilOneCopy(ctx context.Context, mesh *rig.Mesh, since time.Time) error {
	for {
		copies, err := copiesByModel(ctx, mesh)
		if err != nil {
			return err
		}
		more := 0
		for _, n := range copies {
			if n > 1 {
				more++
			}
		}
		if len(copies) == models && more == 0 {
			fmt.Fprintf(c.Out, "one copy of each model after %v\n", time.Since(since).Round(100*time.Millisecond))
			return nil
		}
		if time.Since(since) > settle {
			return fmt.Errorf("%d of %d models are loaded, %d of them more than once, %v after the network was whole", len(copies), models, more, settle)
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
