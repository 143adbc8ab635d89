package peers

import (
	"context"
	"maps"
	"slices"
	"sync"
)

// notifier gathers what the Listener is to be told, so that whoever causes it does not wait for the Listener.
type notifier struct {
	mu   sync.Mutex
	view bool
	keys map[uint64]struct{} // bounded by the number of models there are
	wake chan struct{}
}

func newNotifier() *notifier {
	return &notifier{keys: map[uint64]struct{}{}, wake: make(chan struct{}, 1)}
}

func (n *notifier) membersChanged() {
	n.mu.Lock()
	n.view = true
	n.mu.Unlock()
	n.signal()
}

func (n *notifier) copiesChanged(keys []uint64) {
	if len(keys) == 0 {
		return
	}
	n.mu.Lock()
	for _, key := range keys {
		n.keys[key] = struct{}{}
	}
	n.mu.Unlock()
	n.signal()
}

func (n *notifier) signal() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

func (n *notifier) take() (view bool, keys []uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	view, n.view = n.view, false
	if len(n.keys) > 0 {
		keys = slices.Collect(maps.Keys(n.keys))
		n.keys = map[uint64]struct{}{}
	}
	return view, keys
}

// tell is the goroutine that calls the Listener.
func (p *Peers) tell(ctx context.Context) {
	for {
		select {
		case <-p.notifier.wake:
		case <-ctx.Done():
			return
		}
		view, keys := p.notifier.take()
		if view {
			p.deps.Listener.MembersChanged(p.View())
		}
		if len(keys) > 0 {
			p.deps.Listener.CopiesChanged(keys)
		}
	}
}
