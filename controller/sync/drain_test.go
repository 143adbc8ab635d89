package syncserver

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// drained is one call of Drain.
type drained struct {
	progress []string
	err      error
	over     bool
}

func (c *controller) drain(ctx context.Context, id string, timeout time.Duration) *drained {
	d := &drained{}
	go func() {
		d.err = c.Drain(ctx, id, timeout, func(now *syncv1.Draining) error {
			d.progress = append(d.progress, fmt.Sprintf("%d/%d %t", now.Moved, now.Copies, now.Closing))
			return nil
		})
		d.over = true
	}()
	synctest.Wait()
	return d
}

func (d *drained) expect(t *testing.T, what string, over bool, code codes.Code, progress ...string) {
	t.Helper()
	synctest.Wait()
	if d.over != over || status.Code(d.err) != code || !slices.Equal(d.progress, progress) {
		t.Errorf("%s: over %t, %v, told %q; want over %t, %v, %q", what, d.over, d.err, d.progress, over, code, progress)
	}
}

// drainsAre compares the timeouts that a host was told.
func (h *hostEnd) drainsAre(what string, want ...int64) {
	h.t.Helper()
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	var got []int64
	for _, d := range h.drains {
		got = append(got, d.TimeoutMs)
	}
	if !slices.Equal(got, want) {
		h.t.Errorf("%s: told to drain within %v ms, want %v", what, got, want)
	}
}

// other is what the host was last told of another; nil for nothing.
func (h *hostEnd) other(id string) (found *syncv1.Hosts_Host, lists int) {
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, o := range h.others {
		if o.Id == id {
			found = o
		}
	}
	return found, h.lists
}

func drainReport(moved, copies uint32, closing bool) *syncv1.Report {
	return &syncv1.Report{Draining: &syncv1.Draining{Copies: copies, Moved: moved, Closing: closing}}
}

// What a host says of itself reaches all others of its namespace at once.
func TestHostsKnowEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newController(t, Config{Term: 1})
		a := c.connect(hello("a"))
		far := c.connect(&syncv1.Hello{Namespace: "other", HostId: "o", Epoch: 1})
		b := c.connect(&syncv1.Hello{
			HostId: "b", Epoch: 7, Runtime: "r", GrpcAddress: "g:1", RestAddress: "h:1",
			PeerAddress: "p:1", GossipAddress: "q:1", Zone: "z", Gateway: true,
		})
		want := &syncv1.Hosts_Host{
			Id: "b", Runtime: "r", GrpcAddress: "g:1", RestAddress: "h:1", Connected: true,
			PeerAddress: "p:1", GossipAddress: "q:1", Zone: "z", Gateway: true, Epoch: 7,
		}
		if got, _ := a.other("b"); !proto.Equal(got, want) {
			t.Errorf("a hears of b: %v, want %v", got, want)
		}
		if got, _ := far.other("b"); got != nil {
			t.Errorf("another namespace hears of b: %v", got)
		}
		b.close()
		if got, _ := a.other("b"); got == nil || got.Connected {
			t.Errorf("b, which was lost: %v, want it in the list, as others may still reach it", got)
		}
	})
}

func TestDrainIsFollowedToTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newController(t, Config{Term: 1})
		a, b := c.connect(hello("a")), c.connect(hello("b"))
		a.report(&syncv1.Report{Complete: true, Copies: []*syncv1.Copy{{ModelId: "m"}}})
		d := c.drain(t.Context(), "a", 3*time.Second)
		a.drainsAre("at once", 3000)
		d.expect(t, "before the host has said anything", false, codes.OK)

		_, before := b.other("a")
		a.report(drainReport(0, 3, false))
		got, after := b.other("a")
		if got.GetDraining().GetCopies() != 3 || after == before {
			t.Errorf("b hears of a: %v in list %d after %d, want that it drains, at once", got, after, before)
		}
		a.report(drainReport(1, 3, false))
		a.report(drainReport(1, 3, false))
		if _, again := b.other("a"); again != after {
			t.Errorf("each copy that moves makes a new list: %d after %d", again, after)
		}
		a.report(drainReport(3, 3, true))
		if got, _ := b.other("a"); !got.GetDraining().GetClosing() {
			t.Errorf("b hears of a: %v, want that it closes", got)
		}
		second := c.drain(t.Context(), "a", 0)
		second.expect(t, "another who asks", false, codes.OK, "3/3 true")
		a.drainsAre("with the newest timeout", 3000, 0)

		a.close()
		progress := []string{"0/3 false", "1/3 false", "3/3 true"}
		d.expect(t, "the end", true, codes.OK, progress...)
		second.expect(t, "the end", true, codes.OK, "3/3 true")
		if got, _ := b.other("a"); got != nil {
			t.Errorf("b hears of a, which has left: %v", got)
		}
		if h := c.Hosts()[0]; len(h.Copies) != 0 {
			t.Errorf("a host that has left holds %v", h.Copies)
		}
		if known := c.Known(); len(known) != 1 || known[0].ID != "b" {
			t.Errorf("a restart waits for %v", known)
		}

		// The next process with its name is another host.
		again := c.connect(&syncv1.Hello{HostId: "a", Epoch: 2})
		again.drainsAre("in its next life")
		if got, _ := b.other("a"); got == nil || got.Draining != nil {
			t.Errorf("b hears of a, which is back: %v", got)
		}
	})
}

func TestDrainOutlivesAStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newController(t, Config{Term: 1})
		first := c.connect(hello("a"))
		first.report(&syncv1.Report{Complete: true})
		d := c.drain(t.Context(), "a", time.Second)
		first.report(drainReport(1, 2, false))
		first.close()
		time.Sleep(drainLostAfter - time.Second)
		d.expect(t, "while the host may come back", false, codes.OK, "1/2 false")
		second := c.connect(hello("a"))
		second.drainsAre("again, as the first word may be lost", 1000)
		time.Sleep(2 * drainLostAfter)
		d.expect(t, "with the host back", false, codes.OK, "1/2 false")
		second.close()
		time.Sleep(drainLostAfter + time.Second)
		d.expect(t, "a host that never closed", true, codes.Aborted, "1/2 false")

		third := c.connect(hello("a"))
		third.report(&syncv1.Report{Complete: true})
		d = c.drain(t.Context(), "a", 0)
		c.connect(&syncv1.Hello{HostId: "a", Epoch: 2})
		d.expect(t, "a host that crashed and is back", true, codes.Aborted)
	})
}

func TestDrainRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newController(t, Config{Term: 1})
		a := c.connect(hello("a"))
		other := c.connect(&syncv1.Hello{Namespace: "other", HostId: "a", Epoch: 1})
		gone := c.connect(hello("gone"))
		gone.close()
		c.drain(t.Context(), "b", 0).expect(t, "no such host", true, codes.NotFound)
		c.drain(t.Context(), "gone", 0).expect(t, "a host that is not connected", true, codes.NotFound)
		d := c.drain(t.Context(), "a", 0)
		d.expect(t, "a name in two namespaces", true, codes.FailedPrecondition)
		if d.err == nil || !strings.Contains(d.err.Error(), "default/a") {
			t.Errorf("%v does not say how to tell them apart", d.err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		d = c.drain(ctx, "other/a", 0)
		d.expect(t, "with its namespace", false, codes.OK)
		other.drainsAre("the one that was meant", 0)
		a.drainsAre("the other")
		cancel()
		d.expect(t, "when nobody listens", true, codes.Canceled)
		if n := len(c.hosts[HostKey{"other", "a"}].followers); n != 0 {
			t.Errorf("%d followers are left", n)
		}
	})
}

// A gateway is no holder: what it says of copies is ignored, it is told of no policies, and nobody waits for it.
func TestGatewayHoldsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newController(t, Config{Term: 1})
		c.publish(alias("x", "x1"), model("x1"))
		g := c.connect(&syncv1.Hello{HostId: "g", Epoch: 1, Gateway: true})
		h := c.connect(hello("h"))
		drainChanged(c.Changed())
		g.report(&syncv1.Report{
			Complete: true, Copies: []*syncv1.Copy{{ModelId: "x1", State: syncv1.CopyState_COPY_STATE_LOADED}},
			Demands: []*syncv1.Demand{{Runtime: "r", Waiting: 2}, {Runtime: "s"}},
		})
		drainChanged(c.Changed())
		hosts := c.Hosts()
		if len(hosts[0].Copies) != 0 || !hosts[0].Complete || hosts[0].Demands[0].Waiting != 2 {
			t.Errorf("the gateway: %+v", hosts[0])
		}
		demand := func(waiting uint32) *syncv1.Report {
			return &syncv1.Report{Demands: []*syncv1.Demand{{Runtime: "r", Waiting: waiting}}}
		}
		if g.report(demand(3)); drainChanged(c.Changed()) {
			t.Error("another number of waiting requests makes a pass")
		}
		if g.report(&syncv1.Report{}); !drainChanged(c.Changed()) || len(c.Hosts()[0].Demands) != 0 {
			t.Error("that nobody waits any more is not seen")
		}
		if g.report(demand(1)); !drainChanged(c.Changed()) {
			t.Error("that somebody waits for a runtime makes no pass")
		}

		c.SetPolicies("default", &syncv1.PolicyPlan{Version: &syncv1.Version{Term: 1, Sequence: 1}}, nil)
		synctest.Wait()
		if g.plans != 0 || h.plans != 1 {
			t.Errorf("the gateway was told %d plans, the host %d", g.plans, h.plans)
		}
		if hosts := c.PolicyHosts("default"); len(hosts) != 1 || hosts[0].ID != "h" {
			t.Errorf("policies wait for %v", hosts)
		}
		g.expectKeys("the gateway routes, so it has the catalog", "alias/default/x", "model/default/x1")
	})
}

// drainChanged empties the channel and answers whether something was in it.
func drainChanged(changed <-chan struct{}) bool {
	synctest.Wait()
	select {
	case <-changed:
		return true
	default:
		return false
	}
}
