package syncserver

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

func TestCatalogReachesHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newController(t, Config{Term: 7})
		h := c.connect(hello("a"))
		h.expect("before the first publication")

		c.publish(alias("x", "x1"), model("x1"))
		h.expect("first catalog", "index 7.1 of 2", "update 7.1 on none: +2 -0 true")
		c.publish(alias("x", "x1"), model("x1"))
		h.expect("nothing new")
		c.publish(alias("x", "x1"), alias("y", "y1"), model("x1"), model("y1"))
		h.expect("a step", "update 7.2 on 7.1: +2 -0 true")
		h.expectKeys("after the step", "alias/default/x", "alias/default/y", "model/default/x1", "model/default/y1")
		h.close()

		again := c.connect(&syncv1.Hello{HostId: "a", Epoch: 1, CatalogVersion: &syncv1.Version{Term: 7, Sequence: 2}})
		again.expect("the version that it has", "update 7.2 on none: +0 -0 true")
		again.close()
		older := c.connect(&syncv1.Hello{HostId: "a", Epoch: 2, CatalogVersion: &syncv1.Version{Term: 7, Sequence: 1}})
		older.expect("an older version", "index 7.2 of 4", "update 7.2 on none: +4 -0 true")
	})
}

// A controller that was restarted must not make hosts drop, or load anew, what they hold.
func TestRestartKeepsRows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := newController(t, Config{Term: 1})
		first.publish(alias("x", "x1"), alias("y", "y1"), model("x1"), model("y1"))
		h := first.connect(hello("a"))
		h.expectKeys("before", "alias/default/x", "alias/default/y", "model/default/x1", "model/default/y1")
		first.stop()
		h.expectEnd(codes.Unavailable, "stopping")

		second := newController(t, Config{Term: 2, Known: first.Known()})
		again := second.dial()
		again.rowsOf(h.rows)
		again.hello(&syncv1.Hello{HostId: "a", Epoch: 1, CatalogVersion: h.version})
		time.Sleep(time.Minute)
		again.expect("while nothing is published")
		again.expectKeys("while nothing is published", "alias/default/x", "alias/default/y", "model/default/x1", "model/default/y1")
		second.publish(alias("x", "x1"), model("x1"))
		again.expect("first catalog of the new term", "index 2.1 of 2", "update 2.1 on none: +0 -0 true")
		again.expectKeys("after", "alias/default/x", "model/default/x1")
	})
}

// Between Index and Fetch the catalog goes on; the host still gets what it was promised, and then the step.
func TestChangeBetweenIndexAndFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newController(t, Config{Term: 1})
		c.publish(alias("x", "x1"), model("x1"))
		h := c.dial()
		resume := h.pause()
		h.hello(hello("a"))
		c.publish(alias("x", "x2"), model("x2"))
		c.publish(alias("x", "x3"), model("x3"))
		resume()
		h.expect("all in order", "index 1.1 of 2", "update 1.1 on none: +2 -0 true",
			"update 1.3 on 1.1: +3 -0 true", "update 1.4 on 1.3: +0 -2 true")
		h.expectKeys("at the end", "alias/default/x", "model/default/x3")
	})
}

