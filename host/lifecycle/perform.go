package lifecycle

import (
	"context"
	"time"

	"github.com/wasmesh/wasmesh/host/lifecycle/machine"
	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/runtimes"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// perform does or starts one effect. It runs on the loop's goroutine and never waits. How many estimates, pulls and
// loads run at once is the machine's decision; unloads and removals go through lanes.
func (e *Executor) perform(ctx context.Context, effect machine.Effect) {
	switch effect := effect.(type) {
	case machine.Estimate:
		e.begin(ctx, effect.ID, estimateTimeout, func(ctx context.Context) machine.Event { return e.estimate(ctx, effect) })
	case machine.Pull:
		e.metrics.queueDelay.Observe(milliseconds(effect.Queued))
		e.begin(ctx, effect.ID, pullTimeout, func(ctx context.Context) machine.Event { return e.pull(ctx, effect) })
	case machine.Load:
		s := e.runtime.session.Load()
		s.calls.Add(1)
		e.begin(s.ctx, effect.ID, s.loadTimeout, func(ctx context.Context) machine.Event { return e.load(ctx, s, effect) }, s.calls.Done)
	case machine.CancelLoad:
		if cancel, ok := e.work.cancels[effect.ID]; ok {
			cancel()
		}
	case machine.Unload:
		s := e.runtime.session.Load()
		e.work.unloads.run(func() {
			s.calls.Add(1)
			e.workers.Go(func() {
				defer s.calls.Done()
				e.post(delivery{event: e.unload(s.ctx, effect), first: e.work.unloads.done})
			})
		})
	case machine.RemoveFiles:
		e.work.removals.run(func() {
			e.workers.Go(func() {
				e.removeFiles(ctx, effect.Model)
				e.post(delivery{event: machine.FilesRemoved(effect), first: e.work.removals.done})
			})
		})
	case machine.Publish:
		e.publish(effect)
	case machine.Evicted:
		e.metrics.evictions.Inc()
		e.metrics.evictionAge.Observe(milliseconds(effect.Unused))
		e.deps.Logger.Info("evicting model to make room", "model", effect.Model, "unused", effect.Unused.Round(time.Millisecond),
			"keep", effect.Keep, "decision", effect.Decision)
	case machine.Decided:
		if e.deps.Policies != nil {
			e.deps.Policies.Decided(effect)
		}
	case machine.Worth:
		e.worth.Store(&effect)
	case machine.Reserved, machine.GaveUp:
		e.work.answer = effect
	case machine.Remember:
		if e.deps.Mesh != nil {
			e.deps.Mesh.Remember(effect)
		}
	case machine.Offer:
		if e.deps.Mesh != nil {
			e.deps.Mesh.Offer(effect)
		}
	case machine.Wake:
		if effect.Copy == nil {
			e.tellAll() // Who got none looks around now.
		}
		e.wake(effect)
	case machine.SetTimer:
		e.setTimer(effect.At)
	}
}

func (e *Executor) setTimer(at time.Time) {
	if at.IsZero() {
		e.work.timer.Stop()
		return
	}
	e.work.timer.Reset(time.Until(at))
}

// begin starts work that CancelLoad ends early, and that answers with an event. after runs when that has been handed over.
func (e *Executor) begin(
	ctx context.Context, id modelcache.CopyID, timeout time.Duration,
	work func(context.Context) machine.Event, after ...func(),
) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	e.work.cancels[id] = cancel
	e.workers.Go(func() {
		event := work(ctx)
		e.post(delivery{event: event, first: func() {
			cancel()
			delete(e.work.cancels, id)
		}})
		for _, f := range after {
			f()
		}
	})
}

func (e *Executor) estimate(ctx context.Context, effect machine.Estimate) machine.Event {
	started := time.Now()
	var bytes int64
	err := e.guarded("size model", func() (err error) {
		bytes, _, err = e.deps.Artifacts.Size(ctx, effect.Model.GetStorage())
		return err
	})
	e.metrics.sizing.Observe(milliseconds(time.Since(started)))
	fault := storageFault(ctx, err)
	e.countFailure(fault)
	return machine.Estimated{ID: effect.ID, Bytes: bytes, Fault: fault}
}

func (e *Executor) pull(ctx context.Context, effect machine.Pull) machine.Event {
	done, started := machine.Pulled{ID: effect.ID}, time.Now()
	err := e.guarded("pull model", func() error {
		artifact, err := e.deps.Artifacts.Pull(ctx, effect.Model.GetId(), effect.Model.GetStorage())
		done.Artifact = machine.Artifact(artifact)
		return err
	})
	done.Took, done.Fault = time.Since(started), storageFault(ctx, err)
	e.countFailure(done.Fault)
	return done
}

func (e *Executor) load(ctx context.Context, s *session, effect machine.Load) machine.Event {
	row, started := effect.Model, time.Now()
	var loaded runtimes.Loaded
	err := e.guarded("load model", func() (err error) {
		loaded, err = e.deps.Runtime.Load(ctx, runtimes.Model{
			ID:         row.GetId(),
			FormatName: row.GetType().GetName(), FormatVersion: row.GetType().GetVersion(),
			Path: effect.Artifact.Path, SchemaPath: effect.Artifact.SchemaPath, DiskBytes: effect.Artifact.Bytes,
		})
		return err
	})
	took := time.Since(started)
	fault := runtimeFault(ctx, "load", err)
	if fault == nil {
		e.metrics.load.Observe(milliseconds(took))
		e.deps.Logger.Info("model loaded", "model", row.GetId(), "took", took.Round(time.Millisecond), "reported_bytes", loaded.SizeBytes)
	}
	e.countFailure(fault)
	if fault != nil && fault.Cause == machine.RuntimeUnavailable {
		// If the runtime turns out to be lost, the machine hears that first, and this is old news to it.
		e.Suspect()
		_ = e.inDoubt(s.ctx)
	}
	return machine.LoadDone{
		ID: effect.ID, SizeBytes: loaded.SizeBytes, MaxConcurrency: loaded.MaxConcurrency, Took: took, Fault: fault,
	}
}

