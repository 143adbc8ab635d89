package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wasmesh/wasmesh/host/lifecycle/machine"
	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/host/route"
	"github.com/wasmesh/wasmesh/sdk/policyabi"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// others is the rest of the mesh: nothing has its home here, and nobody else has a copy unless copies says so.
type others struct {
	copies atomic.Int64

	mu         sync.Mutex // guards below
	remembered []machine.Remember
}

func (o *others) Home(uint64, []string) bool { return false }

func (o *others) CopiesElsewhere(uint64) int { return int(o.copies.Load()) }

func (o *others) Remember(r machine.Remember) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.remembered = append(o.remembered, r)
}

func (o *others) Offer(machine.Offer) {}

func (o *others) Room([]string, modelcache.Resources, modelcache.Keep, time.Time) bool { return false }

// inMesh is a Config for a host among others.
func inMesh(o *others, models int64) Config {
	config := capacity(models)
	config.Machine.Mesh = o
	return config
}

func (h *host) reserve(modelID string) machine.Reserved {
	h.t.Helper()
	reserved, err := h.Reserve(h.t.Context(), machine.Reserve{Model: modelID, Purpose: policyabi.PurposeMiss})
	if err != nil {
		h.t.Fatal(err)
	}
	return reserved
}

// What is granted has been published when Reserve returns, so whoever hears of it finds it there.
func TestReserveIsPublishedFirst(t *testing.T) {
	run(t, inMesh(&others{}, 3), func(t *testing.T, h *host) {
		h.catalog("m")
		synctest.Wait()
		if c := h.mesh.copy("m"); c != nil {
			t.Fatalf("loaded without being asked to: %v", c)
		}
		if _, err := h.Join(t.Context(), "m", true); notHere(err).State != machine.Absent {
			t.Fatalf("joined what is not here: %v", err)
		}
		reserved := h.reserve("m")
		state := h.mesh.copy("m").GetState() // The loop may have gone on.
		found := state == syncv1.CopyState_COPY_STATE_QUEUED || state == syncv1.CopyState_COPY_STATE_LOADING
		if !reserved.Granted || reserved.TTL != machine.TicketTTL || !found {
			t.Fatalf("%+v, published %v", reserved, h.mesh.copy("m"))
		}
		var group sync.WaitGroup
		for range 100 {
			group.Go(func() {
				lease, err := h.Join(t.Context(), "m", true)
				if err != nil {
					t.Error(err)
					return
				}
				lease.Release()
			})
		}
		group.Wait()
		if loads, _, _ := h.runtime.counts(); loads["m"] != 1 {
			t.Fatalf("%d loads", loads["m"])
		}
		if refused := h.reserve("stranger"); refused.Granted || refused.Reason != peerv1.UnplacedReason_UNPLACED_REASON_STALE {
			t.Fatalf("%+v", refused)
		}
	})
}

func notHere(err error) *NotHere {
	if e, ok := errors.AsType[*NotHere](err); ok {
		return e
	}
	return &NotHere{State: 255, Err: route.Errorf(route.Internal, "%v", err)}
}

// Whoever waits hears at once that the load failed, and how, so that it can be tried elsewhere.
func TestJoinHearsOfFailures(t *testing.T) {
	run(t, inMesh(&others{}, 3), func(t *testing.T, h *host) {
		h.catalog("m")
		synctest.Wait()
		h.runtime.program(func() { h.runtime.loadErr["m"] = errPickle })
		h.reserve("m")
		_, err := h.Join(t.Context(), "m", true)
		e := notHere(err)
		if e.State != machine.Failed || e.Failure == nil || e.Failure.Attempts != 1 || e.Err.Outcome != route.LoadFailed || outcomeOf(err) != route.LoadFailed {
			t.Fatalf("%+v", e)
		}
		if refused := h.reserve("m"); refused.Granted || refused.Failure != e.Failure {
			t.Fatalf("%+v", refused)
		}
		// Away from its home it is not tried again by itself.
		time.Sleep(time.Hour)
		if loads, _, _ := h.runtime.counts(); loads["m"] != 1 || h.mesh.copy("m") != nil {
			t.Fatalf("%d loads, published %v", loads["m"], h.mesh.copy("m"))
		}
	})
}

