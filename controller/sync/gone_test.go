package syncserver

import (
	"testing"
	"testing/synctest"
	"time"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// What is kept of hosts that went away ends, however many come and go under other names.
func TestGoneHostsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newController(t, Config{Term: 1})
		stays := c.connect(hello("stays"))
		goes := c.connect(hello("goes"))
		goes.report(&syncv1.Report{Complete: true, Copies: []*syncv1.Copy{{ModelId: "m", State: syncv1.CopyState_COPY_STATE_LOADED}}})
		goes.close()
		synctest.Wait()
		if h := c.Hosts()[0]; len(h.Copies) != 1 || h.Connected {
			t.Fatalf("the host that went: %+v, want that its copy is remembered for now", h)
		}
		time.Sleep(forgetKnownAfter + time.Second)
		if h := c.Hosts()[0]; len(h.Copies) != 0 {
			t.Errorf("a minute later it holds %v", h.Copies)
		}
		if other, _ := stays.other("goes"); other == nil || other.Connected {
			t.Errorf("others hear %v of it, want where it was, since it may be out of reach for the controller only", other)
		}

		// It comes back for a moment: the hour begins anew.
		time.Sleep(forgetGoneAfter / 2)
		c.connect(hello("goes")).close()
		synctest.Wait()
		time.Sleep(forgetGoneAfter - time.Second)
		if n := len(c.Hosts()); n != 2 {
			t.Fatalf("%d hosts before the hour is over, want 2", n)
		}
		time.Sleep(2 * time.Second)
		if hosts := c.Hosts(); len(hosts) != 1 || hosts[0].Hello.GetHostId() != "stays" {
			t.Errorf("an hour later: %v, want the one that is connected", hosts)
		}
		if other, _ := stays.other("goes"); other != nil {
			t.Errorf("others still hear %v", other)
		}
	})
}