// countFailure counts attempts that failed; the log has them when the machine says what becomes of the model.
func (e *Executor) countFailure(fault *machine.Fault) {
	if fault != nil && fault.Cause != machine.Cancelled {
		e.metrics.loadFailures.Inc()
	}
}

func (e *Executor) unload(ctx context.Context, effect machine.Unload) machine.Event {
	ctx, cancel := context.WithTimeout(ctx, unloadTimeout)
	defer cancel()
	started := time.Now()
	err := e.guarded("unload model", func() error { return e.deps.Runtime.Unload(ctx, effect.Model) })
	fault := runtimeFault(ctx, "unload", err)
	if fault == nil {
		e.metrics.unload.Observe(milliseconds(time.Since(started)))
		e.deps.Logger.Info("model unloaded", "model", effect.Model)
	} else if fault.Cause != machine.Cancelled {
		e.metrics.unloadFailures.Inc()
		e.deps.Logger.Warn("unload failed; trying again", "model", effect.Model, "error", err)
	}
	if fault != nil && fault.Cause == machine.RuntimeUnavailable {
		e.Suspect()
	}
	return machine.Unloaded{ID: effect.ID, Fault: fault}
}

// removeFiles is housekeeping: what it leaves behind the next pull of the model finds, or the next start of the host.
func (e *Executor) removeFiles(ctx context.Context, modelID string) {
	ctx, cancel := context.WithTimeout(ctx, removeTimeout)
	defer cancel()
	if err := e.guarded("remove model", func() error { return e.deps.Artifacts.Remove(ctx, modelID) }); err != nil && ctx.Err() == nil {
		e.deps.Logger.Warn("model files not removed", "model", modelID, "error", err)
	}
}

// unserve has requests find the model no more. Who waits at its copy asks anew.
func (e *Executor) unserve(modelID string) {
	value, _ := e.requests.served.LoadAndDelete(modelID)
	if found, _ := value.(*served); found != nil && found.gate != nil {
		found.gate.close()
	}
}

// untold is a state that the mesh has to hear of; message is nil for nothing.
type untold struct {
	machine.Publish
	message *syncv1.Copy
}

// publish has requests find a model as it is now. The mesh hears of it when those who get it have been woken.
func (e *Executor) publish(p machine.Publish) {
	message := copyMessage(p)
	delete(e.work.told, p.Model)
	if p.State == machine.Loaded {
		found := &served{modelID: p.Model, key: p.Key, copy: p.Copy, loadedAt: p.Since, gate: newGate(p.MaxConcurrency)}
		e.requests.served.Store(p.Model, found)
		setUse(message, found)
		e.work.told[p.Model] = told{served: found, message: message, at: time.Now()}
		e.metrics.modelSize.Observe(float64(p.Size[modelcache.HostMemory]))
	} else {
		e.unserve(p.Model)
	}
	e.requests.stages.Store(p.Model, p.State)
	if p.State == machine.Absent || p.Offered {
		e.requests.stages.Delete(p.Model)
	}
	e.work.untold = append(e.work.untold, untold{p, message})
}

// tellAll tells the mesh of what this step has published so far.
func (e *Executor) tellAll() {
	for _, p := range e.work.untold {
		e.tell(p)
	}
	clear(e.work.untold)
	e.work.untold = e.work.untold[:0]
}

// tell tells the mesh of a model's state.
func (e *Executor) tell(p untold) {
	if p.State == machine.Failed {
		e.deps.Logger.Warn("model failed", "model", p.Model, "reason", p.Failure.Reason.String(), "message", p.Failure.Message,
			"attempts", p.Failure.Attempts, "retry_in", time.Until(p.Failure.RetryAt).Round(time.Second))
	} else {
		e.deps.Logger.Debug("model state", "model", p.Model, "state", p.State.String())
	}
	switch {
	case p.message == nil:
		e.deps.Publisher.Withdraw(p.Model)
	case p.Offered:
		e.deps.Publisher.PublishOffer(p.message)
	default:
		e.deps.Publisher.Publish(p.message)
	}
}

// ReclaimCurve is what it would cost to free memory here. It is up to a second old, or longer while nothing changes.
func (e *Executor) ReclaimCurve() modelcache.Curve { return e.worth.Load().Reclaim }

func (e *Executor) publishFigures() {
	stats, ledger := e.machine.Stats(), e.machine.Ledger().Stats()
	for _, t := range e.work.told {
		if t.served.gate != nil { // To the ledger these are in flight.
			_, waiting := t.served.gate.counts()
			stats.Waiting += waiting
			ledger.InFlight = max(ledger.InFlight-waiting, 0)
		}
	}
	e.deps.Publisher.PublishLoad(&syncv1.Load{
		Used:             resourcesMessage(ledger.Used),
		LoadsQueued:      uint32(stats.Queued),
		LoadsRunning:     uint32(stats.Running),
		RequestsInFlight: uint32(ledger.InFlight),
		RequestsWaiting:  uint32(stats.Waiting),
	})
}
