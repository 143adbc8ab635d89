package admin

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wasmesh/wasmesh/controller/decide"
	"github.com/wasmesh/wasmesh/controller/policyconfig"
	"github.com/wasmesh/wasmesh/controller/reconcile"
	"github.com/wasmesh/wasmesh/controller/source"
	syncserver "github.com/wasmesh/wasmesh/controller/sync"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// world is what the server reads.
type world struct {
	mu      sync.Mutex
	view    *reconcile.View
	changed chan struct{}
	rows    []*syncv1.Row
	hosts   []decide.Host

	// draining is what Drain tells before it answers drainErr.
	draining []*syncv1.Draining
	drainErr error
	drained  []string

	// recorded by host id, "controller" for itself; asked are the queries.
	recorded map[string][]*syncv1.Decision
	asked    []*syncv1.DecisionsQuery
}

func newServer(w *world) *Server { return New(Config{Decisions: w, Mesh: w, Policies: w}) }

func (w *world) View() (*reconcile.View, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.view, w.changed
}

func (w *world) show(view *reconcile.View) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.view = view
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *world) Events(decide.Key) []reconcile.Event { return nil }
func (w *world) Rows() []*syncv1.Row                 { return w.rows }
func (w *world) Hosts() []decide.Host                { return w.hosts }

func (w *world) Drain(_ context.Context, id string, timeout time.Duration, progress func(*syncv1.Draining) error) error {
	w.drained = append(w.drained, fmt.Sprint(id, " ", timeout))
	for _, d := range w.draining {
		if err := progress(d); err != nil {
			return err
		}
	}
	return w.drainErr
}

func (w *world) List() ([]*adminv1.ListPoliciesResponse_Policy, []*adminv1.ListPoliciesResponse_Hook) {
	return []*adminv1.ListPoliciesResponse_Policy{{Name: "p", Hook: "evict"}},
		[]*adminv1.ListPoliciesResponse_Hook{{Hook: "evict", Policy: "p"}}
}

func (w *world) RollBack(_ context.Context, hook string) (string, error) {
	switch hook {
	case "evict":
		return "evict is decided by the built-in policy", nil
	case "place":
		return "", fmt.Errorf("roll back: %w", policyconfig.ErrNothingBefore)
	}
	return "", fmt.Errorf("roll back: %w", policyconfig.ErrUnknownHook)
}

func (w *world) Decisions(_ context.Context, query *syncv1.DecisionsQuery) []syncserver.HostDecisions {
	w.asked = append(w.asked, query)
	return []syncserver.HostDecisions{
		{HostID: "h", Decisions: w.about("h", query)},
		{HostID: "mute", Problem: "no answer within 5s"},
	}
}

func (w *world) Recorded(query *syncv1.DecisionsQuery) []*syncv1.Decision {
	return w.about("controller", query)
}

// about answers what was recorded of the query's model.
func (w *world) about(host string, query *syncv1.DecisionsQuery) (found []*syncv1.Decision) {
	for _, d := range w.recorded[host] {
		if query.ModelId == "" || d.ModelId == query.ModelId || slices.Contains(d.Victims, query.ModelId) {
			found = append(found, d)
		}
	}
	return found
}

// serve runs a server on the world; within a synctest bubble.
func serve(t *testing.T, w *world) adminv1.AdminServiceClient {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- newServer(w).Serve(ctx, listener) }()
	conn, err := grpc.NewClient("passthrough:///admin", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return listener.Dial() }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return adminv1.NewAdminServiceClient(conn)
}

