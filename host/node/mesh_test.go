package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/wasmesh/wasmesh/host/peers"
	"github.com/wasmesh/wasmesh/runtimes/fake"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
	"github.com/wasmesh/wasmesh/wasm-policies/hook"
)

// Any host serves any model, and each model is loaded once.
func TestAnyHostServesAnyModel(t *testing.T) {
	r := newRig(t)
	const models = 9
	for _, id := range []string{"r-0", "r-1", "r-2"} {
		r.start(id)
	}
	r.together() // Hosts that do not know each other yet may load the same.
	for i := range models {
		r.model(fmt.Sprintf("m%d", i), fake.Artifact{SizeBytes: 1 << 20})
	}
	for _, h := range r.hosts {
		for i := range models {
			r.must(h, fmt.Sprintf("m%d", i))
		}
	}
	if got := r.loads(); got != models {
		t.Errorf("%d loads of %d models", got, models)
	}
	// Why each is where it is can be looked up at its arbiter.
	for i := range models {
		name := fmt.Sprintf("m%d", i)
		r.eventually("the decision on "+name+" says what came of it", func() bool {
			where := r.copies(name)
			for _, h := range r.hosts {
				for _, d := range h.node.policies.Place.Records(hook.Filter{Model: name + "__isvc-0123456789"}) {
					if len(where) == 1 && strings.HasPrefix(d.GetEffect(), "loaded on "+where[0]) {
						return true
					}
				}
			}
			return false
		})
	}
}

// However many requests come at once for a model that nobody has, on however many hosts, it is loaded once.
func TestManyFirstRequestsAreOneLoad(t *testing.T) {
	r := newRig(t)
	for _, id := range []string{"r-0", "r-1", "r-2"} {
		r.start(id)
	}
	r.together()
	r.model("m", fake.Artifact{SizeBytes: 1 << 20})
	hosts := []*rigHost{r.hosts["r-0"], r.hosts["r-1"], r.hosts["r-2"]}
	var release []func()
	for _, h := range hosts {
		release = append(release, h.runtime.HoldLoads())
	}
	var wg sync.WaitGroup
	errs := make(chan error, 300)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for i := range cap(errs) {
		wg.Go(func() {
			if _, err := hosts[i%3].ask(ctx, "m"); err != nil {
				errs <- err
			}
		})
	}
	var waiting [3]int
	defer func() {
		if t.Failed() {
			t.Logf("waiting at the hosts: %v; failed so far: %d", waiting, len(errs))
		}
	}()
	r.eventually("all requests wait, and a load is under way", func() bool {
		if len(errs) > 0 {
			t.Fatal(<-errs)
		}
		all, loads := 0, 0
		for i, h := range hosts {
			waiting[i] = h.node.executor.Figures().Models.Waiting
			all += waiting[i]
			loads += h.runtime.Calls().Loads
		}
		return all == cap(errs) && loads > 0
	})
	loads := 0
	for i, h := range hosts {
		loads += h.runtime.Calls().Loads
		release[i]()
	}
	if loads != 1 {
		t.Errorf("%d loads", loads)
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
}

// load asks models through hosts, over and over, until end is called; it answers what went wrong and how many were served.
// through answers the host for the next request; none is waited out.
func (r *rig) load(models []string, through func(i int) *rigHost) (end func() (served int, failed []error)) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var mu sync.Mutex
	var served int
	var failed []error
	for worker := range 6 {
		wg.Go(func() {
			for i := worker; ctx.Err() == nil; i++ {
				h := through(i)
				if h == nil {
					time.Sleep(time.Millisecond)
					continue
				}
				asking, done := context.WithTimeout(context.Background(), patience)
				_, err := h.ask(asking, models[i%len(models)])
				done()
				mu.Lock()
				if err != nil {
					failed = append(failed, fmt.Errorf("%s through %s: %w", models[i%len(models)], h.id, err))
				} else {
					served++
				}
				mu.Unlock()
			}
		})
	}
	return func() (int, []error) {
		cancel()
		wg.Wait()
		return served, failed
	}
}

func modelNames(n int) (models []string) {
	for i := range n {
		models = append(models, fmt.Sprintf("m%d", i))
	}
	return models
}

