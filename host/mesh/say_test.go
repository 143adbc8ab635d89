package mesh

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wasmesh/wasmesh/host/lifecycle/machine"
	"github.com/wasmesh/wasmesh/host/members"
	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/host/peers/residency"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// What is remembered of models is told to their arbiters, once; all of it again to who becomes the arbiter; and what did not
// arrive until it does.
func TestHistoryIsKeptWithTheArbiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, o := gateway(t, "a")
		var told []string
		take := func(host string) func(*peerv1.ReportRequest) error {
			return func(request *peerv1.ReportRequest) error {
				for _, u := range request.GetHistory() {
					row, _ := m.rows.model(u.GetKey())
					told = append(told, host+" "+row.GetId())
				}
				return nil
			}
		}
		o.report["a"] = func(*peerv1.ReportRequest) error { return errors.New("not now") }
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			m.history.run(ctx)
		}()
		defer func() { cancel(); <-done }()
		for _, id := range []string{"m", "n"} {
			m.Remember(machine.Remember{Model: id, Key: m.key(id), Usage: modelcache.UsageRecord{At: time.Now(), Count: 1}})
		}
		time.Sleep(2 * historyEvery)
		o.mu.Lock()
		o.report["a"] = take("a")
		o.mu.Unlock()
		time.Sleep(10 * historyEvery)
		synctest.Wait()
		slices.Sort(told)
		if want := []string{"a m", "a n"}; !reflect.DeepEqual(told, want) {
			t.Fatalf("told %v, want %v", told, want)
		}
		told = nil
		o.mu.Lock()
		o.report["b"] = take("b")
		o.mu.Unlock()
		view := o.see("self", "b")
		view.Self().Gateway = true
		m.MembersChanged(view)
		time.Sleep(10 * historyEvery)
		synctest.Wait()
		slices.Sort(told)
		if want := []string{"b m", "b n"}; !reflect.DeepEqual(told, want) {
			t.Errorf("told %v, want %v", told, want)
		}
	})
}

// Connections to a peer end when it is gone or not heard of any more, and not when it merely says something.
func TestPeersThatGoAreForgotten(t *testing.T) {
	o := newOthers("self", "a", "b", "c")
	m := newMesh(t, o)
	var forgotten []string
	m.forget = func(address string) { forgotten = append(forgotten, address) }
	m.MembersChanged(o.View())
	moved := m.whenMoved()
	busy := o.see("self", "a", "b", "c")
	busy.Find("a").Figures.InFlight = 7
	m.MembersChanged(busy)
	select {
	case <-moved:
		t.Error("figures are no change of the mesh")
	default:
	}
	gone := o.see("self", "a", "b")
	gone.Find("b").Live = false
	m.MembersChanged(gone)
	slices.Sort(forgotten)
	if want := []string{"b:8080", "c:8080"}; !reflect.DeepEqual(forgotten, want) {
		t.Errorf("forgotten %v, want %v", forgotten, want)
	}
	select {
	case <-moved:
	default:
		t.Error("nobody is told that hosts are gone")
	}
}

// Before this host knows what others hold it is nobody's home; copies elsewhere are those that serve or are going to.
func TestWhatTheMachineHearsOfTheMesh(t *testing.T) {
	o := newOthers("self")
	m := newMesh(t, o)
	key := m.key("m")
	o.synced = make(chan struct{})
	if m.Home(key, []string{"r"}) {
		t.Error("home before it knows what others hold")
	}
	close(o.synced)
	if !m.Home(key, []string{"r"}) || m.Home(key, []string{"another"}) {
		t.Error("the only host is the home of what it can hold, and of nothing else")
	}
	for _, host := range []string{"self", "a", "b", "c", "d", "e"} {
		state := map[string]residency.State{
			"self": residency.Loaded, "a": residency.Loaded, "b": residency.Queued, "c": residency.Loading,
			"d": residency.Failed, "e": residency.Draining,
		}[host]
		o.hold(t, host, residency.Entry{Key: key, State: state})
	}
	if n := m.CopiesElsewhere(key); n != 3 {
		t.Errorf("%d copies elsewhere", n)
	}
}

