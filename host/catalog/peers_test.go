package catalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
	"google.golang.org/grpc"
)

// neighbours are peers with what a test gives them.
type neighbours struct {
	updates []*syncv1.Update
	err     error
	asked   []*syncv1.Version
}

func (n *neighbours) Catalog(_ context.Context, have *syncv1.Version) ([]*syncv1.Update, error) {
	n.asked = append(n.asked, have)
	return n.updates, n.err
}

// absent is a controller that nobody reaches.
type absent struct{ grpc.ClientConnInterface }

func (absent) NewStream(context.Context, *grpc.StreamDesc, string, ...grpc.CallOption) (grpc.ClientStream, error) {
	return nil, errors.New("connection refused")
}

// lonely runs a client whose controller is away for so long, and answers what it has then.
func lonely(t *testing.T, peers *neighbours, controller grpc.ClientConnInterface, d time.Duration, change ...func(*Client)) *Client {
	t.Helper()
	reporter := NewReporter()
	client, err := NewClient(Config{
		Hello: &syncv1.Hello{Namespace: "default", HostId: "h"}, Controller: controller, StateDir: t.TempDir(), Peers: peers,
		Logger: slog.New(slog.DiscardHandler),
	}, reporter, &recorder{reporter: reporter, changes: make(chan Change, 8), credentials: make(chan map[string][]byte, 8)})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range change {
		f(client)
	}
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	if err := client.Run(ctx); err != nil {
		t.Fatal(err)
	}
	return client
}

// Peers are asked when the controller has been away for some seconds, whether there is one to come back or not; their
// catalog is shown and kept.
func TestTheCatalogOfAPeerStandsIn(t *testing.T) {
	for name, controller := range map[string]grpc.ClientConnInterface{"away": absent{}, "none": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				peer := NewTable(&syncv1.Version{Term: 2, Sequence: 9}, modelRow("a"), modelRow("b"))
				peers := &neighbours{updates: peer.Updates()}
				if lonely(t, peers, controller, peersAfter-time.Millisecond); len(peers.asked) != 0 {
					t.Error("asked at once")
				}
				client := lonely(t, peers, controller, 3*peersAfter)
				if len(peers.asked) == 0 || peers.asked[0] != nil {
					t.Errorf("asked with %v", peers.asked)
				}
				if _, ok := client.Table().Model("b"); !ok || !client.Table().Complete() {
					t.Error("the peer's catalog is not shown")
				}
				again, err := loadTable(client.config.StateDir)
				if err != nil || again.Version().GetSequence() != 9 {
					t.Errorf("on disk: %v, %v", again.Version(), err)
				}
			})
		})
	}
}

// A peer's catalog that is older, broken or partial changes nothing.
func TestACatalogOfAPeerThatIsOfNoUse(t *testing.T) {
	own := NewTable(&syncv1.Version{Term: 2, Sequence: 5}, modelRow("own"))
	for name, peers := range map[string]*neighbours{
		"none":       {},
		"fails":      {err: errors.New("broken")},
		"older":      {updates: NewTable(&syncv1.Version{Term: 1, Sequence: 50}, modelRow("a")).Updates()},
		"same":       {updates: NewTable(&syncv1.Version{Term: 2, Sequence: 5}, modelRow("a")).Updates()},
		"no version": {updates: []*syncv1.Update{{Complete: true, Upserts: []*syncv1.Row{modelRow("a")}}}},
		"partial":    {updates: []*syncv1.Update{{Version: &syncv1.Version{Term: 9}, Upserts: []*syncv1.Row{modelRow("a")}}}},
		"delta":      {updates: []*syncv1.Update{{Version: &syncv1.Version{Term: 9}, Base: &syncv1.Version{Term: 8}, Complete: true}}},
		"removals":   {updates: []*syncv1.Update{{Version: &syncv1.Version{Term: 9}, RemovedKeys: []string{"x"}, Complete: true}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := lonely(t, peers, nil, 3*peersEvery, func(c *Client) { c.table.Store(own) })
				if client.Table() != own {
					t.Errorf("shown %v", client.Table().Version())
				}
			})
		})
	}
}

