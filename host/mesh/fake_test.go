package mesh

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/wasmesh/wasmesh/host/catalog"
	"github.com/wasmesh/wasmesh/host/members"
	"github.com/wasmesh/wasmesh/host/peers/residency"
	"github.com/wasmesh/wasmesh/host/placement"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// others is a mesh that a test makes up: hosts, what they hold, and what they answer.
type others struct {
	table  *residency.Table
	synced chan struct{}

	mu        sync.Mutex // guards below
	view      *members.View
	failures  map[string]*syncv1.Failure
	published []residency.Entry
	figures   []*peerv1.Figures
	// place and report answer for a host; nil hangs until the call's end.
	place  map[string]func(*peerv1.PlaceRequest) (*peerv1.PlaceResponse, error)
	report map[string]func(*peerv1.ReportRequest) error
}

// newOthers makes hosts that are all live, arbiters, and have the runtime "r"; the first is the one under test.
func newOthers(ids ...string) *others {
	o := &others{
		table: residency.NewTable(), synced: make(chan struct{}), failures: map[string]*syncv1.Failure{},
		place:  map[string]func(*peerv1.PlaceRequest) (*peerv1.PlaceResponse, error){},
		report: map[string]func(*peerv1.ReportRequest) error{},
	}
	close(o.synced)
	o.see(ids...)
	return o
}

func member(id string) members.Member {
	return members.Member{ID: id, Runtime: "r", PeerAddress: id + ":8080", Live: true, Arbiter: true, RuntimeReady: true}
}

func (o *others) see(ids ...string) *members.View {
	var all []members.Member
	for _, id := range ids {
		all = append(all, member(id))
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.view = members.NewView(ids[0], all)
	return o.view
}

// hold says what a host holds, all of it.
func (o *others) hold(t *testing.T, host string, entries ...residency.Entry) {
	t.Helper()
	log := residency.NewLog(1)
	for _, e := range entries {
		log.Set(e)
	}
	all, stamp := log.Snapshot()
	if _, err := o.table.Replace(host, 1, all, stamp); err != nil {
		t.Fatal(err)
	}
}

func (o *others) View() *members.View {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.view
}

func (o *others) Table() *residency.Table { return o.table }

func (o *others) Publish(entry residency.Entry, _ *syncv1.Failure) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.published = append(o.published, entry)
}

func (o *others) PublishFigures(figures *peerv1.Figures) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.figures = append(o.figures, figures)
}

func (o *others) Failure(_ uint64, host string) *syncv1.Failure { return o.failures[host] }

func (o *others) Client(host string) (peerv1.PeerServiceClient, error) {
	if o.View().Find(host) == nil {
		return nil, errors.New("no such host")
	}
	return &client{others: o, host: host}, nil
}

func (o *others) Synced() <-chan struct{}     { return o.synced }
func (o *others) Token() string               { return "token" }
func (o *others) Leave(context.Context) error { return nil }

// client calls one of the others. What a test does not program hangs.
type client struct {
	peerv1.PeerServiceClient
	others *others
	host   string
}

func (c *client) Place(ctx context.Context, request *peerv1.PlaceRequest, _ ...grpc.CallOption) (*peerv1.PlaceResponse, error) {
	c.others.mu.Lock()
	answer := c.others.place[c.host]
	c.others.mu.Unlock()
	if answer == nil {
		<-ctx.Done()
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	return answer(request)
}

func (c *client) Report(ctx context.Context, request *peerv1.ReportRequest, _ ...grpc.CallOption) (*peerv1.ReportResponse, error) {
	c.others.mu.Lock()
	take := c.others.report[c.host]
	c.others.mu.Unlock()
	if take == nil {
		<-ctx.Done()
		return nil, status.Error(codes.DeadlineExceeded, "hangs")
	}
	return &peerv1.ReportResponse{}, take(request)
}

// still is a catalog that a test replaces.
type still struct{ table *catalog.Table }

func (s *still) Table() *catalog.Table { return s.table }

func row(id string) *syncv1.Model {
	return &syncv1.Model{Namespace: "default", Id: id, Runtimes: []string{"r"}}
}

func tableOf(ids ...string) *catalog.Table {
	var rows []*syncv1.Row
	for _, id := range ids {
		rows = append(rows, &syncv1.Row{Key: "model/default/" + id, Value: &syncv1.Row_Model{Model: row(id)}})
	}
	return catalog.NewTable(&syncv1.Version{Term: 1, Sequence: 7}, rows...)
}

// newMesh makes the mesh of a gateway named "self", which knows the models "m" and "n". It is bound and not run.
func newMesh(t *testing.T, o *others, change ...func(*Config)) *Mesh {
	t.Helper()
	config := Config{Namespace: "default", HostID: "self", Started: time.Now()}
	for _, f := range change {
		f(&config)
	}
	m, err := New(config, Deps{
		Catalog: &still{tableOf("m", "n")}, Reporter: catalog.NewReporter(),
		Place: func(_ time.Time, _ placement.Model, hosts []placement.Host) placement.Decision {
			return placement.Decision{}
		},
		Note: func(uint64, string) {}, Current: func() bool { return true },
		Logger: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	m.Bind(Parts{Peers: o})
	m.CatalogChanged([]*syncv1.Model{row("m"), row("n")}, nil)
	t.Cleanup(m.workers.Wait)
	t.Cleanup(m.stop)
	return m
}

// arbiters are the hosts in the order in which they are asked about a model.
func (o *others) arbiters(m *Mesh, model string) (ids []string) {
	for _, a := range o.View().Arbiters(m.key(model), []string{"r"}) {
		ids = append(ids, a.ID)
	}
	return ids
}
