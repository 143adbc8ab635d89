package catalog

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
)

// script is a controller that a test drives message by message.
type script struct {
	syncv1.UnimplementedSyncServiceServer
	streams chan *scriptStream
}

type scriptStream struct {
	stream grpc.BidiStreamingServer[syncv1.ConnectRequest, syncv1.ConnectResponse]
	end    chan struct{}
}

func (s *script) Connect(stream grpc.BidiStreamingServer[syncv1.ConnectRequest, syncv1.ConnectResponse]) error {
	one := &scriptStream{stream: stream, end: make(chan struct{})}
	select {
	case s.streams <- one:
	case <-stream.Context().Done():
		return nil
	}
	select {
	case <-one.end:
	case <-stream.Context().Done():
	}
	return nil
}

func (s *scriptStream) send(t *testing.T, message *syncv1.ConnectResponse) {
	t.Helper()
	if err := s.stream.Send(message); err != nil {
		t.Fatalf("send to host: %v", err)
	}
}

func (s *scriptStream) update(t *testing.T, update *syncv1.Update) {
	t.Helper()
	s.send(t, &syncv1.ConnectResponse{Message: &syncv1.ConnectResponse_Update{Update: update}})
}

func (s *scriptStream) receive(t *testing.T) *syncv1.ConnectRequest {
	t.Helper()
	message, err := s.stream.Recv()
	if err != nil {
		t.Fatalf("receive from host: %v", err)
	}
	return message
}

// recorder is a Listener that publishes one queued copy for each new model, as the real one does.
type recorder struct {
	reporter    *Reporter
	changes     chan Change
	credentials chan map[string][]byte
}

func (r *recorder) CatalogChanged(change Change) {
	for _, model := range change.Upserts {
		r.reporter.Publish(&syncv1.Copy{ModelId: model.GetId(), State: syncv1.CopyState_COPY_STATE_QUEUED})
	}
	r.changes <- change
}

func (r *recorder) CredentialsChanged(storage map[string][]byte) { r.credentials <- storage }

type fixture struct {
	client   *Client
	recorder *recorder
	policies *policyRecorder
	script   *script
	stop     func()
}

