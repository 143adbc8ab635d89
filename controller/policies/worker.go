package policies

import (
	"context"

	"github.com/wasmesh/wasmesh/controller/policyconfig"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// job is slow work. It answers how to take its result over, which is done by whoever gave the job; nil for nothing.
type job func(ctx context.Context) (finish func())

// worker does one job at a time. It has no queue: while it is busy it takes none.
type worker struct {
	// jobs has room for the one, so that to give it never blocks.
	jobs chan job
	// done receives what is left to do after a job, on the goroutine that gave it.
	done  chan func()
	busy  bool
	ended chan struct{}
	// left is what nobody took from done; to be read once ended is closed.
	left func()
}

func startWorker(ctx context.Context) *worker {
	w := &worker{jobs: make(chan job, 1), done: make(chan func()), ended: make(chan struct{})}
	go func() {
		defer close(w.ended)
		for {
			select {
			case <-ctx.Done():
				return
			case j := <-w.jobs:
				finish := j(ctx)
				select {
				case w.done <- func() { w.busy = false; finish() }:
				case <-ctx.Done():
					w.left = finish
					return
				}
			}
		}
	}()
	return w
}

// offer has the worker do a job, unless it is nil or the worker is busy.
func (w *worker) offer(j job) {
	if j == nil || w.busy {
		return
	}
	w.busy = true
	w.jobs <- j
}

// wait ends with the goroutine, after its context. It does what is left to do on the goroutine that gave the job: that one
// may have been in the middle of a step when the context ended.
func (w *worker) wait() {
	<-w.ended
	if w.left != nil {
		w.left()
	}
}

// work answers the next thing that is to be done off the goroutine; nil for nothing. What decides comes before what may.
func (r *Runner) work() job {
	if meta := r.status.missing(); meta != nil {
		if module := r.module(meta); module != nil {
			return r.prepare(meta, module)
		}
	}
	for _, d := range r.declarations {
		if v, known := r.verdicts[d.Name]; d.Fault == "" && (!known || v.revision != d.Revision) {
			return r.verify(d)
		}
	}
	return nil
}

// module of a generation that is in a plan; nil when it is not in one any more.
func (r *Runner) module(meta *syncv1.Generation) []byte {
	return r.machine.Modules()[string(meta.GetModuleDigest())]
}

func (r *Runner) prepare(meta *syncv1.Generation, module []byte) job {
	return func(ctx context.Context) func() {
		p := r.status.prepare(ctx, meta, module)
		return func() {
			if p != nil && r.status.adopt(meta.GetId(), p) {
				signal(r.changed)
			}
		}
	}
}

func (r *Runner) verify(d policyconfig.Declaration) job {
	return func(ctx context.Context) func() {
		v := r.verifier.verify(ctx, d)
		return func() {
			if v != nil {
				r.verdicts[d.Name] = verdict{d.Revision, v}
			}
		}
	}
}
