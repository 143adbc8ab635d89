package peers

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wasmesh/wasmesh/host/peers/residency"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

func TestMeshForms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t)
		defer m.end()
		for n := range 8 {
			h := m.add(n+1, nil)
			h.Publish(loaded(uint64(n+1)), nil)
			h.Publish(loaded(100), nil)
			h.PublishFigures(&peerv1.Figures{Copies: 2, RuntimeReady: true, Free: &syncv1.Resources{HostMemoryBytes: 5 << 20}})
		}
		// One seed is enough for all to find each other.
		seed := m.hosts[0]
		began := time.Now()
		for _, h := range m.hosts {
			h.SetSeeds([]Seed{{ID: "host-1", Gossip: seed.GossipAddress(), Peer: seed.config.PeerAddress}})
		}
		for _, h := range m.hosts {
			<-h.Synced()
		}
		if took := time.Since(began); took >= syncedAfter {
			t.Errorf("synced after %v: nobody had to be waited for", took)
		}
		settle(2 * time.Second)
		m.wantLive("1 2 3 4 5 6 7 8", m.hosts...)
		for _, h := range m.hosts {
			for key := range uint64(8) {
				if got, want := h.copies(key+1), fmt.Sprintf("%d:loaded", key+1); got != want {
					t.Errorf("%s: copies %q, want %q", h.config.HostID, got, want)
				}
			}
			if n := len(h.Table().Copies(100, nil)); n != 8 {
				t.Errorf("%s: %d copies of the common model, want 8", h.config.HostID, n)
			}
			for _, member := range h.View().All() {
				if member.Runtime != "mlserver" || member.Zone != "a" || !member.RuntimeReady || member.Figures.Copies != 2 ||
					member.Figures.Free[0] != 5<<20 || member.PeerAddress == "" || member.GRPCAddress == "" {
					t.Errorf("%s sees %+v", h.config.HostID, member)
				}
			}
			for _, reason := range []string{"key", "mesh", "token", "malformed", "oversized", "identity"} {
				if n := h.refusedFor(reason); n != 0 {
					t.Errorf("%s refused %v of the others' for %q", h.config.HostID, n, reason)
				}
			}
			if client, err := h.Client("host-8"); h != m.hosts[7] && err != nil {
				t.Errorf("%s: client %v, %v", h.config.HostID, client, err)
			}
		}
	})
}

func TestChangesTravel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t)
		defer m.end()
		a, b := m.add(1, nil), m.add(2, nil)
		m.seedAll(a, b)
		settle(time.Second)
		// A change of state waits for nothing: no time passes in the bubble.
		a.Publish(residency.Entry{Key: 1, State: residency.Queued, Size: 1 << 20}, nil)
		synctest.Wait()
		if got := b.copies(1); got != "1:queued" {
			t.Fatalf("copies %q right after they were published", got)
		}
		told := b.told(1)
		// One of use waits for a beat, and is nobody's news.
		a.Publish(residency.Entry{Key: 1, State: residency.Loaded, Size: 1 << 20, Used: 1}, nil)
		synctest.Wait()
		a.Publish(residency.Entry{Key: 1, State: residency.Loaded, Size: 1 << 20, Used: 2}, nil)
		synctest.Wait()
		if c := b.Table().Copies(1, nil); len(c) != 1 || c[0].Used != 1 {
			t.Errorf("copies %+v, want the use of before", c)
		}
		settle(time.Second)
		if c := b.Table().Copies(1, nil); len(c) != 1 || c[0].Used != 2 || b.told(1) != told+1 {
			t.Errorf("copies %+v after a beat, told %d times, want once more than %d", c, b.told(1), told)
		}
		// A failure says why, and says it again when it is another.
		failure := &syncv1.Failure{Reason: syncv1.FailureReason_FAILURE_REASON_UNSPECIFIED, Message: "no such file", RetryAtMs: 5}
		for attempt := range uint32(2) {
			failure.Attempts = attempt + 1
			a.Publish(residency.Entry{Key: 2, State: residency.Failed}, &syncv1.Failure{Message: "no such file", Attempts: attempt + 1})
			synctest.Wait()
			for _, h := range m.hosts {
				if f := h.Failure(2, "host-1"); f.GetMessage() != "no such file" || f.GetAttempts() != attempt+1 || h.copies(2) != "1:failed" {
					t.Errorf("%s: failure %v, copies %q, want attempt %d", h.config.HostID, f, h.copies(2), attempt+1)
				}
			}
			if b.told(2) != int(attempt)+1 {
				t.Errorf("told %d times of the failure, want %d", b.told(2), attempt+1)
			}
		}
		a.Publish(residency.Entry{Key: 2, State: residency.Absent}, nil)
		synctest.Wait()
		if b.copies(2) != "" || a.copies(2) != "" || a.Failure(2, "host-1") != nil {
			t.Errorf("copies %q and %q, failure %v after the model went", a.copies(2), b.copies(2), a.Failure(2, "host-1"))
		}
		// A flag waits for nothing either.
		a.PublishFigures(&peerv1.Figures{Draining: true})
		synctest.Wait()
		if !b.View().Find("host-1").Draining || !a.View().Self().Draining {
			t.Error("draining is not known")
		}
	})
}

func TestKilledHostIsGoneAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t)
		defer m.end()
		for n := range 4 {
			m.add(n+1, nil).Publish(loaded(9), nil)
		}
		m.seedAll(m.hosts...)
		settle(2 * time.Second)
		m.wantLive("1 2 3 4", m.hosts...)
		m.network.Kill("10.0.0.4")
		synctest.Wait() // and no time
		m.wantLive("1 2 3", m.hosts[:3]...)
		for _, h := range m.hosts[:3] {
			if got := h.copies(9); got != "1:loaded 2:loaded 3:loaded" {
				t.Errorf("%s: copies %q", h.config.HostID, got)
			}
			if h.View().Find("host-4") == nil {
				t.Errorf("%s: the host is out of the view before gossip has found it dead", h.config.HostID)
			}
			if _, err := h.Client("host-4"); !errors.As(err, new(*NotLiveError)) {
				t.Errorf("client of a dead host: %v", err)
			}
		}
		settle(absentFor + time.Second)
		for _, h := range m.hosts[:3] {
			if member := h.View().Find("host-4"); member != nil {
				t.Errorf("%s still has %+v", h.config.HostID, member)
			}
		}
	})
}

func TestSilentHostIsGoneSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t)
		defer m.end()
		for n := range 3 {
			m.add(n+1, nil).Publish(loaded(9), nil)
		}
		m.seedAll(m.hosts...)
		settle(2 * time.Second)
		m.network.Split([]string{"10.0.0.3"}, []string{"10.0.0.1", "10.0.0.2"})
		settle(1500 * time.Millisecond)
		m.wantLive("1 2", m.hosts[:2]...)
		m.wantLive("3", m.hosts[2])
		if got := m.hosts[2].copies(9); got != "3:loaded" {
			t.Errorf("alone: copies %q", got)
		}
	})
}

func TestHalvesFindTogether(t *testing.T) {
	for _, apart := range []time.Duration{2 * time.Second, 12 * time.Second, 2 * time.Minute} {
		t.Run(apart.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMesh(t)
				defer m.end()
				for n := range 4 {
					m.add(n+1, nil)
				}
				m.seedAll(m.hosts...)
				settle(2 * time.Second)
				m.network.Split([]string{"10.0.0.1", "10.0.0.2"}, []string{"10.0.0.3", "10.0.0.4"})
				settle(apart)
				m.wantLive("1 2", m.hosts[:2]...)
				m.wantLive("3 4", m.hosts[2:]...)
				m.hosts[0].Publish(loaded(5), nil)
				m.hosts[3].Publish(loaded(5), nil)
				m.network.HealAll()
				settle(seedInterval + 3*time.Second)
				m.wantLive("1 2 3 4", m.hosts...)
				for _, h := range m.hosts {
					if got := h.copies(5); got != "1:loaded 4:loaded" {
						t.Errorf("%s: copies %q", h.config.HostID, got)
					}
				}
			})
		})
	}
}