// When a host is gone from one moment to the next, its models answer again through the others.
func TestTheModelsOfAHostThatDiedAreLoadedElsewhere(t *testing.T) {
	r := newRig(t)
	models := modelNames(9)
	for _, m := range models {
		r.model(m, fake.Artifact{SizeBytes: 1 << 20})
	}
	for _, id := range []string{"r-0", "r-1", "r-2"} {
		r.start(id)
	}
	r.together()
	held := map[string]int{}
	for _, m := range models {
		held[r.must(r.hosts["r-0"], m)]++
	}
	victim := r.hosts["r-1"]
	if held["r-1"] == 0 {
		t.Fatalf("no model is on r-1: %v", held)
	}
	r.kill(victim)
	for _, id := range []string{"r-0", "r-2"} {
		for _, m := range models {
			if server := r.must(r.hosts[id], m); server == "r-1" {
				t.Errorf("%s was served by a host that is gone", m)
			}
		}
	}
}

// A host that is drained hands its models over, and no request fails.
func TestADrainedHostLosesNoRequest(t *testing.T) {
	r := newRig(t)
	models := modelNames(12)
	for _, id := range []string{"r-0", "r-1", "r-2"} {
		r.start(id)
	}
	r.together()
	for _, m := range models {
		r.model(m, fake.Artifact{SizeBytes: 1 << 20, LoadMS: fake.Milliseconds(50), ServiceMS: fake.Milliseconds(2)})
	}
	for _, m := range models {
		r.must(r.hosts["r-0"], m)
	}
	leaving := r.hosts["r-1"]
	moved, only := len(leaving.runtime.Loaded()), 0
	for _, m := range models {
		if copies := r.copies(m); len(copies) == 1 && copies[0] == "r-1" {
			only++
		}
	}
	before := r.loads()
	var gone atomic.Bool
	hosts := []*rigHost{r.hosts["r-0"], leaving, r.hosts["r-2"]}
	end := r.load(models, func(i int) *rigHost {
		h := hosts[i%3]
		// As a client does that looks at readiness.
		if h == leaving && (gone.Load() || !h.node.server.Ready()) {
			gone.Store(true)
			return hosts[0]
		}
		return h
	})
	r.controller.drain("r-1")
	<-leaving.ended
	delete(r.hosts, "r-1")
	served, failed := end()
	if leaving.err != nil {
		t.Errorf("the drained host ended with %v", leaving.err)
	}
	if len(failed) > 0 {
		t.Errorf("%d of %d requests failed, the first: %v", len(failed), len(failed)+served, failed[0])
	}
	if d := r.controller.farewell("r-1"); int(d.GetMoved()) != moved || d.GetCopies() != d.GetMoved() || d.GetStranded() != 0 || !d.GetClosing() {
		t.Errorf("the controller last heard %v, with %d copies to move", d, moved)
	}
	if got := leaving.runtime.Loaded(); len(got) > 0 {
		t.Errorf("the drained host left %v behind", got)
	}
	if got := r.loads() + leaving.runtime.Calls().LoadsDone - before; got != only {
		t.Errorf("%d loads to move %d copies that nobody else had", got, only)
	}
}

// While a name is declared clients have the grace to find other hosts; when the last has gone, nobody is waited for.
func TestAMeshThatIsTakenDownIsNotWaitedFor(t *testing.T) {
	r := newRig(t)
	r.model("m", fake.Artifact{SizeBytes: 1 << 20})
	h := r.start("r-0", func(c *Config) { c.DrainGrace = time.Hour })
	r.must(h, "m")
	h.stop()
	r.eventually("the host is closing", func() bool { return !h.node.server.Ready() })
	r.must(h, "m")
	select {
	case <-h.ended:
		t.Fatal("the host has ended while somebody may ask it")
	default:
	}
	r.controller.remove("model/default/m__isvc-0123456789", "alias/default/m")
	<-h.ended
	if h.err != nil {
		t.Error(h.err)
	}
}

// All hosts are replaced in turn, by signals, and no request fails.
func TestARollingRestartLosesNoRequest(t *testing.T) {
	r := newRig(t)
	r.rollingRestart(func(*Config) {})
}

