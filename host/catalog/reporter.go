package catalog

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
	"google.golang.org/protobuf/proto"
)

// Reporter collects what this host has to say about its copies until the stream can carry it. Bursts coalesce: of a copy
// only the newest state is ever sent. Its size is bounded by the models of the catalog.
type Reporter struct {
	// wake holds one token when there is something new.
	wake chan struct{}
	// replies are handed to the stream one by one; nobody takes them while there is none.
	replies chan *syncv1.DecisionsReply

	mu sync.Mutex // guards below
	// copies is everything that the host holds or has failed.
	copies map[string]*syncv1.Copy
	// dirty are model ids whose copy changed or went since the last take.
	dirty        map[string]struct{}
	load         *syncv1.Load
	loadDirty    bool
	state        syncv1.RuntimeState
	stateMessage string
	// draining is nil while the host does not leave.
	draining *syncv1.Draining
	demands  []*syncv1.Demand
	// policies is what was last said of policies; nil for nothing yet.
	policies      *syncv1.PolicyReport
	policiesDirty bool
}

// NewReporter makes a Reporter of a host that holds nothing and whose runtime is starting.
func NewReporter() *Reporter {
	return &Reporter{
		wake:    make(chan struct{}, 1),
		replies: make(chan *syncv1.DecisionsReply),
		copies:  make(map[string]*syncv1.Copy),
		dirty:   make(map[string]struct{}),
		state:   syncv1.RuntimeState_RUNTIME_STATE_STARTING,
	}
}

// Publish records the present state of one copy. The message must not be changed afterwards.
func (r *Reporter) Publish(modelCopy *syncv1.Copy) {
	r.mu.Lock()
	r.copies[modelCopy.GetModelId()] = modelCopy
	r.dirty[modelCopy.GetModelId()] = struct{}{}
	r.mu.Unlock()
	r.signal()
}

// Withdraw records that the host holds nothing of this model any more and has no failure to tell of it.
func (r *Reporter) Withdraw(modelID string) {
	r.mu.Lock()
	if _, known := r.copies[modelID]; known {
		delete(r.copies, modelID)
		r.dirty[modelID] = struct{}{}
	}
	r.mu.Unlock()
	r.signal()
}

// PublishLoad records load figures; equal figures are not sent again.
func (r *Reporter) PublishLoad(load *syncv1.Load) {
	r.mu.Lock()
	changed := !proto.Equal(r.load, load)
	if changed {
		r.load, r.loadDirty = load, true
	}
	r.mu.Unlock()
	if changed {
		r.signal()
	}
}

// PublishRuntime records whether the runtime beside this host can serve, and why not.
func (r *Reporter) PublishRuntime(state syncv1.RuntimeState, message string) {
	r.mu.Lock()
	changed := r.state != state || r.stateMessage != message
	if changed {
		r.state, r.stateMessage, r.loadDirty = state, message, true
	}
	r.mu.Unlock()
	if changed {
		r.signal()
	}
}

// PublishDraining records how far this host is with leaving; nil when it does not. The message must not be changed
// afterwards.
func (r *Reporter) PublishDraining(draining *syncv1.Draining) {
	r.mu.Lock()
	changed := !proto.Equal(r.draining, draining)
	if changed {
		r.draining, r.loadDirty = draining, true
	}
	r.mu.Unlock()
	if changed {
		r.signal()
	}
}

// PublishDemands records which runtimes requests here wait for, by name; what is not named is waited for no more. The
// messages must not be changed afterwards.
func (r *Reporter) PublishDemands(demands []*syncv1.Demand) {
	r.mu.Lock()
	changed := !slices.EqualFunc(r.demands, demands, func(a, b *syncv1.Demand) bool { return proto.Equal(a, b) })
	if changed {
		r.demands, r.loadDirty = demands, true
	}
	r.mu.Unlock()
	if changed {
		r.signal()
	}
}

// PublishPolicies records what this host has made of its policy plan. Of several only the newest is sent. The message must
// not be changed afterwards.
func (r *Reporter) PublishPolicies(report *syncv1.PolicyReport) {
	r.mu.Lock()
	r.policies, r.policiesDirty = report, true
	r.mu.Unlock()
	r.signal()
}

// Reply waits until the stream takes a reply, or for ctx: without a controller there is nobody to reply to.
func (r *Reporter) Reply(ctx context.Context, reply *syncv1.DecisionsReply) error {
	select {
	case r.replies <- reply:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("reply to a query for decisions: %w", ctx.Err())
	}
}

// policiesAgain answers what was last said of policies, for a new stream.
func (r *Reporter) policiesAgain() *syncv1.PolicyReport {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.policiesDirty = false
	return r.policies
}

// policiesNews answers it if it has not been sent; else nil.
func (r *Reporter) policiesNews() *syncv1.PolicyReport {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.policiesDirty {
		return nil
	}
	r.policiesDirty = false
	return r.policies
}

// Runtime answers what PublishRuntime last said.
func (r *Reporter) Runtime() (syncv1.RuntimeState, string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state, r.stateMessage
}

func (r *Reporter) signal() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// complete answers everything and forgets what was dirty.
func (r *Reporter) complete() *syncv1.Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.dirty)
	r.loadDirty = false
	return &syncv1.Report{
		Complete:       true,
		Copies:         slices.Collect(maps.Values(r.copies)),
		Load:           r.load,
		RuntimeState:   r.state,
		RuntimeMessage: r.stateMessage,
		Demands:        r.demands,
		Draining:       r.draining,
	}
}

// delta answers what changed since the last complete or delta, or nil.
func (r *Reporter) delta() *syncv1.Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.dirty) == 0 && !r.loadDirty {
		return nil
	}
	report := &syncv1.Report{
		Load: r.load, RuntimeState: r.state, RuntimeMessage: r.stateMessage, Demands: r.demands, Draining: r.draining,
	}
	for id := range r.dirty {
		if modelCopy, ok := r.copies[id]; ok {
			report.Copies = append(report.Copies, modelCopy)
		} else {
			report.RemovedModelIds = append(report.RemovedModelIds, id)
		}
	}
	clear(r.dirty)
	r.loadDirty = false
	return report
}

// Copy answers what was last published of one model.
func (r *Reporter) Copy(modelID string) (*syncv1.Copy, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	modelCopy, ok := r.copies[modelID]
	return modelCopy, ok
}