func TestModelLeavesInTwoPhases(t *testing.T) {
	setup := func(t *testing.T) (c *controller, quick, slow *hostEnd) {
		c = newController(t, Config{Term: 1})
		c.publish(alias("x", "x1"), model("x1"))
		quick, slow = c.connect(hello("quick")), c.connect(hello("slow"))
		slow.mu.Lock()
		slow.silent = true
		slow.mu.Unlock()
		c.publish(alias("x", "x2"), model("x2"))
		want := []string{"alias/default/x", "model/default/x1", "model/default/x2"}
		if got := c.keys(); !slices.Equal(got, want) {
			t.Fatalf("while a host has not acknowledged: %v, want %v", got, want)
		}
		return c, quick, slow
	}
	left := []string{"alias/default/x", "model/default/x2"}
	bubble("when all have acknowledged", t, func(t *testing.T) {
		c, quick, slow := setup(t)
		quick.expectKeys("the quick host keeps it", "alias/default/x", "model/default/x1", "model/default/x2")
		slow.ack(&syncv1.Version{Term: 1, Sequence: 2})
		if got := c.keys(); !slices.Equal(got, left) {
			t.Errorf("after the last acknowledgement: %v, want %v", got, left)
		}
		quick.expectKeys("then it leaves", left...)
	})
	bubble("when the one that has not is gone", t, func(t *testing.T) {
		c, _, slow := setup(t)
		slow.close()
		synctest.Wait()
		if got := c.keys(); !slices.Equal(got, left) {
			t.Errorf("after the disconnect: %v, want %v", got, left)
		}
	})
	bubble("after a minute", t, func(t *testing.T) {
		c, _, _ := setup(t)
		time.Sleep(retireAfter - time.Second)
		if got := c.keys(); slices.Equal(got, left) {
			t.Errorf("just before the minute: %v", got)
		}
		time.Sleep(2 * time.Second)
		if got := c.keys(); !slices.Equal(got, left) {
			t.Errorf("after the minute: %v, want %v", got, left)
		}
	})
	bubble("unless it is wanted again", t, func(t *testing.T) {
		c, _, slow := setup(t)
		c.publish(alias("x", "x1"), model("x1"), model("x2"))
		slow.ack(&syncv1.Version{Term: 1, Sequence: 3})
		time.Sleep(2 * retireAfter)
		want := []string{"alias/default/x", "model/default/x1", "model/default/x2"}
		if got := c.keys(); !slices.Equal(got, want) {
			t.Errorf("long after: %v, want %v", got, want)
		}
	})
	bubble("while hosts of another namespace do not matter", t, func(t *testing.T) {
		c, _, slow := setup(t)
		other := c.dial()
		other.silent = true
		other.hello(&syncv1.Hello{Namespace: "other", HostId: "o"})
		slow.ack(&syncv1.Version{Term: 1, Sequence: 2})
		if got := c.keys(); !slices.Equal(got, left) {
			t.Errorf("after the last acknowledgement: %v, want %v", got, left)
		}
	})
}

func TestOneStreamForEachHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newController(t, Config{Term: 1})
		c.publish(model("m"))
		first := c.connect(&syncv1.Hello{HostId: "a", Epoch: 2})
		first.report(&syncv1.Report{Complete: true, Copies: []*syncv1.Copy{{ModelId: "m"}}})
		lower := c.connect(&syncv1.Hello{HostId: "a", Epoch: 1})
		lower.expectEnd(codes.AlreadyExists, "runs already with epoch 2")
		double := c.connect(&syncv1.Hello{HostId: "a", Epoch: 2, PeerAddress: "elsewhere:1", GrpcAddress: "elsewhere:2"})
		double.expectEnd(codes.AlreadyExists, "runs already with epoch 2, at ")

		same := c.connect(&syncv1.Hello{HostId: "a", Epoch: 2})
		first.expectEnd(codes.Aborted, "connected again")
		if h := c.Hosts()[0]; !h.Connected || h.Complete || len(h.Copies) != 1 {
			t.Errorf("after the same process connected again: %+v, want its copies kept until it reports", h)
		}
		higher := c.connect(&syncv1.Hello{HostId: "a", Epoch: 3})
		same.expectEnd(codes.AlreadyExists, "with epoch 3")
		if h := c.Hosts()[0]; !h.Connected || len(h.Copies) != 0 {
			t.Errorf("after a restart of the host: %+v, want no copies", h)
		}
		higher.report(&syncv1.Report{Complete: true, Copies: []*syncv1.Copy{{ModelId: "m"}}})
		higher.close()
		synctest.Wait()
		if h := c.Hosts()[0]; h.Connected || h.Complete || len(h.Copies) != 1 {
			t.Errorf("after it went away: %+v, want what it said last", h)
		}
		if revived := c.connect(&syncv1.Hello{HostId: "a", Epoch: 1}); !c.Hosts()[0].Connected || revived.err != nil {
			t.Errorf("a host that lost its count may come back when no other is there: %v", revived.err)
		}
	})
}

func TestReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newController(t, Config{Term: 1})
		h := c.connect(&syncv1.Hello{HostId: "a", Epoch: 1, Runtime: "r"})
		loaded, loading := syncv1.CopyState_COPY_STATE_LOADED, syncv1.CopyState_COPY_STATE_LOADING
		h.report(&syncv1.Report{
			Complete: true, Load: &syncv1.Load{RequestsInFlight: 1}, RuntimeState: syncv1.RuntimeState_RUNTIME_STATE_READY,
			Copies: []*syncv1.Copy{{ModelId: "m", State: loaded}, {ModelId: "n", State: loading}},
		})
		before := c.Hosts()[0]
		<-c.Changed()
		h.report(&syncv1.Report{Load: &syncv1.Load{RequestsInFlight: 5}, Copies: []*syncv1.Copy{{ModelId: "m", State: loaded, LastUsedMs: 9}}})
		select {
		case <-c.Changed():
			t.Error("figures alone call for a decision")
		default:
		}
		h.report(&syncv1.Report{Copies: []*syncv1.Copy{{ModelId: "n", State: loaded}}, RemovedModelIds: []string{"m", "unheard-of"}})
		<-c.Changed()
		after := c.Hosts()[0]
		if len(before.Copies) != 2 || before.Copies["n"].State != loading || !before.Complete {
			t.Errorf("the first answer has changed: %+v", before)
		}
		if len(after.Copies) != 1 || after.Copies["n"].State != loaded || after.Load.RequestsInFlight != 5 ||
			after.RuntimeState != syncv1.RuntimeState_RUNTIME_STATE_READY {
			t.Errorf("after the steps: %+v", after)
		}
		h.report(&syncv1.Report{Complete: true})
		if got := c.Hosts()[0].Copies; len(got) != 0 {
			t.Errorf("after a complete report of nothing: %v", got)
		}
	})
}

