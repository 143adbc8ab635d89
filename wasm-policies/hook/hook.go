package hook

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wasmesh/wasmesh/sdk/policyabi"
	"github.com/wasmesh/wasmesh/wasm-policies/builtin"
)

const (
	// DefaultRecorderBytes is what one hook's records take.
	DefaultRecorderBytes = 8 << 20
	// differencesShare of it goes to decisions of shadows that came out otherwise, so that they do not push out real ones.
	differencesShare = 8
	// recheckEvery so many decisions of a generation one is asked again.
	recheckEvery = 10_000
	// hookBits of a decision's id tell hooks apart.
	hookBits = 3
)

// Config is what a Hook is made of.
type Config struct {
	// Hook says what is decided.
	Hook policyabi.Hook
	// BuiltIn decides when no generation does; required.
	BuiltIn builtin.Policy
	// Host is named in records: a host's id, or the controller's.
	Host string
	// RecorderBytes bounds the memory of the recorder; 0 is DefaultRecorderBytes.
	RecorderBytes int
	// Observer is for metrics; nil for none.
	Observer Observer
	// Changed is called, from any goroutine, when a generation becomes degraded; it must not block. nil for nobody.
	Changed func()
	// Logger hears of degraded and impure generations; nil for nobody.
	Logger *slog.Logger
	// Now is the clock; nil is time.Now. Ids of decisions begin with its milliseconds, so that they differ from those before
	// a restart.
	Now func() time.Time
}

// Hook decides one question.
type Hook struct {
	config Config
	// active decides; nil leaves it to the built-in policy. shadow is asked beside it.
	active, shadow atomic.Pointer[Generation]
	recorder       *recorder
	// differences are recorded decisions of shadows.
	differences *recorder
	// scratch are buffers of decisions that go unrecorded, and of jobs.
	scratch sync.Pool
	// rechecks counts decisions of generations.
	rechecks atomic.Uint64
	jobs     chan job
	stop     context.CancelFunc
	done     chan struct{}
}

// New makes a Hook that the built-in policy decides, and starts its goroutine; Close ends it.
func New(config Config) (*Hook, error) {
	if config.BuiltIn.Decide == nil || config.BuiltIn.Hook != config.Hook {
		return nil, errors.New("make policy hook: it needs a built-in policy of the same hook")
	}
	if config.RecorderBytes <= 0 {
		config.RecorderBytes = DefaultRecorderBytes
	}
	if config.Observer == nil {
		config.Observer = silent{}
	}
	if config.Changed == nil {
		config.Changed = func() {}
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	// 41 bits of milliseconds, 20 for the decisions that one millisecond may see, 3 for the hook.
	base := uint64(config.Now().UnixMilli())<<(20+hookBits) | uint64(config.Hook)
	ctx, stop := context.WithCancel(context.Background())
	h := &Hook{
		config:      config,
		recorder:    newRecorder(config.RecorderBytes-config.RecorderBytes/differencesShare, base),
		differences: newRecorder(config.RecorderBytes/differencesShare, base|differenceBit),
		jobs:        make(chan job, maxJobs),
		stop:        stop, done: make(chan struct{}),
	}
	h.scratch.New = func() any { return new([]byte) }
	go h.work(ctx)
	return h, nil
}

// Close ends the goroutine and waits for it. The Hook still decides, without shadow.
func (h *Hook) Close() {
	h.stop()
	<-h.done
}

// Activate has a generation decide from the next question on.
func (h *Hook) Activate(g *Generation) { h.active.Store(g) }

// Deactivate leaves the next questions to the built-in policy.
func (h *Hook) Deactivate() { h.active.Store(nil) }

// Shadow has a generation asked beside the one that decides; nil ends that.
func (h *Hook) Shadow(g *Generation) { h.shadow.Store(g) }

// Active is the generation that decides; nil when it is the built-in policy.
func (h *Hook) Active() *Generation { return h.active.Load() }

// BuiltIn names the built-in policy.
func (h *Hook) BuiltIn() string { return h.config.BuiltIn.Name }

// buffer takes scratch bytes; free gives them back.
func (h *Hook) buffer(size int) *[]byte {
	b := h.scratch.Get().(*[]byte)
	if cap(*b) < size {
		*b = make([]byte, size)
	}
	*b = (*b)[:size]
	return b
}

func (h *Hook) free(b *[]byte) { h.scratch.Put(b) }
