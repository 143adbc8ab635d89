package standalone

import (
	"context"
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// fakeHost follows the catalog as a host must, and loads every model at once unless its path contains "bad".
type fakeHost struct {
	t      *testing.T
	hello  *syncv1.Hello
	cancel context.CancelFunc
	done   chan struct{}
	// lazy hosts load nothing.
	lazy bool

	// Kept from stream to stream, as a host keeps its disk and its memory.
	rows   map[string]*syncv1.Row
	copies map[string]*syncv1.Copy
	// loads and unloads of models, in order.
	history     []string
	credentials map[string][]byte
	// modules of policies that it has fetched, by generation; decisions are what it has recorded.
	modules   map[string][]byte
	decisions []*syncv1.Decision
}

func newHost(t *testing.T) *fakeHost {
	return &fakeHost{
		t: t, rows: map[string]*syncv1.Row{}, copies: map[string]*syncv1.Copy{}, modules: map[string][]byte{},
		hello: &syncv1.Hello{Namespace: "default", HostId: "mlserver-1.x-0", Epoch: 1, Runtime: "mlserver-1.x"},
	}
}

// connect follows the controller at the address until disconnect is called or the controller goes.
func (h *fakeHost) connect(address string) {
	h.t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	stream, err := syncv1.NewSyncServiceClient(conn).Connect(ctx)
	if err != nil {
		h.t.Fatal(err)
	}
	h.cancel, h.done = cancel, make(chan struct{})
	go func() {
		defer close(h.done)
		defer func() { _ = conn.Close() }()
		h.follow(stream, syncv1.NewSyncServiceClient(conn))
	}()
	h.t.Cleanup(h.disconnect)
}

// disconnect ends the stream; after it the fields may be read.
func (h *fakeHost) disconnect() {
	h.cancel()
	<-h.done
}

type hostStream = grpc.BidiStreamingClient[syncv1.ConnectRequest, syncv1.ConnectResponse]

func (h *fakeHost) follow(stream hostStream, client syncv1.SyncServiceClient) {
	say := func(requests ...*syncv1.ConnectRequest) {
		for _, request := range requests {
			_ = stream.Send(request) // A broken stream shows at the next Recv.
		}
	}
	all := &syncv1.Report{Complete: true, RuntimeState: syncv1.RuntimeState_RUNTIME_STATE_READY}
	for _, c := range h.copies {
		all.Copies = append(all.Copies, c)
	}
	say(&syncv1.ConnectRequest{Message: &syncv1.ConnectRequest_Hello{Hello: h.hello}},
		&syncv1.ConnectRequest{Message: &syncv1.ConnectRequest_Report{Report: all}})
	indexed := map[string]bool{}
	for {
		response, err := stream.Recv()
		if err != nil {
			return
		}
		switch m := response.GetMessage().(type) {
		case *syncv1.ConnectResponse_Credentials:
			h.credentials = m.Credentials.Storage
		case *syncv1.ConnectResponse_Index:
			fetch := &syncv1.Fetch{}
			for _, e := range m.Index.Entries {
				indexed[e.Key] = true
				if string(h.rows[e.Key].GetDigest()) != string(e.Digest) {
					fetch.Keys = append(fetch.Keys, e.Key)
				}
			}
			say(&syncv1.ConnectRequest{Message: &syncv1.ConnectRequest_Fetch{Fetch: fetch}})
		case *syncv1.ConnectResponse_Policies:
			say(&syncv1.ConnectRequest{Message: &syncv1.ConnectRequest_Policies{Policies: h.prepare(client, m.Policies)}})
		case *syncv1.ConnectResponse_Decisions:
			reply := &syncv1.DecisionsReply{QueryId: m.Decisions.QueryId, Decisions: h.decisions, Done: true}
			say(&syncv1.ConnectRequest{Message: &syncv1.ConnectRequest_Decisions{Decisions: reply}})
		case *syncv1.ConnectResponse_Drain:
			h.leave(stream, uint32(len(h.copies)))
			return
		case *syncv1.ConnectResponse_Update:
			say(h.update(m.Update, indexed)...)
		}
	}
}

// leave says that every copy has found another host, one after the other, and ends the stream.
func (h *fakeHost) leave(stream hostStream, copies uint32) {
	for moved := range copies + 1 {
		draining := &syncv1.Draining{Copies: copies, Moved: moved, Closing: moved == copies}
		report := &syncv1.Report{RuntimeState: syncv1.RuntimeState_RUNTIME_STATE_READY, Draining: draining}
		_ = stream.Send(&syncv1.ConnectRequest{Message: &syncv1.ConnectRequest_Report{Report: report}})
	}
	_ = stream.CloseSend()
	for {
		if _, err := stream.Recv(); err != nil {
			return
		}
	}
}

// prepare fetches what a plan needs, and is ready at once.
func (h *fakeHost) prepare(client syncv1.SyncServiceClient, plan *syncv1.PolicyPlan) *syncv1.PolicyReport {
	report := &syncv1.PolicyReport{PlanVersion: plan.Version}
	for _, e := range plan.Entries {
		entry := &syncv1.PolicyReport_Entry{Id: e.Generation.Id, Hook: e.Generation.Hook}
		entry.State = syncv1.GenerationState_GENERATION_STATE_PREFLIGHTED
		if e.Role == syncv1.PolicyRole_POLICY_ROLE_ACTIVE {
			entry.State = syncv1.GenerationState_GENERATION_STATE_ACTIVE
		}
		var module []byte
		stream, err := client.GetBlob(context.Background(), &syncv1.GetBlobRequest{Digest: e.Generation.ModuleDigest})
		for err == nil {
			var response *syncv1.GetBlobResponse
			response, err = stream.Recv()
			module = append(module, response.GetChunk()...)
		}
		if sum := sha256.Sum256(module); string(sum[:]) != string(e.Generation.ModuleDigest) {
			entry.State, entry.Message = syncv1.GenerationState_GENERATION_STATE_FAILED, err.Error()
		}
		h.modules[e.Generation.Id] = module
		report.Entries = append(report.Entries, entry)
	}
	return report
}

func (h *fakeHost) update(u *syncv1.Update, indexed map[string]bool) []*syncv1.ConnectRequest {
	for _, row := range u.Upserts {
		h.rows[row.Key] = row
	}
	for _, key := range u.RemovedKeys {
		delete(h.rows, key)
	}
	if !u.Complete {
		return nil
	}
	if u.Base == nil {
		for key := range h.rows {
			if !indexed[key] {
				delete(h.rows, key)
			}
		}
	}
	h.hello.CatalogVersion = u.Version
	return []*syncv1.ConnectRequest{
		{Message: &syncv1.ConnectRequest_Ack{Ack: &syncv1.Ack{Version: u.Version}}},
		{Message: &syncv1.ConnectRequest_Report{Report: h.settle()}},
	}
}

// settle loads and unloads until the copies are those of the catalog.
func (h *fakeHost) settle() *syncv1.Report {
	report := &syncv1.Report{CatalogVersion: h.hello.CatalogVersion}
	wanted := map[string]bool{}
	for _, row := range h.rows {
		model := row.GetModel()
		if model == nil {
			continue
		}
		wanted[model.Id] = true
		if h.copies[model.Id] != nil || h.lazy {
			continue
		}
		c := &syncv1.Copy{ModelId: model.Id, State: syncv1.CopyState_COPY_STATE_LOADED, StateSinceMs: 1}
		if strings.Contains(model.Storage.Path, "bad") {
			c.State = syncv1.CopyState_COPY_STATE_FAILED
			c.Failure = &syncv1.Failure{
				Reason: syncv1.FailureReason_FAILURE_REASON_MODEL_LOAD_FAILED, Message: "no such object", TimeMs: time.Now().UnixMilli(),
			}
		}
		h.copies[model.Id] = c
		h.history = append(h.history, "load "+model.Storage.Path)
		report.Copies = append(report.Copies, c)
	}
	for id := range h.copies {
		if !wanted[id] {
			delete(h.copies, id)
			h.history = append(h.history, "unload")
			report.RemovedModelIds = append(report.RemovedModelIds, id)
		}
	}
	return report
}

func (h *fakeHost) activePath(name string) string {
	active := h.rows["alias/default/"+name].GetAlias().GetActiveModelId()
	return h.rows["model/default/"+active].GetModel().GetStorage().GetPath()
}

// credentialsAfter ends the stream to look.
func (h *fakeHost) credentialsAfter() map[string][]byte {
	h.disconnect()
	return h.credentials
}
