package servingruntime

import (
	"context"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/source"
)

// followInterval is the least time between two looks at the View: it changes with every status.
const followInterval = 200 * time.Millisecond

// request is one for a reconciler.
type request = event.TypedGenericEvent[ctrl.Request]

// follower keeps what the newest View declares, and queues what has changed. Run owns everything but current.
type follower struct {
	deps             Deps
	current          atomic.Pointer[declared]
	runtimes, meshes chan request
}

func newFollower(deps Deps) *follower {
	return &follower{deps: deps, runtimes: make(chan request), meshes: make(chan request)}
}

// newest answers nil before the first View of a catalog that was published.
func (f *follower) newest() *declared { return f.current.Load() }

// Start implements manager.Runnable.
func (f *follower) Start(ctx context.Context) error {
	for {
		view, changed := f.deps.Decisions.View()
		rows := f.deps.Mesh.Rows()
		// Without rows nobody knows which claims models need.
		if view != nil && rows != nil {
			before, now := f.newest(), newDeclared(view, rows, f.deps.Meshes(), f.deps.Config())
			f.current.Store(now)
			runtimes, meshes := now.changedSince(before)
			for _, mesh := range meshes {
				send(ctx, f.meshes, types.NamespacedName{Name: mesh})
			}
			for _, key := range runtimes {
				send(ctx, f.runtimes, key)
			}
		}
		if !f.wait(ctx, changed) {
			return nil
		}
	}
}

// wait returns false when the context ended.
func (f *follower) wait(ctx context.Context, changed <-chan struct{}) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(followInterval):
	}
	select {
	case <-ctx.Done():
		return false
	case <-changed:
		return true
	}
}

func send(ctx context.Context, to chan<- request, key types.NamespacedName) {
	select {
	case to <- request{Object: ctrl.Request{NamespacedName: key}}:
	case <-ctx.Done():
	}
}

// fed is a source of what a follower sends.
func fed(from chan request) source.Source {
	return source.TypedChannel(from, handler.TypedFuncs[ctrl.Request, ctrl.Request]{
		GenericFunc: func(_ context.Context, e request, queue workqueue.TypedRateLimitingInterface[ctrl.Request]) {
			queue.Add(e.Object)
		},
	})
}
