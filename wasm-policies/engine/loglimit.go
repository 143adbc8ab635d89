package engine

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// A program may log logBurst bytes at once and logRate bytes a second.
	logBurst, logRate = 64 << 10, 16 << 10
	// logLine is what a line costs on top of its bytes.
	logLine = 128
)

// logLimiter bounds what all instances of a program log together. The zero value is ready.
type logLimiter struct {
	dropped atomic.Uint64

	mu    sync.Mutex
	spent float64
	at    time.Time
}

// allow says whether a line of so many bytes may be logged now.
func (l *logLimiter) allow(bytes int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.spent = max(0, l.spent-now.Sub(l.at).Seconds()*logRate)
	l.at = now
	if l.spent+float64(bytes+logLine) > logBurst {
		return false
	}
	l.spent += float64(bytes + logLine)
	return true
}
