package mesh

import (
	"context"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/wasmesh/wasmesh/host/arbiter"
	"github.com/wasmesh/wasmesh/host/lifecycle"
	"github.com/wasmesh/wasmesh/host/lifecycle/machine"
	"github.com/wasmesh/wasmesh/host/members"
	"github.com/wasmesh/wasmesh/host/modelcache"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
)

const (
	// historyKept is of how many models this host remembers what it has said of them; about 1 MB.
	historyKept = 10_000
	// historyEvery is how often what is new is told, and historyBatch how much of it in one message.
	historyEvery = 250 * time.Millisecond
	historyBatch = 1000
)

var _ lifecycle.MeshPort = (*Mesh)(nil)

// history is what this host has to say of models beyond their copies, and with whom it is kept: the arbiter of each.
type history struct {
	mesh *Mesh
	// remembered are from the executor; it is told at once and does not wait.
	remembered chan machine.Remember
	// moved holds one token when models may have other arbiters than before.
	moved chan struct{}
	// kept is by key; the loop's alone.
	kept *lru.Cache[uint64, *kept]
}

// kept is one model. to is the arbiter that has it; empty for none yet.
type kept struct {
	usage arbiter.Usage
	to    string
}

func newHistory(m *Mesh) (*history, error) {
	cache, err := lru.New[uint64, *kept](historyKept)
	if err != nil {
		return nil, err
	}
	return &history{mesh: m, remembered: make(chan machine.Remember, historyBatch), moved: make(chan struct{}, 1), kept: cache}, nil
}

// Remember implements lifecycle.MeshPort. History is a hint: when more comes than can be taken, some is lost.
func (m *Mesh) Remember(r machine.Remember) {
	select {
	case m.history.remembered <- r:
	default:
		m.metrics.historyLost.Inc()
	}
}

// arbitersChanged has everything told to whom it now belongs.
func (h *history) arbitersChanged() {
	select {
	case h.moved <- struct{}{}:
	default:
	}
}

// run tells arbiters until ctx ends. What did not arrive is told again, and everything whose arbiter has changed.
func (h *history) run(ctx context.Context) {
	ticker := time.NewTicker(historyEvery)
	defer ticker.Stop()
	pending := false
	for {
		select {
		case r := <-h.remembered:
			h.kept.Add(r.Key, &kept{usage: remembered(r)})
			pending = true
		case <-h.moved:
			pending = true
		case <-ticker.C:
			if pending {
				pending = !h.tell(ctx)
			}
		case <-ctx.Done():
			return
		}
	}
}

// tell sends what its arbiter does not have; false when some of it did not arrive.
func (h *history) tell(ctx context.Context) bool {
	view := h.mesh.peers.View()
	news := make(map[string][]*kept)
	for _, key := range h.kept.Keys() {
		k, _ := h.kept.Peek(key)
		to := h.arbiterOf(view, key)
		if k == nil || to == "" || to == k.to {
			continue
		}
		if len(news[to]) < historyBatch {
			news[to] = append(news[to], k)
		}
	}
	arrived := true
	for to, all := range news {
		request := &peerv1.ReportRequest{HostId: h.mesh.config.HostID}
		for _, k := range all {
			request.History = append(request.History, usageMessage(k.usage))
		}
		if !h.mesh.report(ctx, to, request) {
			arrived = false
			continue
		}
		for _, k := range all {
			k.to = to
		}
		arrived = arrived && len(all) < historyBatch
	}
	return arrived
}

func (h *history) arbiterOf(view *members.View, key uint64) string {
	row, ok := h.mesh.rows.model(key)
	if !ok {
		return ""
	}
	if arbiters := view.Arbiters(key, row.GetRuntimes()); len(arbiters) > 0 {
		return arbiters[0].ID
	}
	return ""
}

// takeHistory tells the machine here what others remember of models whose home is this host.
func (m *Mesh) takeHistory(ctx context.Context, event arbiter.Remembered) {
	if m.executor == nil || event.Host == m.config.HostID {
		return
	}
	models := make([]machine.Remember, 0, len(event.Usage))
	for _, u := range event.Usage {
		row, ok := m.rows.model(u.Key)
		if !ok {
			continue
		}
		models = append(models, machine.Remember{
			Model: row.GetId(), Key: u.Key, Usage: u.Record,
			LastUsed: u.LastUsed, LoadCost: u.LoadCost, Size: modelcache.Resources{modelcache.HostMemory: u.Size}, Evicted: u.Evicted,
		})
	}
	if err := m.executor.Remembered(ctx, models); err != nil {
		m.deps.Logger.Debug("history not taken in", "error", err)
	}
}