func TestProtocolFaults(t *testing.T) {
	ack := &syncv1.ConnectRequest{Message: &syncv1.ConnectRequest_Ack{Ack: &syncv1.Ack{Version: &syncv1.Version{Term: 9}}}}
	fetch := &syncv1.ConnectRequest{Message: &syncv1.ConnectRequest_Fetch{Fetch: &syncv1.Fetch{}}}
	delta := &syncv1.ConnectRequest{Message: &syncv1.ConnectRequest_Report{Report: &syncv1.Report{}}}
	greeting := &syncv1.ConnectRequest{Message: &syncv1.ConnectRequest_Hello{Hello: &syncv1.Hello{Namespace: "n", HostId: "a"}}}
	nameless := &syncv1.ConnectRequest{Message: &syncv1.ConnectRequest_Hello{Hello: &syncv1.Hello{Namespace: "n"}}}
	for name, test := range map[string]struct {
		says []*syncv1.ConnectRequest
		code codes.Code
		want string
	}{
		"no hello":       {[]*syncv1.ConnectRequest{delta}, codes.InvalidArgument, "begins with a Hello"},
		"nameless":       {[]*syncv1.ConnectRequest{nameless}, codes.InvalidArgument, "begins with a Hello"},
		"two hellos":     {[]*syncv1.ConnectRequest{greeting, greeting}, codes.InvalidArgument, "one Hello only"},
		"unasked fetch":  {[]*syncv1.ConnectRequest{greeting, fetch}, codes.FailedPrecondition, "follows each Index"},
		"unsent version": {[]*syncv1.ConnectRequest{greeting, ack}, codes.InvalidArgument, "was not sent"},
		"delta at first": {[]*syncv1.ConnectRequest{greeting, delta}, codes.InvalidArgument, "must be complete"},
		"nothing at all": {nil, codes.DeadlineExceeded, "no Hello"},
	} {
		bubble(name, t, func(t *testing.T) {
			c := newController(t, Config{Term: 1})
			h := c.dial()
			for _, request := range test.says {
				h.say(request)
			}
			time.Sleep(helloTimeout + time.Second)
			h.expectEnd(test.code, test.want)
		})
	}
}

func TestSettled(t *testing.T) {
	known := []HostKey{{Namespace: "default", ID: "a"}, {Namespace: "default", ID: "b"}}
	bubble("when all have reported and have the catalog", t, func(t *testing.T) {
		c := newController(t, Config{Term: 2, Known: known})
		a, b := c.connect(hello("a")), c.connect(hello("b"))
		a.report(&syncv1.Report{Complete: true})
		b.report(&syncv1.Report{Complete: true})
		if c.Settled() {
			t.Error("settled before any host has the catalog")
		}
		c.publish(model("m"))
		if !c.Settled() {
			t.Error("not settled")
		}
	})
	bubble("after 15 s", t, func(t *testing.T) {
		c := newController(t, Config{Term: 2, Known: known})
		c.publish(model("m"))
		c.connect(hello("a")).report(&syncv1.Report{Complete: true})
		time.Sleep(settleTimeout - time.Second)
		if c.Settled() {
			t.Error("settled without b")
		}
		for len(c.changed) > 0 {
			<-c.Changed()
		}
		time.Sleep(2 * time.Second)
		if !c.Settled() || len(c.changed) == 0 {
			t.Error("not settled, or nobody told")
		}
	})
	bubble("at once when none was known", t, func(t *testing.T) {
		if !newController(t, Config{Term: 2}).Settled() {
			t.Error("not settled")
		}
	})
}

func TestKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newController(t, Config{Term: 1, Known: []HostKey{{Namespace: "default", ID: "before"}}})
		c.connect(hello("stays"))
		c.connect(hello("goes")).close()
		synctest.Wait()
		key := func(id string) HostKey { return HostKey{Namespace: "default", ID: id} }
		if got, want := c.Known(), []HostKey{key("before"), key("goes"), key("stays")}; !slices.Equal(got, want) {
			t.Errorf("known %v, want %v", got, want)
		}
		time.Sleep(forgetKnownAfter + time.Second)
		if got, want := c.Known(), []HostKey{key("stays")}; !slices.Equal(got, want) {
			t.Errorf("a minute later %v, want %v", got, want)
		}
		// The end of the streams when the controller stops says nothing about the hosts.
		c.stop()
		if got, want := c.Known(), []HostKey{key("stays")}; !slices.Equal(got, want) {
			t.Errorf("after the stop %v, want %v", got, want)
		}
	})
}

func TestNamespacesAreApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newController(t, Config{Term: 1})
		ours, theirs := c.connect(hello("a")), c.connect(&syncv1.Hello{Namespace: "other", HostId: "b"})
		c.SetCredentials(map[string]map[string][]byte{"default": {"s3": []byte("ours")}})
		c.publish(modelIn("default", "m", "p"), modelIn("other", "n", "p"))
		ours.expectKeys("ours", "model/default/m")
		theirs.expectKeys("theirs", "model/other/n")
		c.publish(modelIn("default", "m", "q"), modelIn("other", "n", "p"))
		theirs.expect("a step that does not concern it", "credentials", "index 1.1 of 1", "update 1.1 on none: +1 -0 true",
			"update 1.2 on 1.1: +0 -0 true")
		ours.mu.Lock()
		defer ours.mu.Unlock()
		if string(ours.credentials["s3"]) != "ours" || len(theirs.credentials) != 0 {
			t.Errorf("credentials: ours %q, theirs %q", ours.credentials, theirs.credentials)
		}
		if want := []string{"a:true"}; !reflect.DeepEqual(ours.hosts, want) {
			t.Errorf("hosts %v, want %v", ours.hosts, want)
		}
	})
}

func TestCredentialsAndHostsFollowChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newController(t, Config{Term: 1})
		h := c.connect(hello("a"))
		h.expect("while credentials are not known")
		secret := func(value string) map[string]map[string][]byte {
			return map[string]map[string][]byte{"default": {"s3": []byte(value)}}
		}
		c.SetCredentials(secret("one"))
		c.SetCredentials(secret("one"))
		h.expect("once for the same", "credentials")
		c.SetCredentials(secret("two"))
		h.expect("on a change", "credentials")
		other := c.connect(hello("b"))
		other.expect("a new host at once", "credentials")
		other.close()
		synctest.Wait()
		h.mu.Lock()
		defer h.mu.Unlock()
		if want := []string{"a:true", "b:false"}; !slices.Equal(h.hosts, want) {
			t.Errorf("hosts %v, want %v", h.hosts, want)
		}
	})
}

// A host that does not read costs the controller nothing, and gets one step over all that it missed.
func TestSlowHostGetsOneStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newController(t, Config{Term: 1})
		h := c.connect(hello("a"))
		c.publish(model("z"))
		h.expect("first catalog", "index 1.1 of 1", "update 1.1 on none: +1 -0 true")
		resume := h.pause()
		const steps, bytes = 50, 200 << 10
		for i := range steps {
			c.publish(modelIn("default", "m", strings.Repeat("x", bytes)+fmt.Sprint(i)), model("z"))
		}
		resume()
		synctest.Wait()
		h.mu.Lock()
		defer h.mu.Unlock()
		// What fits into the windows of the connection and into its buffers was sent before the host stood still.
		if last := h.log[len(h.log)-1]; len(h.log) > 10 || !strings.HasPrefix(last, "update 1.51 on 1.") {
			t.Errorf("%d messages for %d steps, the last %q", len(h.log), steps, last)
		}
	})
}

// A large catalog is cut into messages that the default limits of gRPC let through; only the last is complete.
func TestLargeCatalogIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newController(t, Config{Term: 1})
		var rows []*syncv1.Row
		for i := range 100 {
			rows = append(rows, modelIn("default", fmt.Sprintf("m%03d", i), strings.Repeat("x", 100<<10)))
		}
		c.publish(rows...)
		h := c.connect(hello("a"))
		synctest.Wait()
		h.mu.Lock()
		defer h.mu.Unlock()
		if len(h.rows) != len(rows) || len(h.log) < 10 {
			t.Errorf("%d rows in %d messages: %v", len(h.rows), len(h.log), h.err)
		}
		for i, message := range h.log[1:] {
			if complete := strings.HasSuffix(message, "true"); complete != (i == len(h.log)-2) {
				t.Errorf("message %d: %s", i, message)
			}
		}
	})
}
