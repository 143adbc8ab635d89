package peers

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
)

// Two seconds without a word, as a machine has that is too busy: the hosts take each other for dead, and take that back
// when they are heard again, with nothing sent anew.
func TestShortSilenceCostsLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t)
		defer m.end()
		a, b := m.add(1, nil), m.add(2, nil)
		m.seedAll(a, b)
		b.Publish(loaded(1), nil)
		settle(time.Second)
		for round := range 5 {
			m.network.Cut(a.ip, b.ip)
			b.Publish(loaded(uint64(round+2)), nil)
			settle(2 * time.Second)
			m.wantLive("1", a)
			m.wantLive("2", b)
			if _, err := a.Client("host-2"); !errors.As(err, new(*NotLiveError)) || a.copies(1) != "" {
				t.Errorf("client of a silent host: %v; copies %q", err, a.copies(1))
			}
			m.network.Heal(a.ip, b.ip)
			settle(showing)
			m.wantLive("1 2", a, b)
			if a.copies(1) != "2:loaded" || a.copies(uint64(round+2)) != "2:loaded" {
				t.Errorf("copies %q and %q after it was heard again", a.copies(1), a.copies(uint64(round+2)))
			}
			client, err := a.Client("host-2")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := client.Place(t.Context(), &peerv1.PlaceRequest{ModelId: "m"}); err != nil {
				t.Errorf("call to a host that is heard again: %v", err)
			}
			settle(10 * time.Second)
		}
		for _, h := range m.hosts {
			if n := valueOf(h.metrics.snapshots); n != 1 {
				t.Errorf("%s has sent %v snapshots, want one", h.config.HostID, n)
			}
		}
	})
}

// A mesh of which all hosts leave together is left quickly and without complaint, and so is one that has been left.
func TestAllLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t)
		defer m.end()
		for n := range 5 {
			m.add(n+1, nil)
		}
		m.seedAll(m.hosts...)
		settle(2 * time.Second)
		began, left := time.Now(), make(chan error)
		for _, h := range m.hosts {
			go func() {
				err := h.Leave(t.Context())
				left <- errors.Join(err, h.end())
			}()
		}
		for range m.hosts {
			if err := <-left; err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(began); took >= time.Second {
			t.Errorf("left after %v", took)
		}
		if err := m.hosts[0].Leave(t.Context()); err != nil {
			t.Errorf("left again after the end: %v", err)
		}
	})
}