func start(t *testing.T, dir string, withController bool, change ...func(*Config)) *fixture {
	t.Helper()
	f := &fixture{script: &script{streams: make(chan *scriptStream)}}
	reporter := NewReporter()
	f.recorder = &recorder{reporter: reporter, changes: make(chan Change, 8), credentials: make(chan map[string][]byte, 8)}
	f.policies = &policyRecorder{plans: make(chan *syncv1.PolicyPlan, 8), queries: make(chan *syncv1.DecisionsQuery, 8)}
	config := Config{
		Hello:    &syncv1.Hello{Namespace: "default", HostId: "mlserver-0", Epoch: 3},
		Policies: f.policies, StateDir: dir, Logger: slog.New(slog.DiscardHandler),
	}
	for _, f := range change {
		f(&config)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var closers []func()
	if withController {
		listener := bufconn.Listen(1 << 20)
		server := grpc.NewServer()
		syncv1.RegisterSyncServiceServer(server, f.script)
		go server.Serve(listener)
		conn, err := grpc.NewClient("passthrough:controller", grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
		if err != nil {
			t.Fatal(err)
		}
		config.Controller = conn
		closers = append(closers, func() { conn.Close(); server.Stop() })
	}
	var err error
	if f.client, err = NewClient(config, reporter, f.recorder); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.client.Run(ctx)
	}()
	f.stop = func() {
		cancel()
		<-done
		for _, closer := range closers {
			closer()
		}
		closers = nil
	}
	t.Cleanup(f.stop)
	return f
}

func modelRow(id string) *syncv1.Row {
	return &syncv1.Row{
		Key: "model/default/" + id, Digest: []byte("digest of " + id),
		Value: &syncv1.Row_Model{Model: &syncv1.Model{Namespace: "default", Id: id, Runtimes: []string{"mlserver-1.x"}}},
	}
}

func aliasRow(name, active string) *syncv1.Row {
	return &syncv1.Row{
		Key: "alias/default/" + name, Digest: []byte(name + " to " + active),
		Value: &syncv1.Row_Alias{Alias: &syncv1.Alias{Namespace: "default", Name: name, ActiveModelId: active}},
	}
}

func version(sequence uint64) *syncv1.Version { return &syncv1.Version{Term: 1, Sequence: sequence} }

func index(sequence uint64, rows ...*syncv1.Row) *syncv1.ConnectResponse {
	message := &syncv1.Index{Version: version(sequence)}
	for _, row := range rows {
		message.Entries = append(message.Entries, &syncv1.Index_Entry{Key: row.GetKey(), Digest: row.GetDigest()})
	}
	return &syncv1.ConnectResponse{Message: &syncv1.ConnectResponse_Index{Index: message}}
}

// greet reads the hello and the complete report that open every stream.
func (f *fixture) greet(t *testing.T) (*scriptStream, *syncv1.Hello) {
	t.Helper()
	stream := <-f.script.streams
	hello := stream.receive(t).GetHello()
	if hello == nil {
		t.Fatal("the first message is not a Hello")
	}
	if report := stream.receive(t).GetReport(); !report.GetComplete() {
		t.Fatal("the second message is not a complete Report")
	}
	return stream, hello
}

// fill brings the host to version 1 with models a and b.
func (f *fixture) fill(t *testing.T) *scriptStream {
	t.Helper()
	stream, _ := f.greet(t)
	rows := []*syncv1.Row{modelRow("a"), modelRow("b"), aliasRow("one", "a")}
	stream.send(t, index(1, rows...))
	if keys := stream.receive(t).GetFetch().GetKeys(); len(keys) != 3 {
		t.Fatalf("fetched %v, want all three rows", keys)
	}
	stream.update(t, &syncv1.Update{Version: version(1), Upserts: rows, Complete: true})
	<-f.recorder.changes
	f.expectAck(t, stream, 1)
	return stream
}

// expectAck reads until the acknowledgement and answers the reports before it.
func (f *fixture) expectAck(t *testing.T, stream *scriptStream, sequence uint64) (reports []*syncv1.Report) {
	t.Helper()
	for {
		message := stream.receive(t)
		if ack := message.GetAck(); ack != nil {
			if ack.GetVersion().GetSequence() != sequence {
				t.Fatalf("acknowledged %v, want sequence %d", ack.GetVersion(), sequence)
			}
			return reports
		}
		reports = append(reports, message.GetReport())
	}
}

func TestFirstCatalogIsShownWhole(t *testing.T) {
	f := start(t, t.TempDir(), true)
	stream, hello := f.greet(t)
	if hello.GetCatalogVersion() != nil || hello.GetEpoch() != 3 {
		t.Fatalf("hello %v: a host without catalog must claim none", hello)
	}
	rows := []*syncv1.Row{modelRow("a"), aliasRow("one", "a")}
	stream.send(t, index(1, rows...))
	stream.receive(t) // fetch
	stream.update(t, &syncv1.Update{Version: version(1), Upserts: rows[:1]})
	if f.client.Table().Complete() {
		t.Fatal("half of a catalog was shown")
	}
	stream.update(t, &syncv1.Update{Version: version(1), Upserts: rows[1:], Complete: true})
	if change := <-f.recorder.changes; len(change.Upserts) != 1 || change.Upserts[0].GetId() != "a" {
		t.Fatalf("change %v, want model a", change)
	}
	reports := f.expectAck(t, stream, 1)
	if len(reports) == 0 || reports[0].GetCopies()[0].GetState() != syncv1.CopyState_COPY_STATE_QUEUED {
		t.Fatal("the catalog was acknowledged before what it made the host decide was reported")
	}
	if alias, ok := f.client.Table().Alias("one"); !ok || alias.GetActiveModelId() != "a" {
		t.Fatalf("alias one = %v, %v", alias, ok)
	}
}

func TestReconnectFetchesOnlyDifferencesAndRemovesAtTheEnd(t *testing.T) {
	f := start(t, t.TempDir(), true)
	close(f.fill(t).end)

	stream, hello := f.greet(t)
	if hello.GetCatalogVersion().GetSequence() != 1 {
		t.Fatalf("hello says catalog %v, want 1", hello.GetCatalogVersion())
	}
	stream.send(t, index(9, modelRow("a"), aliasRow("one", "c"), modelRow("c")))
	keys := stream.receive(t).GetFetch().GetKeys()
	slices.Sort(keys)
	if want := []string{"alias/default/one", "model/default/c"}; !slices.Equal(keys, want) {
		t.Fatalf("fetched %v, want %v", keys, want)
	}
	stream.update(t, &syncv1.Update{Version: version(9), Upserts: []*syncv1.Row{modelRow("c")}})
	if _, ok := f.client.Table().Model("b"); !ok {
		t.Fatal("a model was removed before the update was complete")
	}
	stream.update(t, &syncv1.Update{Version: version(9), Upserts: []*syncv1.Row{aliasRow("one", "c")}, Complete: true})
	change := <-f.recorder.changes
	if !slices.Equal(change.Removed, []string{"b"}) || len(change.Upserts) != 1 || change.Upserts[0].GetId() != "c" {
		t.Fatalf("change: removed %v, upserts %v", change.Removed, change.Upserts)
	}
}

func TestDeltas(t *testing.T) {
	f := start(t, t.TempDir(), true)
	stream := f.fill(t)
	stream.update(t, &syncv1.Update{Base: version(1), Version: version(2), RemovedKeys: []string{"model/default/b"}, Complete: true})
	if change := <-f.recorder.changes; !slices.Equal(change.Removed, []string{"b"}) {
		t.Fatalf("removed %v, want b", change.Removed)
	}
	f.expectAck(t, stream, 2)

	stream.update(t, &syncv1.Update{Base: version(7), Version: version(8), RemovedKeys: []string{"model/default/a"}, Complete: true})
	_, hello := f.greet(t) // a gap: the host connects again instead of guessing
	if hello.GetCatalogVersion().GetSequence() != 2 {
		t.Fatalf("after a gap the host claims catalog %v, want 2", hello.GetCatalogVersion())
	}
	if _, ok := f.client.Table().Model("a"); !ok {
		t.Fatal("an update on another base was applied")
	}
}

func TestRestartWithoutController(t *testing.T) {
	dir := t.TempDir()
	f := start(t, dir, true)
	stream := f.fill(t)
	stream.send(t, &syncv1.ConnectResponse{Message: &syncv1.ConnectResponse_Credentials{
		Credentials: &syncv1.Credentials{Storage: map[string][]byte{"localMinIO": []byte(`{"type":"s3"}`)}},
	}})
	<-f.recorder.credentials
	f.stop()

	info, err := os.Stat(filepath.Join(dir, credentialsFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("credentials file: %v, %v; want mode 0600", info, err)
	}
	again := start(t, dir, false)
	if change := <-again.recorder.changes; len(change.Upserts) != 2 {
		t.Fatalf("after a restart %d models, want 2", len(change.Upserts))
	}
	if storage := <-again.recorder.credentials; string(storage["localMinIO"]) != `{"type":"s3"}` {
		t.Fatalf("after a restart credentials %q", storage)
	}
	if !again.client.Table().Complete() {
		t.Fatal("the catalog on disk does not count as complete")
	}
}

func TestDamagedDiskReadsAsAbsent(t *testing.T) {
	dir := t.TempDir()
	f := start(t, dir, true)
	f.fill(t)
	f.stop()
	path := filepath.Join(dir, catalogFile)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content[:len(content)-5], 0o600); err != nil {
		t.Fatal(err)
	}
	if again := start(t, dir, false); again.client.Table().Complete() {
		t.Fatal("half a file was taken for a catalog")
	}
}

func TestReporterCoalesces(t *testing.T) {
	r := NewReporter()
	for _, state := range []syncv1.CopyState{syncv1.CopyState_COPY_STATE_QUEUED, syncv1.CopyState_COPY_STATE_LOADING, syncv1.CopyState_COPY_STATE_LOADED} {
		r.Publish(&syncv1.Copy{ModelId: "a", State: state})
	}
	r.Publish(&syncv1.Copy{ModelId: "b"})
	r.Withdraw("b")
	report := r.delta()
	if len(report.GetCopies()) != 1 || report.GetCopies()[0].GetState() != syncv1.CopyState_COPY_STATE_LOADED {
		t.Fatalf("copies %v, want only the newest state of a", report.GetCopies())
	}
	if !slices.Equal(report.GetRemovedModelIds(), []string{"b"}) {
		t.Fatalf("removed %v, want b", report.GetRemovedModelIds())
	}
	if r.delta() != nil {
		t.Fatal("the same was told twice")
	}
	r.PublishLoad(&syncv1.Load{LoadsQueued: 1})
	r.PublishLoad(&syncv1.Load{LoadsQueued: 1})
	if r.delta() == nil || r.delta() != nil {
		t.Fatal("load figures must be told once")
	}
	if all := r.complete(); len(all.GetCopies()) != 1 {
		t.Fatalf("complete report has %d copies, want 1", len(all.GetCopies()))
	}
}

// A test that hangs says so instead of running into the package's limit.
func TestMain(m *testing.M) {
	timer := time.AfterFunc(time.Minute, func() { panic("catalog tests hang") })
	defer timer.Stop()
	m.Run()
}

// Every connection begins with the credentials. Only news of them has failed models tried again, or a controller that
// comes and goes would take every back-off back.
func TestSameCredentialsAreNoNews(t *testing.T) {
	send := func(t *testing.T, f *fixture, secret string) {
		stream, _ := f.greet(t)
		stream.send(t, &syncv1.ConnectResponse{Message: &syncv1.ConnectResponse_Credentials{
			Credentials: &syncv1.Credentials{Storage: map[string][]byte{"localMinIO": []byte(secret)}}}})
		// The acknowledgement of what follows tells that the credentials have been dealt with.
		stream.update(t, &syncv1.Update{Version: version(1), Complete: true})
		<-f.recorder.changes
		f.expectAck(t, stream, 1)
		close(stream.end)
	}
	dir := t.TempDir()
	f := start(t, dir, true)
	send(t, f, "one")
	if got := <-f.recorder.credentials; string(got["localMinIO"]) != "one" {
		t.Fatalf("credentials %q", got)
	}
	send(t, f, "one")
	if n := len(f.recorder.credentials); n != 0 {
		t.Errorf("the same credentials were told again")
	}
	send(t, f, "two")
	if got := <-f.recorder.credentials; string(got["localMinIO"]) != "two" {
		t.Errorf("credentials %q", got)
	}
	f.stop()

	f = start(t, dir, true)
	if got := <-f.recorder.credentials; string(got["localMinIO"]) != "two" {
		t.Errorf("credentials after a restart %q", got)
	}
	<-f.recorder.changes // The catalog on disk.
	send(t, f, "two")
	if n := len(f.recorder.credentials); n != 0 {
		t.Errorf("the credentials that were on disk were told again")
	}
}

// policyRecorder is a PolicyListener.
type policyRecorder struct {
	plans   chan *syncv1.PolicyPlan
	queries chan *syncv1.DecisionsQuery
}

func (p *policyRecorder) PolicyPlan(plan *syncv1.PolicyPlan)          { p.plans <- plan }
func (p *policyRecorder) DecisionsQuery(query *syncv1.DecisionsQuery) { p.queries <- query }

// Plans, reports and queries cross before there is any catalog; a new stream begins with the newest report.
func TestPoliciesDoNotWaitForTheCatalog(t *testing.T) {
	f := start(t, t.TempDir(), true)
	stream, _ := f.greet(t)
	plan := &syncv1.PolicyPlan{Version: version(1)}
	stream.send(t, &syncv1.ConnectResponse{Message: &syncv1.ConnectResponse_Policies{Policies: plan}})
	if got := <-f.policies.plans; got.GetVersion().GetSequence() != 1 {
		t.Fatalf("plan %v", got)
	}
	if f.client.Table().Complete() {
		t.Fatal("the catalog is complete without an update")
	}
	for sequence := range uint64(3) {
		f.recorder.reporter.PublishPolicies(&syncv1.PolicyReport{PlanVersion: version(sequence)})
	}
	for got := uint64(0); got != 2; {
		got = stream.receive(t).GetPolicies().GetPlanVersion().GetSequence()
	}

	stream.send(t, &syncv1.ConnectResponse{Message: &syncv1.ConnectResponse_Decisions{Decisions: &syncv1.DecisionsQuery{QueryId: 9}}})
	if got := <-f.policies.queries; got.GetQueryId() != 9 {
		t.Fatalf("query %v", got)
	}
	for _, done := range []bool{false, true} {
		if err := f.recorder.reporter.Reply(t.Context(), &syncv1.DecisionsReply{QueryId: 9, Done: done}); err != nil {
			t.Fatal(err)
		}
		if got := stream.receive(t).GetDecisions(); got.GetQueryId() != 9 || got.GetDone() != done {
			t.Fatalf("reply %v, want done %v", got, done)
		}
	}

	close(stream.end)
	stream, _ = f.greet(t)
	if got := stream.receive(t).GetPolicies(); got.GetPlanVersion().GetSequence() != 2 {
		t.Fatalf("a new stream begins with %v, want the newest report", got)
	}
}

// Without a stream a reply finds nobody, and does not wait for ever.
func TestReplyGivesUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := NewReporter().Reply(ctx, &syncv1.DecisionsReply{}); err == nil {
		t.Fatal("replied to nobody")
	}
}
