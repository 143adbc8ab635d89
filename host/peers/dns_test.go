package peers

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// names is a headless Service.
type names struct {
	mu      sync.Mutex
	ips     []string
	lookups int
}

func (n *names) lookup(_ context.Context, name string) ([]string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lookups++
	if name != "peers.default.svc" || len(n.ips) == 0 {
		return nil, errors.New("no such host")
	}
	return slices.Clone(n.ips), nil
}

func (n *names) set(ips ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ips = ips
}

func (n *names) asked() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.lookups
}

// Hosts that nobody has told of each other find together by a name, be it one that has no addresses at first; and when
// everybody is there, the name is left alone.
func TestANameFindsHosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, dns := newMesh(t), &names{}
		defer m.end()
		byName := func(c *Config) { c.DNS, c.Lookup = "peers.default.svc:11881", dns.lookup }
		a, b, c := m.add(1, byName), m.add(2, byName), m.add(3, byName)
		settle(20 * time.Second)
		m.wantLive("1", a)
		// Addresses of pods that are gone do no harm.
		dns.set("10.0.0.77", "10.0.0.1", "10.0.0.2", "10.0.0.3")
		settle(20 * time.Second)
		m.wantLive("1 2 3", a, b, c)
		m.seedAll(a, b, c) // Now the controller says who should be there, and all are.
		settle(time.Second)
		before := dns.asked()
		settle(time.Minute)
		if got := dns.asked() - before; got > 0 {
			t.Errorf("%d look-ups while everybody was there", got)
		}
		// One is missing: it may be back at another address.
		b.end()
		before = dns.asked()
		settle(2 * time.Minute)
		if got := dns.asked() - before; got == 0 || got > 2*(120/5+1) {
			t.Errorf("%d look-ups by two hosts in two minutes", got)
		}
	})
}
