package identity

import (
	"sync"
	"time"
)

// quietFor is how long the same kind of warning is not logged again: peers and the controller are tried every few seconds.
const quietFor = time.Minute

// quiet remembers which warnings were logged a moment ago. The kinds are few.
type quiet struct {
	mu   sync.Mutex
	last map[string]time.Time
}

func (q *quiet) passes(kind string, now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if last, ok := q.last[kind]; ok && now.Sub(last) < quietFor {
		return false
	}
	if q.last == nil {
		q.last = map[string]time.Time{}
	}
	q.last[kind] = now
	return true
}

func (i *Identity) warn(kind, message string, err error) {
	if i.quiet.passes(kind, time.Now()) {
		i.logger.Warn(message, "error", err)
	}
}
