package mesh

import (
	"context"
	"time"

	"github.com/wasmesh/wasmesh/host/lifecycle"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
)

// reportUse samples how busy the copies here are, and tells their arbiters, until ctx ends.
func (m *Mesh) reportUse(ctx context.Context) {
	if m.executor == nil {
		return
	}
	ticker := time.NewTicker(sampleEvery)
	defer ticker.Stop()
	copies := newMeter()
	var watchedAt time.Time
	for {
		select {
		case now := <-ticker.C:
			watch := now.Sub(watchedAt) >= calmEvery
			if watch {
				watchedAt = now
			}
			for arbiter, uses := range m.sampleUses(now, copies, watch) {
				request := &peerv1.ReportRequest{HostId: m.config.HostID, Uses: uses}
				m.workers.Go(func() { m.report(ctx, arbiter, request) })
			}
		case <-ctx.Done():
			return
		}
	}
}

// sampleUses takes one sample of every copy and answers what is to be told, by arbiter. watch: look again which copies
// somebody should know of whatever they do, which costs more than a sample.
func (m *Mesh) sampleUses(now time.Time, copies *meter, watch bool) map[string][]*peerv1.CopyUse {
	told := make(map[string][]*peerv1.CopyUse)
	view := m.peers.View()
	copies.begin()
	m.executor.Uses(func(use lifecycle.Use) {
		g := copies.sample(now, reading{
			key: use.Key, requests: use.InFlight + use.Waiting, target: m.target(use.MaxConcurrency), loadedAt: use.LoadedAt,
		})
		if watch {
			g.watched = use.Steady || m.CopiesElsewhere(use.Key) > 0
		}
		if g.quiet() {
			return
		}
		row, ok := m.rows.model(use.Key)
		if !ok {
			return
		}
		arbiters := view.Arbiters(use.Key, row.GetRuntimes())
		if len(arbiters) == 0 || !g.due(now, use.Steady, arbiters[0].ID) {
			return
		}
		g.tell(now, use.Steady, arbiters[0].ID)
		told[arbiters[0].ID] = append(told[arbiters[0].ID], &peerv1.CopyUse{
			Key: use.Key, ConcurrencyMilli: g.milli(), TargetMilli: g.targetMilli(), Steady: use.Steady, LoadedMs: use.LoadedAt.UnixMilli(),
		})
	})
	copies.end()
	return told
}

// target is how many requests a copy should have at most.
func (m *Mesh) target(maxConcurrency int) int {
	if maxConcurrency > 0 {
		return min(m.config.CopyConcurrency, maxConcurrency)
	}
	return m.config.CopyConcurrency
}

// report tells an arbiter. What gets lost is told again: use goes on, and history is kept until it has arrived.
func (m *Mesh) report(ctx context.Context, arbiter string, request *peerv1.ReportRequest) bool {
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	var err error
	if arbiter == m.config.HostID {
		_, err = m.Report(ctx, request)
	} else if client, unreachable := m.peers.Client(arbiter); unreachable != nil {
		err = unreachable
	} else {
		_, err = client.Report(ctx, request)
	}
	if err != nil && ctx.Err() == nil {
		m.deps.Logger.Debug("use not reported", "arbiter", arbiter, "error", err)
	}
	return err == nil
}