// So it is with certificates, of which each start has its own.
func TestARollingRestartOverTLSLosesNoRequest(t *testing.T) {
	r := newRig(t)
	r.rollingRestart(r.secure())
}

func (r *rig) rollingRestart(change func(*Config)) {
	t := r.t
	models := modelNames(12)
	for _, m := range models {
		r.model(m, fake.Artifact{SizeBytes: 1 << 20, LoadMS: fake.Milliseconds(20), ServiceMS: fake.Milliseconds(1)})
	}
	ids := []string{"r-0", "r-1", "r-2"}
	var mu sync.Mutex
	current := map[string]*rigHost{}
	for _, id := range ids {
		current[id] = r.start(id, change)
	}
	r.together()
	for _, m := range models {
		r.must(current["r-0"], m)
	}
	end := r.load(models, func(i int) *rigHost {
		mu.Lock()
		defer mu.Unlock()
		if h := current[ids[i%3]]; h != nil && h.node.server.Ready() {
			return h
		}
		return nil
	})
	for _, id := range ids {
		h := current[id]
		h.stop()
		<-h.ended
		delete(r.hosts, id)
		if h.err != nil {
			t.Errorf("%s ended with %v", id, h.err)
		}
		fresh := r.start(id, change)
		mu.Lock()
		current[id] = fresh
		mu.Unlock()
		r.together()
	}
	served, failed := end()
	if len(failed) > 0 {
		t.Errorf("%d of %d requests failed, the first: %v", len(failed), len(failed)+served, failed[0])
	}
}

// A model that is too busy gets another copy, and requests use it.
func TestABusyModelGetsAnotherCopy(t *testing.T) {
	r := newRig(t)
	r.model("m0", fake.Artifact{SizeBytes: 1 << 20, ServiceMS: fake.Milliseconds(20)})
	for _, id := range []string{"r-0", "r-1"} {
		r.start(id, func(c *Config) { c.CopyConcurrency = 2 })
	}
	r.together()
	r.must(r.hosts["r-0"], "m0")
	if copies := r.copies("m0"); len(copies) != 1 {
		t.Fatalf("copies on %v without need", copies)
	}
	end := r.load([]string{"m0"}, func(int) *rigHost { return r.hosts["r-0"] })
	r.eventually("both hosts have a copy", func() bool { return len(r.copies("m0")) == 2 })
	r.eventually("both serve", func() bool {
		return r.hosts["r-0"].runtime.InFlight() > 0 && r.hosts["r-1"].runtime.InFlight() > 0
	})
	if _, failed := end(); len(failed) > 0 {
		t.Errorf("%d requests failed, the first: %v", len(failed), failed[0])
	}
}

// A model that fails is tried on other hosts at once; what the client hears says why.
func TestAModelThatFailsIsTriedElsewhere(t *testing.T) {
	r := newRig(t)
	for _, id := range []string{"r-0", "r-1", "r-2"} {
		h := r.start(id)
		h.runtime.SetLoadDelay(0)
	}
	r.together()
	r.model("broken", fake.Artifact{SizeBytes: 1 << 20, Fail: "no such operator"})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := r.hosts["r-0"].ask(ctx, "broken")
	if status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "no such operator") {
		t.Errorf("got %v", err)
	}
	for id, h := range r.hosts {
		if loads := h.runtime.Calls().Loads; loads != 1 {
			t.Errorf("%s tried %d times", id, loads)
		}
	}
	// On one host only, the request does not notice.
	for _, h := range r.hosts {
		h.runtime.FailNextLoad(status.Error(codes.Internal, "out of luck"))
		break
	}
	r.model("lucky", fake.Artifact{SizeBytes: 1 << 20})
	r.must(r.hosts["r-0"], "lucky")
}