// Requests that wait here when the runtime goes are sent elsewhere, and so are those that wait for a turn.
func TestWaitersGoElsewhereWhenTheRuntimeIsLost(t *testing.T) {
	config := inMesh(&others{}, 3)
	config.Machine.MaxConcurrency = 1
	run(t, config, func(t *testing.T, h *host) {
		h.catalog("slow", "busy")
		held := h.mustAcquire("busy")
		h.reserve("slow")
		var group sync.WaitGroup
		for _, model := range []string{"slow", "busy"} {
			group.Go(func() {
				started := time.Now()
				_, err := h.Join(t.Context(), model, true)
				if notHere(err).State == 255 || time.Since(started) > 2*time.Second {
					t.Errorf("%s after %v: %v", model, time.Since(started), err)
				}
			})
		}
		time.Sleep(time.Second)
		h.runtime.die()
		group.Wait()
		held.Release()
	})
}

// A copy that takes two requests at once has the others wait in the order in which they came.
func TestMaxConcurrency(t *testing.T) {
	config := capacity(3)
	config.Machine.MaxConcurrency = 2
	run(t, config, func(t *testing.T, h *host) {
		h.catalog("m")
		h.use("m")
		first, _ := h.TryAcquire("m")
		second, ok := h.TryAcquire("m")
		if _, third := h.TryAcquire("m"); !ok || third {
			t.Fatalf("second %v, third %v", ok, third)
		}
		var group sync.WaitGroup
		var order []int
		for n := range queueLeast {
			group.Go(func() {
				lease, err := h.acquire("m")
				if err != nil {
					t.Error(err)
					return
				}
				order = append(order, n) // By one after the other: the race detector would tell.
				lease.Release()
			})
			synctest.Wait()
		}
		_, err := h.acquire("m")
		want := fmt.Sprintf(`model queue overload: %d requests wait for model "m", which takes 2 at once (limit %d); try again later`, queueLeast, queueLeast)
		if outcomeOf(err) != route.QueueFull || err.Error() != want {
			t.Fatalf("err = %v", err)
		}
		if e := notHere(joinError(h, "m")); e.State != machine.Loaded || e.Err.Outcome != route.QueueFull {
			t.Fatalf("join: %+v", e)
		}
		h.Uses(func(u Use) {
			if u.ModelID != "m" || u.InFlight != 2 || u.Waiting != queueLeast || u.MaxConcurrency != 2 {
				t.Errorf("%+v", u)
			}
		})
		time.Sleep(usePause + figuresInterval)
		if c := h.mesh.copy("m"); c.GetInFlight() != 2 || c.GetWaiting() != queueLeast || c.GetMaxConcurrency() != 2 {
			t.Errorf("published %v", c)
		}
		if load, _ := h.mesh.figures(); load.GetRequestsInFlight() != 2 || load.GetRequestsWaiting() != queueLeast {
			t.Errorf("load figures %v", load)
		}
		first.Release()
		group.Wait()
		for n := range order {
			if order[n] != n {
				t.Fatalf("served in the order %v", order)
			}
		}
		second.Release()
		if n := h.machine.Ledger().Stats().InFlight; n != 0 {
			t.Fatalf("%d requests in flight", n)
		}
	})
}

func joinError(h *host, modelID string) error {
	_, err := h.Join(h.t.Context(), modelID, true)
	return err
}

