package mesh

import (
	"context"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
)

// figuresEvery is how often figures are looked at. Copies and flags do not wait for it; what does is memory, which moves
// with loads of a second and more, and is told with every answer to a reservation besides.
const figuresEvery = 500 * time.Millisecond

// figures are what this host says of its memory and work.
type figures struct {
	// wake holds one token when they should be looked at now.
	wake chan struct{}

	mu sync.Mutex // guards below, and orders what is published
	// sequence of the last message, and the last that was published.
	sequence uint64
	told     *peerv1.Figures
}

// changed has them looked at now.
func (f *figures) changed() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// run publishes them on change until ctx ends.
func (f *figures) run(ctx context.Context, m *Mesh) {
	ticker := time.NewTicker(figuresEvery)
	defer ticker.Stop()
	for {
		f.publish(m)
		select {
		case <-ticker.C:
		case <-f.wake:
		case <-ctx.Done():
			return
		}
	}
}

func (f *figures) publish(m *Mesh) {
	f.mu.Lock()
	defer f.mu.Unlock()
	message := m.measure()
	if f.told != nil {
		message.Sequence = f.told.GetSequence()
		if proto.Equal(message, f.told) {
			return
		}
	}
	f.sequence++
	message.Sequence = f.sequence
	f.told = message
	m.peers.PublishFigures(message)
}

// message is the host as it is now, for an answer.
func (f *figures) message(m *Mesh) *peerv1.Figures {
	f.mu.Lock()
	defer f.mu.Unlock()
	message := m.measure()
	f.sequence++
	message.Sequence = f.sequence
	return message
}

// measure reads the host's figures, without their number.
func (m *Mesh) measure() *peerv1.Figures {
	message := &peerv1.Figures{
		Draining: m.drain.begun.Load(), Arbiter: !m.config.Gateway && m.arbiter.ready.Load() && m.deps.Current(),
		CatalogVersion: m.deps.Catalog.Table().Version(), Warming: time.Since(m.config.Started) < warmingFor,
	}
	if m.executor == nil {
		return message
	}
	here := m.executor.Figures()
	message.Free, message.Capacity = resourcesMessage(here.Free), resourcesMessage(here.Memory.Capacity)
	message.Reclaim = here.Worth.Reclaim[:]
	message.OldestMs = unixMilli(here.Memory.Oldest)
	message.LoadsQueued, message.LoadsRunning = clip32(here.Models.Queued), clip32(here.Models.Running)
	message.RequestsInFlight, message.RequestsWaiting = clip32(here.Memory.InFlight), clip32(here.Models.Waiting)
	message.Copies, message.Rate = clip32(here.Memory.Copies), here.Worth.Rate
	message.RuntimeReady = m.executor.RuntimeReady()
	return message
}
