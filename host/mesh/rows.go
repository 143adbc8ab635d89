package mesh

import (
	"sync"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// rows finds the models of the catalog by key, which is all that residency says of them. Safe for concurrent use.
type rows struct {
	mu    sync.RWMutex // guards below
	byKey map[uint64]*syncv1.Model
}

func (r *rows) model(key uint64) (*syncv1.Model, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	row, ok := r.byKey[key]
	return row, ok
}

func (r *rows) change(key func(string) uint64, upserts []*syncv1.Model, removed []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byKey == nil {
		r.byKey = make(map[uint64]*syncv1.Model, len(upserts))
	}
	for _, row := range upserts {
		r.byKey[key(row.GetId())] = row
	}
	for _, id := range removed {
		delete(r.byKey, key(id))
	}
}
