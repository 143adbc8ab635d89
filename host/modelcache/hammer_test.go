package modelcache

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Many requests against one writer that loads and evicts all the time: a copy that was claimed is never in flight, no
// request is let onto a copy that is gone, and every wish to be told of an idle copy is answered.
func TestAcquireAgainstReserve(t *testing.T) {
	const (
		models   = 6
		fit      = 4 // So some models are always out.
		requests = 3
		loads    = 4000
	)
	var (
		l       = New(memory(fit))
		current [models]atomic.Pointer[Copy] // Of each model, the copy that requests find.
		gone    sync.Map                     // CopyID of every copy whose unload is confirmed.
		idle    = make(chan struct{}, 1)
		stop    atomic.Bool
		served  atomic.Int64
		group   sync.WaitGroup
	)
	request := func(seed int) {
		for n := seed; !stop.Load(); n++ {
			c := current[n*7%models].Load()
			if c == nil || !c.Acquire(time.Unix(int64(n), 0)) {
				continue
			}
			if _, late := gone.Load(c.ID()); late {
				t.Errorf("copy %d takes a request after its unload", c.ID())
			}
			served.Add(1)
			if c.Release() {
				select {
				case idle <- struct{}{}:
				default:
				}
			}
		}
	}
	for n := range requests {
		group.Go(func() { request(n) })
	}

	owner := map[CopyID]int{}
	var held *Copy // For a request that never comes, unless one of these does.
	unhold := func() bool {
		if held == nil {
			return false
		}
		held.Unhold()
		held = nil
		return true
	}
	for id := CopyID(1); id <= loads; id++ {
		model := int(id) % models
		if current[model].Load() != nil {
			continue
		}
		// Larger ones take several victims at once.
		size := memory(1 + int64(id)%3)
		r, victims, err := l.Reserve(id, size, l.byRecency())
		for kindOf(err) == "no room" {
			if !unhold() {
				<-idle // Would hang the test if a wish were ever lost.
			}
			r, victims, err = l.Reserve(id, size, l.byRecency())
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range victims {
			c := current[owner[v.ID]].Load()
			if n := c.InFlight(); c.ID() != v.ID || n != 0 {
				t.Fatalf("victim %d has %d requests in flight (copy %d)", v.ID, n, c.ID())
			}
			current[owner[v.ID]].Store(nil)
			gone.Store(v.ID, true)
			l.Unloaded(v.ID)
		}
		c, err := r.Commit(start, start, Keep{})
		if err != nil {
			t.Fatal(err)
		}
		owner[id] = model
		current[model].Store(c)
		if id%5 == 0 {
			unhold()
			c.Hold()
			held = c
		}
	}
	stop.Store(true)
	group.Wait()
	if s := l.Stats(); s.InFlight != 0 || !memory(fit).Covers(s.Used) || !s.Draining.IsZero() {
		t.Fatalf("at rest: %+v", s)
	}
	if served.Load() == 0 {
		t.Fatal("no request was served, so nothing was shown")
	}
}

// One of several victims turns out to be in flight: the others serve on.
func TestCloseAllOrNone(t *testing.T) {
	l, copies := loaded(t, 3, 1, 1, 1)
	chosen := []*entry{l.residents[1], l.residents[2], l.residents[3]}
	copies[1].Acquire(start)
	if closeAll(chosen) {
		t.Fatal("closed a copy in flight")
	}
	for _, c := range copies {
		if !c.Acquire(start) {
			t.Fatalf("copy %d was left closed", c.ID())
		}
		c.Release()
	}
	copies[1].Release()
	if !closeAll(chosen) {
		t.Fatal("did not close idle copies")
	}
}

// A copy that is drained while requests are in flight tells exactly once, and only when the last one has ended.
func TestDrainTellsOnce(t *testing.T) {
	for range 500 {
		l, copies := loaded(t, 1, 1)
		c := copies[0]
		var told atomic.Int64
		var group sync.WaitGroup
		for range 4 {
			group.Go(func() {
				for c.Acquire(start) {
					if c.Release() {
						told.Add(1)
					}
				}
			})
		}
		idle := l.Drain(1)
		group.Wait()
		if n := told.Load(); idle && n != 0 || !idle && n != 1 {
			t.Fatalf("drain answered idle=%v, then %d releases told", idle, n)
		}
		if c.InFlight() != 0 {
			t.Fatal("requests in flight after all were released")
		}
	}
}

func BenchmarkAcquireRelease(b *testing.B) {
	l := New(memory(1))
	r, _, _ := l.Reserve(1, memory(1), nil)
	c, _ := r.Commit(start, start, Keep{})
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			c.Acquire(start)
			c.Release()
		}
	})
}