// A catalog comes in messages that grpc carries, and is the same at the other end.
func TestUpdatesAreTheWholeTable(t *testing.T) {
	if got := emptyTable().Updates(); got != nil {
		t.Errorf("of no catalog: %v", got)
	}
	for _, n := range []int{0, 1, updateRows, updateRows + 1, 3*updateRows + 7} {
		var rows []*syncv1.Row
		for i := range n {
			rows = append(rows, modelRow(fmt.Sprint(i)))
		}
		table := NewTable(&syncv1.Version{Term: 1, Sequence: uint64(n)}, rows...)
		updates := table.Updates()
		for _, update := range updates {
			if len(update.GetUpserts()) > updateRows {
				t.Errorf("%d rows in one message", len(update.GetUpserts()))
			}
		}
		again, err := tableOf(updates)
		if err != nil || !reflect.DeepEqual(again.rows, table.rows) && n > 0 || again.Version().GetSequence() != uint64(n) {
			t.Errorf("%d rows: %d again, %v", n, len(again.rows), err)
		}
	}
}

func TestCompareVersions(t *testing.T) {
	v := func(term, sequence uint64) *syncv1.Version { return &syncv1.Version{Term: term, Sequence: sequence} }
	order := []*syncv1.Version{nil, v(0, 0), v(1, 1), v(1, 2), v(2, 0)}
	for i, a := range order {
		for k, b := range order {
			if got := Compare(a, b); got != cmp.Compare(i, k) {
				t.Errorf("compare %v, %v: %d", a, b, got)
			}
		}
	}
}

// meshRecorder is a MeshListener.
type meshRecorder struct {
	hosts  chan []*syncv1.Hosts_Host
	drains chan time.Duration
}

func (m *meshRecorder) HostsChanged(hosts []*syncv1.Hosts_Host) { m.hosts <- hosts }
func (m *meshRecorder) Drain(timeout time.Duration)             { m.drains <- timeout }

// What the controller says of hosts reaches the mesh, and what the host says of its leaving and of what is waited for
// reaches the controller, on this stream and on the next.
func TestTheMeshAndTheControllerHearOfEachOther(t *testing.T) {
	heard := &meshRecorder{hosts: make(chan []*syncv1.Hosts_Host, 1), drains: make(chan time.Duration, 1)}
	f := start(t, t.TempDir(), true, func(c *Config) { c.Mesh = heard })
	stream, _ := f.greet(t)
	stream.send(t, &syncv1.ConnectResponse{Message: &syncv1.ConnectResponse_Hosts{Hosts: &syncv1.Hosts{
		Hosts: []*syncv1.Hosts_Host{{Id: "b", GossipAddress: "10.0.0.2:11881"}},
	}}})
	if hosts := <-heard.hosts; len(hosts) != 1 || hosts[0].GetGossipAddress() != "10.0.0.2:11881" {
		t.Errorf("hosts %v", hosts)
	}
	stream.send(t, &syncv1.ConnectResponse{Message: &syncv1.ConnectResponse_Drain{Drain: &syncv1.Drain{TimeoutMs: 1500}}})
	if timeout := <-heard.drains; timeout != 1500*time.Millisecond {
		t.Errorf("timeout %v", timeout)
	}
	reporter := f.recorder.reporter
	reporter.PublishDraining(&syncv1.Draining{Copies: 3, Moved: 1})
	reporter.PublishDemands([]*syncv1.Demand{{Runtime: "r", Waiting: 2}})
	complete := func(report *syncv1.Report) bool {
		return report.GetDraining().GetCopies() == 3 && len(report.GetDemands()) == 1 && report.GetDemands()[0].GetWaiting() == 2
	}
	for !complete(stream.receive(t).GetReport()) {
	}
	close(stream.end)
	next := <-f.script.streams
	next.receive(t) // hello
	if report := next.receive(t).GetReport(); !complete(report) {
		t.Errorf("on a new stream: %v", report)
	}
	reporter.PublishDemands(nil)
	for len(next.receive(t).GetReport().GetDemands()) != 0 {
	}
}
