package syncserver

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// controller is a Server on an in-memory listener. Everything runs in a synctest bubble: time only passes when all
// goroutines wait, so what synctest.Wait returns after is all that will happen until the clock moves.
type controller struct {
	t *testing.T
	*Server
	listener *bufconn.Listener
	stop     func()
}

func newController(t *testing.T, config Config) *controller {
	t.Helper()
	config.Logger = slog.New(slog.DiscardHandler)
	c := &controller{t: t, Server: New(config), listener: bufconn.Listen(1 << 20)}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Serve(ctx, c.listener) }()
	c.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	t.Cleanup(c.stop)
	return c
}

func (c *controller) publish(rows ...*syncv1.Row) {
	c.t.Helper()
	if err := c.Publish(rows); err != nil {
		c.t.Fatal(err)
	}
	synctest.Wait()
}

// keys of the catalog.
func (c *controller) keys() (keys []string) {
	for _, row := range c.Rows() {
		keys = append(keys, row.GetKey())
	}
	return keys
}

// hostEnd is a host's end of one stream. It applies catalogs as a host must, and acknowledges them unless it is told not
// to.
type hostEnd struct {
	t      *testing.T
	conn   *grpc.ClientConn
	stream grpc.BidiStreamingClient[syncv1.ConnectRequest, syncv1.ConnectResponse]
	done   chan struct{}

	mu sync.Mutex
	// log of what was received, in short.
	log []string
	// rows applied, and the keys of an Index whose Update is not complete.
	rows        map[string]string
	index       map[string]bool
	version     *syncv1.Version
	credentials map[string][]byte
	hosts       []string
	// others are the hosts of the last list, and lists how many came.
	others []*syncv1.Hosts_Host
	lists  int
	drains []*syncv1.Drain
	// plan is the last PolicyPlan, and queries those that nobody has answered.
	plan    *syncv1.PolicyPlan
	plans   int
	queries []*syncv1.DecisionsQuery
	err     error
	silent  bool
	// gate, while not nil, keeps the host from taking what it has received.
	gate chan struct{}
}

// pause has the host stand still until the answer is called.
func (h *hostEnd) pause() (resume func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	gate := make(chan struct{})
	h.gate = gate
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.gate = nil
		close(gate)
	}
}

func (h *hostEnd) pass() {
	h.mu.Lock()
	gate := h.gate
	h.mu.Unlock()
	if gate != nil {
		<-gate
	}
}

// dial connects without a Hello.
func (c *controller) dial() *hostEnd {
	c.t.Helper()
	conn, err := grpc.NewClient("passthrough:///controller",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return c.listener.Dial() }))
	if err != nil {
		c.t.Fatal(err)
	}
	h := &hostEnd{t: c.t, conn: conn, rows: map[string]string{}, done: make(chan struct{})}
	if h.stream, err = syncv1.NewSyncServiceClient(conn).Connect(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
	go h.receive()
	c.t.Cleanup(h.close)
	return h
}

// connect says hello and, once the server has said all that it will, answers.
func (c *controller) connect(hello *syncv1.Hello) *hostEnd {
	c.t.Helper()
	h := c.dial()
	h.rowsOf(nil)
	h.hello(hello)
	return h
}

func (h *hostEnd) hello(hello *syncv1.Hello) {
	if hello.Namespace == "" {
		hello.Namespace = "default"
	}
	h.say(&syncv1.ConnectRequest{Message: &syncv1.ConnectRequest_Hello{Hello: hello}})
}

func (h *hostEnd) say(request *syncv1.ConnectRequest) {
	h.t.Helper()
	if err := h.stream.Send(request); err != nil {
		h.t.Errorf("send: %v", err)
	}
	synctest.Wait()
}

func (h *hostEnd) report(report *syncv1.Report) {
	h.t.Helper()
	h.say(&syncv1.ConnectRequest{Message: &syncv1.ConnectRequest_Report{Report: report}})
}

func (h *hostEnd) ack(version *syncv1.Version) {
	h.t.Helper()
	h.say(&syncv1.ConnectRequest{Message: &syncv1.ConnectRequest_Ack{Ack: &syncv1.Ack{Version: version}}})
}

func (h *hostEnd) close() {
	_ = h.conn.Close()
	<-h.done
}

// rowsOf replaces the rows that the host holds from before this stream.
func (h *hostEnd) rowsOf(rows map[string]string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for key, digest := range rows {
		h.rows[key] = digest
	}
}

func (h *hostEnd) receive() {
	defer close(h.done)
	for {
		response, err := h.stream.Recv()
		if err != nil {
			h.mu.Lock()
			h.err = err
			h.mu.Unlock()
			return
		}
		h.pass()
		if answer := h.apply(response); answer != nil {
			if err := h.stream.Send(answer); err != nil {
				return
			}
		}
	}
}