// Peers hear of a copy what the controller hears, and of its absence.
func TestPeersHearWhatTheControllerHears(t *testing.T) {
	o := newOthers("self")
	m := newMesh(t, o)
	used := time.UnixMilli(1_700_000_123_456)
	m.Publish(&syncv1.Copy{
		ModelId: "m", State: syncv1.CopyState_COPY_STATE_LOADED, Size: &syncv1.Resources{HostMemoryBytes: 5 << 20}, LastUsedMs: used.UnixMilli(),
	})
	m.Withdraw("m")
	want := []residency.Entry{
		{Key: m.key("m"), State: residency.Loaded, Size: 5 << 20, Used: uint32(used.Unix() / residency.UsedUnit)},
		{Key: m.key("m")},
	}
	if !reflect.DeepEqual(o.published, want) {
		t.Errorf("published %+v, want %+v", o.published, want)
	}
}

// Figures are published on change and not else; their numbers grow, those in answers included.
func TestFiguresAreToldOnChange(t *testing.T) {
	o := newOthers("self")
	m := newMesh(t, o)
	m.figures.publish(m)
	m.figures.publish(m)
	between := m.figures.message(m).GetSequence()
	m.drain.begun.Store(true)
	m.figures.publish(m)
	if len(o.figures) != 2 || o.figures[0].GetDraining() || !o.figures[1].GetDraining() {
		t.Fatalf("published %v", o.figures)
	}
	if first, last := o.figures[0].GetSequence(), o.figures[1].GetSequence(); first >= between || between >= last {
		t.Errorf("numbers %d, %d, %d", first, between, last)
	}
}

// heard keeps what a Listener is told.
type heard struct {
	views []*members.View
	keys  []uint64
}

func (h *heard) MembersChanged(view *members.View) { h.views = append(h.views, view) }
func (h *heard) CopiesChanged(keys []uint64)       { h.keys = append(h.keys, keys...) }

// A host that is alone sees itself as a mesh of one.
func TestAlone(t *testing.T) {
	h := &heard{}
	a := NewAlone(members.Member{ID: "self", Epoch: 3, Runtime: "r"}, h)
	if self := a.View().Self(); self == nil || !self.Live || !self.Arbiter || len(a.View().All()) != 1 {
		t.Fatalf("view %+v", a.View().All())
	}
	failure := &syncv1.Failure{Message: "no such object"}
	a.Publish(residency.Entry{Key: 1, State: residency.Loaded, Size: residency.SizeUnit}, nil)
	a.Publish(residency.Entry{Key: 2, State: residency.Failed}, failure)
	a.Publish(residency.Entry{Key: 1, State: residency.Loaded, Size: residency.SizeUnit}, nil) // No news.
	want := []residency.Copy{{Host: "self", State: residency.Loaded, Size: residency.SizeUnit}}
	if got := a.Table().Copies(1, nil); !reflect.DeepEqual(got, want) {
		t.Errorf("copies %+v, want %+v", got, want)
	}
	if a.Failure(2, "self") != failure || a.Failure(1, "self") != nil {
		t.Error("failures are not those of the copies")
	}
	a.Publish(residency.Entry{Key: 2}, nil)
	if a.Failure(2, "self") != nil || a.Table().Len() != 1 {
		t.Error("what is gone is still there")
	}
	if want := []uint64{1, 2, 2}; !reflect.DeepEqual(h.keys, want) {
		t.Errorf("the listener heard of %v, want %v", h.keys, want)
	}
	a.PublishFigures(&peerv1.Figures{Sequence: 9, Draining: true, RuntimeReady: true})
	if self := a.View().Self(); !self.Draining || !self.RuntimeReady || self.Figures.Sequence != 9 || self.Runtime != "r" || len(h.views) != 1 {
		t.Errorf("after figures: %+v", self)
	}
	if _, err := a.Client("other"); err == nil {
		t.Error("somebody can be called")
	}
}