// Without a controller the halves find together too: each remembers who was there.
func TestHalvesFindTogetherByThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t)
		defer m.end()
		for n := range 4 {
			m.add(n+1, nil)
		}
		for _, h := range m.hosts[1:] {
			h.SetSeeds([]Seed{{Gossip: m.hosts[0].GossipAddress()}})
		}
		settle(5 * time.Second)
		m.wantLive("1 2 3 4", m.hosts...)
		m.network.Split([]string{"10.0.0.1", "10.0.0.2"}, []string{"10.0.0.3", "10.0.0.4"})
		for _, h := range m.hosts {
			h.SetSeeds(nil)
		}
		settle(3 * time.Minute)
		m.wantLive("1 2", m.hosts[:2]...)
		m.wantLive("3 4", m.hosts[2:]...)
		m.network.HealAll()
		settle(seedInterval + 3*time.Second)
		m.wantLive("1 2 3 4", m.hosts...)
	})
}

func TestRestartFindsPeersOnDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t)
		defer m.end()
		dir := t.TempDir()
		a, b := m.add(1, func(c *Config) { c.StateDir = dir }), m.add(2, nil)
		m.seedAll(a, b)
		settle(3 * time.Second)
		m.network.Kill("10.0.0.1")
		a.end()
		settle(time.Minute)
		if b.View().Find("host-1") != nil {
			t.Fatal("the host is still known")
		}
		again := m.add(1, func(c *Config) { c.StateDir, c.Epoch = dir, 2 })
		settle(2 * time.Second)
		m.wantLive("1 2", again, b)
	})
}

func TestRestartReplacesAtOnce(t *testing.T) {
	for _, address := range []int{3, 7} { // the same, or another
		t.Run(fmt.Sprint(address), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMesh(t)
				defer m.end()
				for n := range 3 {
					m.add(n+1, nil).Publish(loaded(9), nil)
				}
				m.seedAll(m.hosts...)
				settle(2 * time.Second)
				m.network.Kill("10.0.0.3")
				m.hosts[2].end()
				again := m.add(address, func(c *Config) { c.HostID, c.Epoch = "host-3", 2 })
				again.Publish(loaded(10), nil)
				again.SetSeeds([]Seed{{ID: "host-1", Gossip: m.hosts[0].GossipAddress(), Peer: m.hosts[0].config.PeerAddress}})
				settle(time.Second) // much less than gossip needs to find the first one dead
				m.wantLive("1 2 3", m.hosts[0], m.hosts[1], again)
				for _, h := range m.hosts[:2] {
					member := h.View().Find("host-3")
					if member.Epoch != 2 || member.PeerAddress != again.config.PeerAddress || h.copies(9) != "1:loaded 2:loaded" || h.copies(10) != "3:loaded" {
						t.Errorf("%s: member %+v, copies %q and %q", h.config.HostID, member, h.copies(9), h.copies(10))
					}
				}
				settle(20 * time.Second) // the first one is found dead meanwhile
				m.wantLive("1 2 3", m.hosts[0], m.hosts[1], again)
			})
		})
	}
}

func TestLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t)
		defer m.end()
		for n := range 3 {
			m.add(n+1, nil).Publish(loaded(9), nil)
		}
		m.seedAll(m.hosts...)
		settle(2 * time.Second)
		leaver := m.hosts[2]
		if err := leaver.Leave(t.Context()); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		for _, h := range m.hosts[:2] {
			if h.View().Find("host-3") != nil || h.copies(9) != "1:loaded 2:loaded" {
				t.Errorf("%s: %+v, copies %q after it left", h.config.HostID, h.View().Find("host-3"), h.copies(9))
			}
		}
		settle(10 * time.Second)
		m.wantLive("1 2", m.hosts[:2]...)
		if err := leaver.end(); err != nil {
			t.Error(err)
		}
		m.network.Kill("10.0.0.3")
		again := m.add(3, func(c *Config) { c.Epoch = 2 })
		m.seedAll(m.hosts[0], m.hosts[1], again)
		settle(2 * time.Second)
		m.wantLive("1 2 3", m.hosts[0], m.hosts[1], again)
		for _, h := range m.hosts[:2] {
			if absent := valueOf(h.metrics.peers.WithLabelValues("absent")); absent != 0 {
				t.Errorf("%v absent", absent)
			}
		}
	})
}