// apply does what the protocol asks of a host; it returns what to answer.
func (h *hostEnd) apply(response *syncv1.ConnectResponse) *syncv1.ConnectRequest {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch m := response.GetMessage().(type) {
	case *syncv1.ConnectResponse_Index:
		h.log = append(h.log, fmt.Sprintf("index %s of %d", short(m.Index.Version), len(m.Index.Entries)))
		h.index = map[string]bool{}
		var missing []string
		for _, e := range m.Index.Entries {
			h.index[e.Key] = true
			if h.rows[e.Key] != string(e.Digest) {
				missing = append(missing, e.Key)
			}
		}
		return &syncv1.ConnectRequest{Message: &syncv1.ConnectRequest_Fetch{Fetch: &syncv1.Fetch{Keys: missing}}}
	case *syncv1.ConnectResponse_Update:
		return h.update(m.Update)
	case *syncv1.ConnectResponse_Credentials:
		h.log = append(h.log, "credentials")
		h.credentials = m.Credentials.Storage
	case *syncv1.ConnectResponse_Policies:
		h.plan = m.Policies
		h.plans++
	case *syncv1.ConnectResponse_Decisions:
		h.queries = append(h.queries, m.Decisions)
	case *syncv1.ConnectResponse_Drain:
		h.drains = append(h.drains, m.Drain)
	case *syncv1.ConnectResponse_Hosts:
		h.hosts, h.others = nil, m.Hosts.Hosts
		h.lists++
		for _, other := range m.Hosts.Hosts {
			h.hosts = append(h.hosts, fmt.Sprintf("%s:%t", other.Id, other.Connected))
		}
	}
	return nil
}

func (h *hostEnd) update(u *syncv1.Update) *syncv1.ConnectRequest {
	h.log = append(h.log, fmt.Sprintf("update %s on %s: +%d -%d %t",
		short(u.Version), short(u.Base), len(u.Upserts), len(u.RemovedKeys), u.Complete))
	if u.Base != nil && compareVersions(u.Base, h.version) != 0 {
		h.t.Errorf("update on %s for a host at %s", short(u.Base), short(h.version))
	}
	for _, row := range u.Upserts {
		h.rows[row.Key] = string(row.Digest)
	}
	for _, key := range u.RemovedKeys {
		delete(h.rows, key)
	}
	if !u.Complete {
		return nil
	}
	if u.Base == nil && h.index != nil {
		for key := range h.rows {
			if !h.index[key] {
				delete(h.rows, key)
			}
		}
		h.index = nil
	}
	h.version = u.Version
	if h.silent {
		return nil
	}
	return &syncv1.ConnectRequest{Message: &syncv1.ConnectRequest_Ack{Ack: &syncv1.Ack{Version: u.Version}}}
}

// expect compares the log since the last call.
func (h *hostEnd) expect(what string, want ...string) {
	h.t.Helper()
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	if !slices.Equal(h.log, want) {
		h.t.Errorf("%s: received %q, want %q", what, h.log, want)
	}
	h.log = nil
}

func (h *hostEnd) expectKeys(what string, want ...string) {
	h.t.Helper()
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	var keys []string
	for key := range h.rows {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	if !slices.Equal(keys, want) {
		h.t.Errorf("%s: holds %v, want %v", what, keys, want)
	}
}

func (h *hostEnd) expectEnd(code codes.Code, message string) {
	h.t.Helper()
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	if status.Code(h.err) != code || !strings.Contains(h.err.Error(), message) {
		h.t.Errorf("stream ended with %v, want %v with %q", h.err, code, message)
	}
}

func short(v *syncv1.Version) string {
	if v == nil {
		return "none"
	}
	return fmt.Sprintf("%d.%d", v.Term, v.Sequence)
}

func hello(id string) *syncv1.Hello { return &syncv1.Hello{HostId: id, Epoch: 1} }

func model(id string) *syncv1.Row { return modelIn("default", id, "p") }

func modelIn(namespace, id, path string) *syncv1.Row {
	m := &syncv1.Model{Namespace: namespace, Id: id, Storage: &syncv1.StorageReference{Path: path}}
	return &syncv1.Row{Key: "model/" + namespace + "/" + id, Value: &syncv1.Row_Model{Model: m}}
}

func alias(name, active string) *syncv1.Row {
	a := &syncv1.Alias{Namespace: "default", Name: name, ActiveModelId: active}
	return &syncv1.Row{Key: "alias/default/" + name, Value: &syncv1.Row_Alias{Alias: a}}
}

func bubble(name string, t *testing.T, f func(*testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}