// viewOf shows InferenceServices, each with its name as URL, and one plan.
func viewOf(plan []*adminv1.RuntimePlan, names ...string) *reconcile.View {
	view := &reconcile.View{Raw: map[decide.Key][]byte{}, Plan: plan, Warnings: []source.Warning{{File: "f.yaml", Line: 3, Message: "bad"}}}
	for _, name := range names {
		isvc := &v1beta1.InferenceService{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
		isvc.Status.URL = "grpc://" + name
		view.Objects.InferenceServices = append(view.Objects.InferenceServices, isvc)
		view.Raw[decide.Key{Namespace: "default", Kind: v1beta1.Kind, Name: name}] = []byte(fmt.Sprintf(`{"kind":"InferenceService","metadata":{"name":%q}}`, name))
	}
	return view
}

// receive collects what a stream sends until it ends.
func receive[T any](stream grpc.ServerStreamingClient[T], err error) (got func() []*T) {
	if err != nil {
		panic(err)
	}
	var mu sync.Mutex
	var all []*T
	go func() {
		for {
			one, err := stream.Recv()
			if err != nil {
				return
			}
			mu.Lock()
			all = append(all, one)
			mu.Unlock()
		}
	}()
	return func() []*T {
		time.Sleep(2 * watchInterval)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(all)
	}
}

func TestWatchesSendOnlyWhatChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{changed: make(chan struct{})}
		client := serve(t, w)
		objects := receive(client.WatchObjects(t.Context(), &adminv1.WatchObjectsRequest{Kind: v1beta1.Kind, Name: "a"}))
		plans := receive(client.WatchPlan(t.Context(), &adminv1.WatchPlanRequest{}))
		if o, p := objects(), plans(); len(o)+len(p) != 0 {
			t.Errorf("before the first decision: %v, %v", o, p)
		}
		w.show(viewOf(nil, "a"))
		if o, p := objects(), plans(); len(o) != 1 || len(p) != 1 || len(p[0].Runtimes) != 0 {
			t.Errorf("the first view: %v, %v", o, p)
		}
		w.show(viewOf(nil, "a", "b"))
		if o, p := objects(), plans(); len(o) != 1 || len(p) != 1 {
			t.Errorf("a change that concerns neither: %v, %v", o, p)
		}
		plan := []*adminv1.RuntimePlan{{Name: "r", Needed: true}}
		w.show(viewOf(plan, "b"))
		o, p := objects(), plans()
		if len(o) != 2 || len(o[1].Objects) != 0 || len(p) != 2 || p[1].Runtimes[0].Name != "r" {
			t.Errorf("a change of both: %v, %v", o, p)
		}
		if want := []string{"f.yaml:3: bad"}; !slices.Equal(o[1].Warnings, want) {
			t.Errorf("warnings %v, want %v", o[1].Warnings, want)
		}
	})
}

func TestListObjects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{changed: make(chan struct{})}
		client := serve(t, w)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := client.ListObjects(ctx, &adminv1.ListObjectsRequest{Kind: v1beta1.Kind}); status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("before the first decision: %v, want to wait", err)
		}
		w.show(viewOf(nil, "a", "b"))
		got, err := client.ListObjects(t.Context(), &adminv1.ListObjectsRequest{Kind: v1beta1.Kind, Namespace: "default", Name: "b"})
		want := `{"kind":"InferenceService","metadata":{"name":"b"},"status":{"url":"grpc://b","modelStatus":{"transitionStatus":""}}}`
		if err != nil || len(got.Objects) != 1 || got.Objects[0] != want {
			t.Errorf("got %v, error %v", got, err)
		}
		if none, err := client.ListObjects(t.Context(), &adminv1.ListObjectsRequest{Kind: v1beta1.Kind, Namespace: "other"}); err != nil || len(none.Objects) != 0 {
			t.Errorf("of another namespace: %v, error %v", none, err)
		}
		if _, err := client.ListObjects(t.Context(), &adminv1.ListObjectsRequest{Kind: "isvc"}); status.Code(err) != codes.InvalidArgument ||
			!strings.Contains(err.Error(), "InferenceService") {
			t.Errorf("unknown kind: %v", err)
		}
		if _, err := client.ListEvents(t.Context(), &adminv1.ListEventsRequest{Kind: v1beta1.Kind}); status.Code(err) != codes.InvalidArgument {
			t.Errorf("events of no object: %v", err)
		}
	})
}

func TestListModelsJoinsHosts(t *testing.T) {
	model := func(id, alias string) *syncv1.Row {
		return &syncv1.Row{Value: &syncv1.Row_Model{Model: &syncv1.Model{Namespace: "default", Id: id, Alias: alias}}}
	}
	loaded := map[string]*syncv1.Copy{"a1": {ModelId: "a1", State: syncv1.CopyState_COPY_STATE_LOADED}}
	w := &world{
		rows: []*syncv1.Row{
			{Value: &syncv1.Row_Alias{Alias: &syncv1.Alias{Namespace: "default", Name: "a", ActiveModelId: "a1", TargetModelId: "a2"}}},
			model("a0", "a"), model("a1", "a"), model("a2", "a"), model("b1", "b"),
		},
		hosts: []decide.Host{
			{Hello: &syncv1.Hello{Namespace: "default", HostId: "h"}, Connected: true, Copies: loaded},
			{Hello: &syncv1.Hello{Namespace: "default", HostId: "gone"}, Copies: loaded},
			{Hello: &syncv1.Hello{Namespace: "other", HostId: "o"}, Connected: true, Copies: loaded},
		},
	}
	got, err := newServer(w).ListModels(t.Context(), &adminv1.ListModelsRequest{Alias: "a"})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, m := range got.Models {
		line := fmt.Sprint(m.Model.Id, " active ", m.Active, " target ", m.Target)
		for _, c := range m.Copies {
			line += " on " + c.HostId
		}
		lines = append(lines, line)
	}
	want := []string{"a0 active false target false", "a1 active true target false on h", "a2 active false target true"}
	if !slices.Equal(lines, want) {
		t.Errorf("models %q, want %q", lines, want)
	}
}