// However many waited for the load, all of them are served, so many at once; and who gives up makes way.
func TestMaxConcurrencyAfterALoad(t *testing.T) {
	config := capacity(3)
	config.Machine.MaxConcurrency = 3
	run(t, config, func(t *testing.T, h *host) {
		h.catalog("m")
		var group sync.WaitGroup
		var inside, most, served, late atomic.Int64
		for n := range 200 {
			group.Go(func() {
				// A third has no time to wait for its turn.
				ctx, cancel := context.WithTimeout(t.Context(), []time.Duration{time.Minute, time.Minute, 3 * time.Second}[n%3])
				defer cancel()
				lease, err := h.Acquire(ctx, "m")
				if err != nil {
					if outcomeOf(err) != route.DeadlineExceeded || n%3 != 2 {
						t.Error(err)
					}
					late.Add(1)
					return
				}
				most.Store(max(most.Load(), inside.Add(1)))
				time.Sleep(100 * time.Millisecond)
				inside.Add(-1)
				served.Add(1)
				lease.Release()
			})
			synctest.Wait()
		}
		group.Wait()
		if most.Load() != 3 || late.Load() == 0 || served.Load()+late.Load() != 200 {
			t.Fatalf("%d at once, %d served, %d gave up", most.Load(), served.Load(), late.Load())
		}
		if n := h.machine.Ledger().Stats().InFlight; n != 0 {
			t.Fatalf("%d requests in flight", n)
		}
		lease, ok := h.TryAcquire("m")
		if !ok {
			t.Fatal("a slot was lost")
		}
		lease.Release()
	})
}

// Of many that waited for a load one goes first and alone, so that its answer is not held up by what the others set off; but
// nobody waits long for an answer that takes long.
func TestOneOfManyGoesFirst(t *testing.T) {
	for _, c := range []struct{ answer, others time.Duration }{
		{2 * time.Millisecond, 2 * time.Millisecond},
		{time.Second, 5 * time.Millisecond},
	} {
		run(t, capacity(3), func(t *testing.T, h *host) {
			h.catalog("m")
			var group sync.WaitGroup
			var mu sync.Mutex
			var came []time.Time
			for range 200 {
				group.Go(func() {
					lease, err := h.acquire("m")
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					came = append(came, time.Now())
					mu.Unlock()
					time.Sleep(c.answer)
					lease.Release()
				})
			}
			group.Wait()
			slices.SortFunc(came, time.Time.Compare)
			second, last := came[1].Sub(came[0]), came[len(came)-1].Sub(came[0])
			if second < c.others || last > c.others+5*time.Millisecond {
				t.Errorf("an answer takes %v: the others come from %v to %v after the first", c.answer, second, last)
			}
		})
	}
}

// Who is woken in a later wave, when the copy is on its way out, goes by its limit all the same: there is no turn to be had.
func TestLaterWavesOfACopyThatLeaves(t *testing.T) {
	config := capacity(3)
	config.Machine.MaxConcurrency = 1
	run(t, config, func(t *testing.T, h *host) {
		h.catalog("m")
		var group sync.WaitGroup
		var inside, served atomic.Int64
		for range 100 {
			group.Go(func() {
				lease, err := h.acquire("m")
				if err != nil {
					if outcomeOf(err) != route.UnknownModel {
						t.Error(err)
					}
					return
				}
				if n := inside.Add(1); n > 1 {
					t.Errorf("%d requests at once", n)
				}
				if served.Add(1) == 1 {
					if err := h.CatalogChanged(t.Context(), machine.CatalogChanged{Removed: []string{"m"}}); err != nil {
						t.Error(err)
					}
				}
				time.Sleep(time.Second)
				inside.Add(-1)
				lease.Release()
			})
		}
		group.Wait()
		time.Sleep(time.Second)
		if n := h.machine.Ledger().Stats(); n.InFlight != 0 || !n.Draining.IsZero() || served.Load() == 0 {
			t.Fatalf("%d served, %+v", served.Load(), n)
		}
	})
}

// Of many that waited for a load, one whose request is here goes first, however many have come before it from other hosts.
func TestNearGoesFirst(t *testing.T) {
	run(t, capacity(3), func(t *testing.T, h *host) {
		h.catalog("m")
		const far = 3 * fewWaiters
		var group sync.WaitGroup
		var mu sync.Mutex
		var order []int
		for n := range far + 1 {
			group.Go(func() {
				join := func() (*Lease, error) { return h.Join(t.Context(), "m", n == far) }
				if n == 0 {
					join = func() (*Lease, error) { // Has the model loaded.
						return h.Executor.acquire(t.Context(), machine.Wanted{Model: "m"}, false)
					}
				}
				lease, err := join()
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				order = append(order, n)
				mu.Unlock()
				lease.Release()
			})
			synctest.Wait()
		}
		group.Wait()
		if len(order) != far+1 || order[0] != far {
			t.Errorf("in this order: %v", order)
		}
	})
}

