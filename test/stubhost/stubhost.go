// Package stubhost is a host of which only the end of the sync stream is real: it enrols with the controller as a pod does,
// follows the catalog, and says that it has loaded what it is told of. Tests and benchmarks of the controller start one
// against an API server alone, where no pod runs.
//
// Invariant: what it holds outlives its connections, as a host's disk and memory do.
package stubhost

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// BadPath in a model's path has its load fail.
const BadPath = "bad"

// reconnectAfter is the pause after a stream has ended.
const reconnectAfter = 50 * time.Millisecond

// Config of a Host.
type Config struct {
	// Namespace and Name are those of its pod, Runtime that of the ServingRuntime.
	Namespace, Name, Runtime string
	// Controller is the address of the controller.
	Controller string
	// Credentials that Enrol has made.
	Credentials credentials.TransportCredentials
	// Lazy hosts load nothing.
	Lazy bool
	// OnUpdate is told of each change of the catalog when it has been applied, from the host's goroutine; nil for nobody.
	OnUpdate func(*syncv1.Update)
}

// Host runs from Start to Stop.
type Host struct {
	config Config
	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex // guards below
	hello   *syncv1.Hello
	rows    map[string]*syncv1.Row
	copies  map[string]*syncv1.Copy
	history []string
	changed chan struct{}
}

// Start connects, and again whenever the stream ends, until Stop.
func Start(c Config) (*Host, error) {
	conn, err := grpc.NewClient(c.Controller, grpc.WithTransportCredentials(c.Credentials), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)))
	if err != nil {
		return nil, fmt.Errorf("start stub host: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	h := &Host{
		config: c, cancel: cancel, done: make(chan struct{}), changed: make(chan struct{}),
		hello: &syncv1.Hello{Namespace: c.Namespace, HostId: c.Name, Epoch: 1, Runtime: c.Runtime},
		rows:  map[string]*syncv1.Row{}, copies: map[string]*syncv1.Copy{},
	}
	go func() {
		defer close(h.done)
		defer func() { _ = conn.Close() }()
		for ctx.Err() == nil {
			if stream, err := syncv1.NewSyncServiceClient(conn).Connect(ctx); err == nil {
				h.follow(stream)
			}
			select {
			case <-time.After(reconnectAfter):
			case <-ctx.Done():
			}
		}
	}()
	return h, nil
}

// Stop ends the connection.
func (h *Host) Stop() {
	h.cancel()
	<-h.done
}

// Until waits until the catalog, rows by key, is as wanted.
func (h *Host) Until(ctx context.Context, wanted func(rows map[string]*syncv1.Row) bool) error {
	for {
		h.mu.Lock()
		rows, changed := maps.Clone(h.rows), h.changed
		h.mu.Unlock()
		if wanted(rows) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("the catalog of %d rows is never as wanted: %w", len(rows), ctx.Err())
		}
	}
}

// History is what was loaded and unloaded, in order: "load <id>" and "unload <id>".
func (h *Host) History() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.history...)
}

type stream = grpc.BidiStreamingClient[syncv1.ConnectRequest, syncv1.ConnectResponse]

func (h *Host) follow(s stream) {
	for _, request := range h.greeting() {
		_ = s.Send(request) // A broken stream shows at the next Recv.
	}
	indexed := map[string]bool{}
	for {
		response, err := s.Recv()
		if err != nil {
			return
		}
		var answers []*syncv1.ConnectRequest
		switch m := response.GetMessage().(type) {
		case *syncv1.ConnectResponse_Index:
			answers = append(answers, h.fetch(m.Index, indexed))
		case *syncv1.ConnectResponse_Update:
			answers = h.update(m.Update, indexed)
		}
		for _, request := range answers {
			_ = s.Send(request)
		}
	}
}

func (h *Host) greeting() []*syncv1.ConnectRequest {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := &syncv1.Report{Complete: true, RuntimeState: syncv1.RuntimeState_RUNTIME_STATE_READY}
	for _, c := range h.copies {
		all.Copies = append(all.Copies, c)
	}
	return []*syncv1.ConnectRequest{
		{Message: &syncv1.ConnectRequest_Hello{Hello: h.hello}}, {Message: &syncv1.ConnectRequest_Report{Report: all}},
	}
}

func (h *Host) fetch(index *syncv1.Index, indexed map[string]bool) *syncv1.ConnectRequest {
	h.mu.Lock()
	defer h.mu.Unlock()
	fetch := &syncv1.Fetch{}
	for _, e := range index.GetEntries() {
		indexed[e.GetKey()] = true
		if string(h.rows[e.GetKey()].GetDigest()) != string(e.GetDigest()) {
			fetch.Keys = append(fetch.Keys, e.GetKey())
		}
	}
	return &syncv1.ConnectRequest{Message: &syncv1.ConnectRequest_Fetch{Fetch: fetch}}
}

func (h *Host) update(u *syncv1.Update, indexed map[string]bool) []*syncv1.ConnectRequest {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, row := range u.GetUpserts() {
		h.rows[row.GetKey()] = row
	}
	for _, key := range u.GetRemovedKeys() {
		delete(h.rows, key)
	}
	if !u.GetComplete() {
		return nil
	}
	if u.GetBase() == nil {
		maps.DeleteFunc(h.rows, func(key string, _ *syncv1.Row) bool { return !indexed[key] })
	}
	h.hello.CatalogVersion = u.GetVersion()
	report := h.settle()
	close(h.changed)
	h.changed = make(chan struct{})
	if h.config.OnUpdate != nil {
		h.config.OnUpdate(u)
	}
	return []*syncv1.ConnectRequest{
		{Message: &syncv1.ConnectRequest_Ack{Ack: &syncv1.Ack{Version: u.GetVersion()}}},
		{Message: &syncv1.ConnectRequest_Report{Report: report}},
	}
}

// settle loads and unloads until the copies are those of the catalog. The caller holds the lock.
func (h *Host) settle() *syncv1.Report {
	report := &syncv1.Report{CatalogVersion: h.hello.GetCatalogVersion()}
	wanted := map[string]bool{}
	for _, row := range h.rows {
		model := row.GetModel()
		if model == nil {
			continue
		}
		wanted[model.GetId()] = true
		if h.config.Lazy || h.copies[model.GetId()] != nil {
			continue
		}
		c := &syncv1.Copy{ModelId: model.GetId(), State: syncv1.CopyState_COPY_STATE_LOADED, StateSinceMs: 1}
		if strings.Contains(model.GetStorage().GetPath(), BadPath) {
			c.State = syncv1.CopyState_COPY_STATE_FAILED
			c.Failure = &syncv1.Failure{
				Reason: syncv1.FailureReason_FAILURE_REASON_MODEL_LOAD_FAILED, Message: "no such object", TimeMs: time.Now().UnixMilli(),
			}
		}
		h.copies[model.GetId()] = c
		h.history = append(h.history, "load "+model.GetId())
		report.Copies = append(report.Copies, c)
	}
	for id := range h.copies {
		if !wanted[id] {
			delete(h.copies, id)
			h.history = append(h.history, "unload "+id)
			report.RemovedModelIds = append(report.RemovedModelIds, id)
		}
	}
	return report
}