func TestSecondOfOneID(t *testing.T) {
	for name, meet := range map[string]func(m *mesh, first, second *testHost){
		"by gossip": func(m *mesh, first, second *testHost) {
			second.SetSeeds([]Seed{{Gossip: first.GossipAddress()}})
		},
		"by a third": func(m *mesh, first, second *testHost) {
			third := m.add(3, nil)
			for _, h := range []*testHost{first, second} {
				h.SetSeeds([]Seed{{ID: "host-3", Gossip: third.GossipAddress(), Peer: third.config.PeerAddress}})
			}
		},
		"by link": func(m *mesh, first, second *testHost) {
			second.SetSeeds([]Seed{{ID: "another", Peer: first.config.PeerAddress}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMesh(t)
				defer m.end()
				first := m.add(1, nil)
				second := m.add(2, func(c *Config) { c.HostID, c.Epoch = "host-1", 2 })
				meet(m, first, second)
				if err := <-first.ended; !errors.Is(err, ErrSuperseded) {
					t.Errorf("the older ended with %v", err)
				} else {
					first.ended <- err
				}
				settle(5 * time.Second)
				select {
				case err := <-second.ended:
					t.Errorf("the newer ended with %v", err)
				default:
				}
				if name == "by gossip" && second.refusedFor("identity")+first.refusedFor("identity") == 0 {
					t.Error("nothing was counted")
				}
			})
		})
	}
}

func TestStrangersAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		reason []string
	}{
		"another key":       {func(c *Config) { c.Key = []byte("another key, which is 32 byte...") }, []string{"key", "token"}},
		"another mesh":      {func(c *Config) { c.Mesh = "other" }, []string{"mesh", "token"}},
		"another namespace": {func(c *Config) { c.Namespace = "other" }, []string{"mesh", "token"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMesh(t)
				defer m.end()
				a, b := m.add(1, nil), m.add(2, nil)
				m.seedAll(a, b)
				stranger := m.add(3, c.change)
				seeds := []Seed{
					{ID: "host-1", Gossip: a.GossipAddress(), Peer: a.config.PeerAddress},
					{ID: "host-3", Gossip: stranger.GossipAddress(), Peer: stranger.config.PeerAddress},
				}
				stranger.SetSeeds(seeds)
				b.SetSeeds(seeds)
				settle(20 * time.Second)
				m.wantLive("1 2", a, b)
				m.wantLive("3", stranger)
				if b.View().Find("host-3") != nil || stranger.View().Find("host-1") != nil {
					t.Error("strangers know each other")
				}
				for _, reason := range c.reason {
					if a.refusedFor(reason) == 0 {
						t.Errorf("no refusal for %q was counted", reason)
					}
				}
			})
		})
	}
}

func TestCallsAndTheirEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMesh(t)
		defer m.end()
		a, b := m.add(1, nil), m.add(2, nil)
		m.seedAll(a, b)
		settle(time.Second)
		client, err := a.Client("host-2")
		if err != nil {
			t.Fatal(err)
		}
		if answer, err := client.Place(t.Context(), &peerv1.PlaceRequest{ModelId: "m", Asker: "host-1"}); err != nil || answer.GetPlaced().GetHostId() != "host-2" {
			t.Errorf("placed %v, %v", answer, err)
		}
		if _, err := client.Place(t.Context(), &peerv1.PlaceRequest{ModelId: "panics"}); err == nil {
			t.Error("a panic was no error")
		}
		stream, err := client.GetBlob(t.Context(), &syncv1.GetBlobRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if chunk, err := stream.Recv(); err != nil || string(chunk.GetChunk()) != "module" {
			t.Errorf("chunk %v, %v", chunk, err)
		}
		if _, err := stream.Recv(); err != io.EOF {
			t.Errorf("end of blob: %v", err)
		}
		// A call that is under way when the host falls silent ends with it, as what it is.
		began, done := time.Now(), make(chan error)
		go func() {
			_, err := client.Reserve(t.Context(), &peerv1.ReserveRequest{})
			done <- err
		}()
		synctest.Wait()
		m.network.Cut(a.ip, b.ip)
		err = <-done
		if took := time.Since(began); took > 1500*time.Millisecond || !strings.Contains(fmt.Sprint(err), "Unavailable") {
			t.Errorf("call to a silent host ended after %v with %v", took, err)
		}
	})
}
