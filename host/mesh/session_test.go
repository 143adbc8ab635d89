package mesh

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wasmesh/wasmesh/host/ingress"
	"github.com/wasmesh/wasmesh/host/members"
	"github.com/wasmesh/wasmesh/host/peers/residency"
	"github.com/wasmesh/wasmesh/host/route"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// gateway makes the mesh of a gateway and others.
func gateway(t *testing.T, ids ...string) (*Mesh, *others) {
	o := newOthers(append([]string{"self"}, ids...)...)
	m := newMesh(t, o, func(c *Config) { c.Gateway = true })
	o.view.Self().Gateway = true
	m.MembersChanged(o.View())
	return m, o
}

func (m *Mesh) begin(model string) ingress.Session {
	return Router{m}.Start(ingress.Resolved{ModelID: model, Runtimes: []string{"r"}})
}

func loaded(m *Mesh, model string) residency.Entry {
	return residency.Entry{Key: m.key(model), State: residency.Loaded}
}

// A copy on a peer is taken without a wait, with the token of the mesh, and counts as in flight there until it is released.
func TestAPeersCopyIsTakenAtOnce(t *testing.T) {
	m, o := gateway(t, "a", "b")
	o.hold(t, "b", loaded(m, "m"))
	lease, ok := m.begin("m").Try()
	if !ok || lease.Local() || lease.Waits() || lease.ModelID() != "m" {
		t.Fatalf("lease %+v, %v", lease, ok)
	}
	target := lease.Target()
	if target.Address != "b:8080" || !target.Peer || target.Header.Get(route.HeaderToken) != "token" {
		t.Errorf("target %+v", target)
	}
	if n := m.flights.of(m.key("m"), "b"); n != 1 {
		t.Errorf("%d in flight", n)
	}
	lease.Release()
	for i := range m.flights.shards {
		if n := len(m.flights.shards[i].counts); n != 0 {
			t.Errorf("%d counts are left", n)
		}
	}
}

// What nobody has is placed, and waited for where it was placed.
func TestAMissIsPlacedAndWaitedForThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, o := gateway(t, "a", "b")
		for _, id := range []string{"a", "b"} {
			o.place[id] = placedOn("a")
		}
		s := m.begin("m")
		if lease, ok := s.Try(); ok {
			t.Fatalf("took %+v", lease)
		}
		lease, err := s.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if lease.Target().Address != "a:8080" || !lease.Waits() {
			t.Errorf("lease %+v", lease)
		}
		lease.Release()
		// The load failed there; the next placement excludes the host.
		var excluded []string
		for _, id := range []string{"a", "b"} {
			o.place[id] = func(request *peerv1.PlaceRequest) (*peerv1.PlaceResponse, error) {
				excluded = request.GetExclude()
				return placedOn("b")(request)
			}
		}
		s.Refused(lease, &route.NotHere{Reason: route.Failed, Err: route.Errorf(route.LoadFailed, "out of luck")})
		if lease, err = s.Acquire(t.Context()); err != nil || lease.Target().Address != "b:8080" {
			t.Fatalf("%+v, %v", lease, err)
		}
		if len(excluded) != 1 || excluded[0] != "a" {
			t.Errorf("excluded %v", excluded)
		}
		lease.Release()
	})
}

// What the last arbiter says is what the client hears.
func TestARefusalReachesTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, o := gateway(t, "a")
		o.place["a"] = unplacedFor(peerv1.UnplacedReason_UNPLACED_REASON_CANNOT_FIT)
		_, err := m.begin("m").Acquire(t.Context())
		if refused, ok := errors.AsType[*route.Error](err); !ok || refused.Outcome != route.CannotFit || refused.Message != "because" {
			t.Errorf("got %v", err)
		}
	})
}

// A model that leaves the catalog while a request is on its way is unknown, so that its name is looked up anew.
func TestAModelThatIsRemovedIsUnknown(t *testing.T) {
	m, _ := gateway(t, "a")
	s := m.begin("m")
	m.deps.Catalog.(*still).table = tableOf("n")
	if _, ok := s.Try(); ok {
		t.Error("taken")
	}
	_, err := s.Acquire(t.Context())
	if gone, ok := errors.AsType[*route.Error](err); !ok || gone.Outcome != route.UnknownModel {
		t.Errorf("got %v", err)
	}
}

// demands is what the controller hears.
type demands struct {
	Reporter
	told [][]*syncv1.Demand
}

func (d *demands) PublishDemands(all []*syncv1.Demand) { d.told = append(d.told, all) }

// Without a host for a model, a gateway waits as long as the client does, and says what for; one that comes ends it.
func TestAGatewayWaitsUntilTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, o := gateway(t)
		heard := &demands{}
		m.demand.reporter = heard
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		started := time.Now()
		_, err := m.begin("m").Acquire(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(started) != 20*time.Second {
			t.Errorf("got %v after %v", err, time.Since(started))
		}
		if len(heard.told) == 0 || len(heard.told[0]) != 1 || heard.told[0][0].GetRuntime() != "r" || heard.told[0][0].GetWaiting() != 1 {
			t.Errorf("the controller heard %v", heard.told)
		}
		if last := heard.told[len(heard.told)-1]; len(last) != 0 {
			t.Errorf("the controller still hears %v", last)
		}
		go func() {
			time.Sleep(10 * time.Second)
			o.hold(t, "a", loaded(m, "m"))
			view := o.see("self", "a")
			view.Self().Gateway = true
			m.MembersChanged(view)
		}()
		started = time.Now()
		lease, err := m.begin("m").Acquire(t.Context())
		if err != nil || time.Since(started) != 10*time.Second {
			t.Fatalf("%v after %v", err, time.Since(started))
		}
		lease.Release()
	})
}

// Nobody waits for ever: not even a request that has no deadline.
func TestAGatewayDoesNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _ := gateway(t)
		started := time.Now()
		_, err := m.begin("m").Acquire(t.Context())
		if nobody, ok := errors.AsType[*route.Error](err); !ok || nobody.Outcome != route.NoHost || time.Since(started) > longestWait+time.Second {
			t.Errorf("got %v after %v", err, time.Since(started))
		}
	})
}

// A host with a runtime does not make clients wait for a runtime that nobody has.
func TestAHostDoesNotWaitForAHost(t *testing.T) {
	o := newOthers("self")
	m := newMesh(t, o)
	o.view = members.NewView("self", []members.Member{{ID: "self", Live: true, Runtime: "another"}})
	_, err := m.begin("m").Acquire(t.Context())
	if nobody, ok := errors.AsType[*route.Error](err); !ok || nobody.Outcome != route.NoHost || nobody.RetryAfter == 0 {
		t.Errorf("got %v", err)
	}
}
