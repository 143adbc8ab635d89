package catalog

import (
	"cmp"
	"context"
	"fmt"
	"time"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

const (
	// peersAfter is how long the controller is given before peers are asked instead: a restart of it takes less.
	peersAfter = 5 * time.Second
	// peersEvery is how often, by a host that has no controller at all.
	peersEvery = 5 * time.Second
	// peersTimeout bounds one answer, which may be a catalog of a hundred thousand models.
	peersTimeout = 30 * time.Second
)

// withoutController follows what peers have until ctx ends.
func (c *Client) withoutController(ctx context.Context) {
	if c.config.Peers == nil {
		<-ctx.Done()
		return
	}
	ticker := time.NewTicker(peersEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			c.askPeers(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// askPeers takes a newer catalog from a peer, if one has it. The controller's word, when it is back, replaces it: its
// versions go on from there, or the term is another.
func (c *Client) askPeers(ctx context.Context) {
	if c.config.Peers == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, peersTimeout)
	defer cancel()
	old := c.Table()
	updates, err := c.config.Peers.Catalog(ctx, old.Version())
	if err != nil {
		if ctx.Err() == nil {
			c.config.Logger.Warn("catalog not taken from a peer", "error", err)
		}
		return
	}
	next, err := tableOf(updates)
	if err != nil {
		c.config.Logger.Warn("catalog of a peer is unusable", "error", err)
		return
	}
	if next == nil || Compare(next.Version(), old.Version()) <= 0 {
		return
	}
	c.config.Logger.Info("catalog taken from a peer, as no controller answers", "term", next.Version().GetTerm(),
		"sequence", next.Version().GetSequence(), "models", len(next.models))
	c.apply(old, next)
}

// tableOf makes one table of the updates that Peers answers; nil for none.
func tableOf(updates []*syncv1.Update) (*Table, error) {
	if len(updates) == 0 {
		return nil, nil
	}
	var rows []*syncv1.Row
	for i, update := range updates {
		if update.GetBase() != nil || update.GetComplete() != (i == len(updates)-1) || len(update.GetRemovedKeys()) > 0 {
			return nil, fmt.Errorf("update %d of %d is not part of a whole catalog", i+1, len(updates))
		}
		rows = append(rows, update.GetUpserts()...)
	}
	version := updates[len(updates)-1].GetVersion()
	if version == nil {
		return nil, fmt.Errorf("%d updates without a version", len(updates))
	}
	return NewTable(version, rows...), nil
}

// updateRows is how many rows one update of Updates has, so that a message stays far below grpc's 4 MiB.
const updateRows = 1000

// Updates are the whole table as Peers.Catalog answers it; nothing for one that is not complete.
func (t *Table) Updates() []*syncv1.Update {
	if !t.Complete() {
		return nil
	}
	updates := []*syncv1.Update{{Version: t.version}}
	for _, row := range t.rows {
		last := updates[len(updates)-1]
		if len(last.GetUpserts()) == updateRows {
			last = &syncv1.Update{Version: t.version}
			updates = append(updates, last)
		}
		last.Upserts = append(last.Upserts, row)
	}
	updates[len(updates)-1].Complete = true
	return updates
}

// Compare orders versions of catalogs: negative when a is older than b. No version is older than any.
func Compare(a, b *syncv1.Version) int {
	if a == nil || b == nil {
		return cmp.Compare(present(a), present(b))
	}
	return cmp.Or(cmp.Compare(a.GetTerm(), b.GetTerm()), cmp.Compare(a.GetSequence(), b.GetSequence()))
}

func present(v *syncv1.Version) int {
	if v == nil {
		return 0
	}
	return 1
}
