package ingress

import (
	"sync/atomic"

	"github.com/wasmesh/wasmesh/host/route"
)

// Budget bounds the memory of requests that wait. It is safe for concurrent use.
type Budget struct {
	limit int64
	used  atomic.Int64
}

// NewBudget allows limit bytes.
func NewBudget(limit int64) *Budget { return &Budget{limit: limit} }

// Take charges n bytes, or answers QueueFull with the numbers.
func (b *Budget) Take(n int64) *route.Error {
	for {
		used := b.used.Load()
		if used+n > b.limit {
			return route.Errorf(route.QueueFull,
				"too many requests are waiting: this one needs %d bytes of memory, %d of %d are in use; try again later", n, used, b.limit)
		}
		if b.used.CompareAndSwap(used, used+n) {
			return nil
		}
	}
}

// Give returns n bytes.
func (b *Budget) Give(n int64) { b.used.Add(-n) }

// Used is how many bytes are charged now.
func (b *Budget) Used() int64 { return b.used.Load() }
