package mesh

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wasmesh/wasmesh/test/rig"
)

// traffic is requests at a steady rate, whatever becomes of them, over the hosts that are in rotation.
type traffic struct {
	mu       sync.Mutex
	rotation []*rig.Host
	sent     []sent
	inFlight atomic.Int64
	stop     context.CancelFunc
	running  sync.WaitGroup
}

// sent is one request.
type sent struct {
	model   string
	host    *rig.Host
	started time.Time
	took    time.Duration
	err     error
}

// startTraffic sends requests for the models in turn until end is called.
func startTraffic(ctx context.Context, hosts []*rig.Host, names []string, perSecond int) *traffic {
	ctx, cancel := context.WithCancel(ctx)
	t := &traffic{rotation: append([]*rig.Host(nil), hosts...), stop: cancel}
	t.running.Go(func() {
		ticker := time.NewTicker(time.Second / time.Duration(perSecond))
		defer ticker.Stop()
		for i := 0; ; i++ {
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return
			}
			host := t.next(i)
			if host == nil {
				continue
			}
			model := names[i%len(names)]
			t.running.Go(func() { t.send(host, model) })
		}
	})
	return t
}

func (t *traffic) next(i int) *rig.Host {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.rotation) == 0 {
		return nil
	}
	// Not in step with the models, so that every model comes to every host.
	return t.rotation[(i*7+i/31)%len(t.rotation)]
}

func (t *traffic) send(host *rig.Host, model string) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	t.inFlight.Add(1)
	started := time.Now()
	err := ask(ctx, host, model)
	s := sent{model: model, host: host, started: started, took: time.Since(started), err: err}
	t.inFlight.Add(-1)
	t.mu.Lock()
	t.sent = append(t.sent, s)
	t.mu.Unlock()
}

// remove takes a host out of rotation, as endpoints do when it is not ready; add puts it back.
func (t *traffic) remove(host *rig.Host) {
	t.mu.Lock()
	defer t.mu.Unlock()
	kept := t.rotation[:0:0]
	for _, h := range t.rotation {
		if h != host {
			kept = append(kept, h)
		}
	}
	t.rotation = kept
}

func (t *traffic) add(host *rig.Host) {
	t.remove(host)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rotation = append(t.rotation, host)
}

// end stops sending, waits for what is in flight, and answers everything that was sent.
func (t *traffic) end() []sent {
	t.stop()
	t.running.Wait()
	return t.sent
}

func failures(all []sent) (failed []sent) {
	for _, s := range all {
		if s.err != nil {
			failed = append(failed, s)
		}
	}
	return failed
}