// Whoever gives up between the load's end and their turn to go keeps the copy for some milliseconds at most.
func TestWaitersThatGiveUpLetGo(t *testing.T) {
	run(t, capacity(3), func(t *testing.T, h *host) {
		h.catalog("m")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var group sync.WaitGroup
		for n := range 1000 {
			group.Go(func() {
				if n >= firstWave {
					if lease, err := h.Acquire(ctx, "m"); err == nil {
						lease.Release()
					}
					return
				}
				lease, err := h.acquire("m")
				if err != nil {
					t.Error(err)
					return
				}
				cancel()
				time.Sleep(time.Minute)
				lease.Release()
			})
			synctest.Wait()
		}
		<-ctx.Done()
		time.Sleep(firstAnswer + 10*wavePause)
		if n := h.machine.Ledger().Stats().InFlight; n != firstWave {
			t.Errorf("%d requests in flight, %d hold a lease", n, firstWave)
		}
		group.Wait()
	})
}

// A copy that is given up ends what it has; who waits for a turn goes where another copy is.
func TestGiveUp(t *testing.T) {
	o := &others{}
	config := inMesh(o, 3)
	config.Machine.MaxConcurrency = 1
	run(t, config, func(t *testing.T, h *host) {
		h.catalog("m")
		lease := h.mustAcquire("m")
		if released, message, err := h.GiveUp(t.Context(), "m"); released || message == "" || err != nil {
			t.Fatalf("the last copy: %v %q %v", released, message, err)
		}
		o.copies.Store(1)
		var group sync.WaitGroup
		group.Go(func() {
			if e := notHere(joinError(h, "m")); e.State != machine.Draining {
				t.Errorf("joined: %+v", e)
			}
		})
		synctest.Wait()
		if released, _, err := h.GiveUp(t.Context(), "m"); !released || err != nil {
			t.Fatal(released, err)
		}
		group.Wait()
		if !h.runtime.infer("m", time.Minute) {
			t.Fatal("the request in flight lost its model")
		}
		lease.Release()
		time.Sleep(time.Second)
		o.mu.Lock()
		defer o.mu.Unlock()
		if n := len(o.remembered); n != 2 || o.remembered[1].Usage.Count < 1 || o.remembered[1].Evicted || h.mesh.copy("m") != nil {
			t.Fatalf("remembered %+v, published %v", o.remembered, h.mesh.copy("m"))
		}
	})
}

// A leaving host takes no reservations, serves what it has and loads what requests wait for.
func TestDraining(t *testing.T) {
	run(t, inMesh(&others{}, 3), func(t *testing.T, h *host) {
		h.catalog("m", "n")
		h.use("m")
		if err := h.SetDraining(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		if refused := h.reserve("n"); refused.Granted || refused.Reason != peerv1.UnplacedReason_UNPLACED_REASON_NO_HOST {
			t.Fatalf("%+v", refused)
		}
		h.use("m")
		h.use("n")
	})
}

// A copy in use for minutes on end is in steady use, and one that was used once, or used to be, is not.
func TestSteadyUse(t *testing.T) {
	run(t, capacity(3), func(t *testing.T, h *host) {
		h.catalog("often", "once")
		h.use("once")
		steady := func() (names []string) {
			h.Uses(func(u Use) {
				if u.Steady {
					names = append(names, u.ModelID)
				}
			})
			return names
		}
		for range 8 {
			h.use("often")
			time.Sleep(time.Minute)
		}
		if got := steady(); len(got) != 1 || got[0] != "often" {
			t.Fatalf("in steady use: %v", got)
		}
		time.Sleep(2 * steadyPause)
		if got := steady(); len(got) != 0 {
			t.Fatalf("in steady use: %v", got)
		}
	})
}