// A gateway serves from others, and waits for a host that is to come; meanwhile the controller hears what for.
func TestAGatewayWaitsForAHost(t *testing.T) {
	r := newRig(t)
	r.model("m", fake.Artifact{SizeBytes: 1 << 20})
	gateway := r.start("gateway-0", func(c *Config) {
		c.RuntimeType, c.ServingRuntime, c.CapacityBytes, c.ModelsDir = RuntimeNone, "", 0, ""
	})
	answer := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		server, err := gateway.ask(ctx, "m")
		if err == nil && server != "r-0" {
			err = errors.New("served by " + server)
		}
		answer <- err
	}()
	r.eventually("the controller hears of the demand", func() bool {
		report := r.controller.reported("gateway-0")
		return slices.ContainsFunc(report.GetDemands(), func(d *syncv1.Demand) bool { return d.GetRuntime() == "r" && d.GetWaiting() == 1 })
	})
	r.start("r-0")
	if err := <-answer; err != nil {
		t.Fatal(err)
	}
	r.eventually("there is no demand any more", func() bool {
		report := r.controller.reported("gateway-0")
		return len(report.GetDemands()) == 0
	})
}

// A host that starts while the controller is away has the catalog from a peer, and serves what they hold.
func TestTheCatalogComesFromAPeer(t *testing.T) {
	r := newRig(t)
	r.model("m", fake.Artifact{SizeBytes: 1 << 20})
	first := r.start("r-0")
	r.must(first, "m")
	gossip := first.node.together.GossipAddress()
	r.controller.leave()
	fresh := r.start("r-1", func(c *Config) { r.remember(c.StateDir, "r-0", gossip) })
	if server := r.must(fresh, "m"); server != "r-0" {
		t.Errorf("served by %s, where it was not loaded", server)
	}
}

// While the controller is away, and when it is back, everything is served and nothing is loaded again.
func TestTheControllersAbsenceChangesNothing(t *testing.T) {
	r := newRig(t)
	models := modelNames(6)
	for _, m := range models {
		r.model(m, fake.Artifact{SizeBytes: 1 << 20})
	}
	for _, id := range []string{"r-0", "r-1"} {
		r.start(id)
	}
	r.together()
	for _, m := range models {
		r.must(r.hosts["r-0"], m)
	}
	loads := r.loads()
	ask := func() {
		for _, h := range r.hosts {
			for _, m := range models {
				r.must(h, m)
			}
		}
	}
	r.controller.leave()
	r.eventually("the hosts notice", func() bool {
		return !r.hosts["r-0"].node.client.Connected() && !r.hosts["r-1"].node.client.Connected()
	})
	ask()
	r.controller.come()
	r.eventually("the hosts have told the controller everything", func() bool {
		copies := 0
		for id := range r.hosts {
			copies += len(r.controller.reported(id).GetCopies())
		}
		return copies >= len(models)
	})
	ask()
	if got := r.loads(); got != loads {
		t.Errorf("%d loads more", got-loads)
	}
}

// A runtime that dies takes its models with it, not the requests for them.
func TestTheModelsOfARuntimeThatDiedAreLoadedElsewhere(t *testing.T) {
	r := newRig(t)
	models := modelNames(6)
	for _, m := range models {
		r.model(m, fake.Artifact{SizeBytes: 1 << 20})
	}
	for _, id := range []string{"r-0", "r-1"} {
		r.start(id)
	}
	r.together()
	for _, m := range models {
		r.must(r.hosts["r-0"], m)
	}
	r.hosts["r-1"].runtime.Kill()
	for _, id := range []string{"r-0", "r-1"} {
		for _, m := range models {
			if server := r.must(r.hosts[id], m); server != "r-0" {
				t.Errorf("%s was served by %s", m, server)
			}
		}
	}
}

// Of two hosts with one id the one that came later stays.
func TestTheLaterOfTwoHostsOfOneIDStays(t *testing.T) {
	r := newRig(t)
	r.model("m", fake.Artifact{SizeBytes: 1 << 20})
	r.start("r-0")
	first := r.start("r-1")
	r.together()
	delete(r.hosts, "r-1")
	second := r.start("r-1", func(c *Config) { c.StateDir += "-of-another"; c.ModelsDir += "-of-another" })
	<-first.ended
	if !errors.Is(first.err, peers.ErrSuperseded) {
		t.Errorf("the first ended with %v", first.err)
	}
	r.together()
	r.must(second, "m")
}
