package ingress

import (
	"context"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/peer"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"

	"github.com/wasmesh/wasmesh/sdk/proto/inference"
)

func TestLocalServices(t *testing.T) {
	m := newMesh(t, Config{Version: "1.2.3"}, targetAt("127.0.0.1:1"))
	ctx := t.Context()
	if got, err := m.infer.ServerLive(ctx, &inference.ServerLiveRequest{}); err != nil || !got.Live {
		t.Errorf("live: %v %v", got, err)
	}
	if got, err := m.infer.ServerMetadata(ctx, &inference.ServerMetadataRequest{}); err != nil || got.Version != "1.2.3" || got.Name != "wasmesh" {
		t.Errorf("metadata: %v %v", got, err)
	}
	health := healthv1.NewHealthClient(m.conn)
	for _, ready := range []bool{false, true} {
		m.table.setReady(ready)
		want := healthv1.HealthCheckResponse_NOT_SERVING
		if ready {
			want = healthv1.HealthCheckResponse_SERVING
		}
		if got, err := m.infer.ServerReady(ctx, &inference.ServerReadyRequest{}); err != nil || got.Ready != ready {
			t.Errorf("ready %v: %v %v", ready, got, err)
		}
		for _, service := range []string{"", "inference.GRPCInferenceService"} {
			if got, err := health.Check(ctx, &healthv1.HealthCheckRequest{Service: service}); err != nil || got.Status != want {
				t.Errorf("health of %q: %v %v", service, got, err)
			}
		}
	}
	if _, err := health.Check(ctx, &healthv1.HealthCheckRequest{Service: "other"}); status.Code(err) != codes.NotFound {
		t.Errorf("health of an unknown service: %v", err)
	}
	for name, want := range map[string]codes.Code{"digits": codes.OK, "bad": codes.OK, "nobody": codes.NotFound} {
		got, err := m.infer.ModelReady(ctx, &inference.ModelReadyRequest{Name: name})
		if status.Code(err) != want || got.GetReady() != (name == "digits") {
			t.Errorf("model %s ready: %v %v", name, got, err)
		}
	}
	m.table.setReady(false)
	if _, err := m.infer.ModelReady(ctx, &inference.ModelReadyRequest{Name: "nobody"}); status.Code(err) != codes.Unavailable {
		t.Errorf("model ready before the catalog is complete: %v", err)
	}
	if n := m.copies.acquires.Load(); n != 0 {
		t.Errorf("%d loads for questions", n)
	}
}

func TestReflection(t *testing.T) {
	m := newMesh(t, Config{}, targetAt("127.0.0.1:1"))
	stream, err := reflectionv1.NewServerReflectionClient(m.conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	stream.Send(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_FileContainingSymbol{
		FileContainingSymbol: "inference.GRPCInferenceService.ModelInfer"}})
	got, err := stream.Recv()
	if err != nil || len(got.GetFileDescriptorResponse().GetFileDescriptorProto()) == 0 {
		t.Errorf("got %v %v", got, err)
	}
}

func TestShutdownFinishesWhatIsInFlight(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	target, _ := (&runtimeServer{infer: func(context.Context, *inference.ModelInferRequest) (*inference.ModelInferResponse, error) {
		close(entered)
		<-leave
		return &inference.ModelInferResponse{Id: "last"}, nil
	}}).start(t)
	m := newMesh(t, Config{}, target)
	watch, err := healthv1.NewHealthClient(m.dial(t)).Watch(t.Context(), &healthv1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := watch.Recv(); err != nil || got.Status != healthv1.HealthCheckResponse_SERVING {
		t.Fatalf("health before: %v %v", got, err)
	}
	answered := make(chan error, 1)
	go func() {
		_, err := m.infer.ModelInfer(context.Background(), &inference.ModelInferRequest{ModelName: "digits"})
		answered <- err
	}()
	<-entered
	stopped := make(chan error, 1)
	go func() { stopped <- m.Shutdown(context.Background()) }()
	if got, err := watch.Recv(); err != nil || got.Status != healthv1.HealthCheckResponse_NOT_SERVING {
		t.Errorf("health while stopping: %v %v", got, err)
	}
	if m.Ready() {
		t.Error("ready while stopping")
	}
	select {
	case err := <-stopped:
		t.Fatalf("stopped with a request in flight: %v", err)
	default:
	}
	close(leave)
	if err := <-answered; err != nil {
		t.Errorf("the request in flight: %v", err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("shutdown: %v", err)
	}
	late := m.dial(t)
	if _, err := inference.NewGRPCInferenceServiceClient(late).ServerLive(t.Context(), &inference.ServerLiveRequest{}); status.Code(err) != codes.Unavailable {
		t.Errorf("a call after shutdown: %v", err)
	}
}

func TestShutdownBreaksOffWhenOutOfTime(t *testing.T) {
	entered := make(chan struct{})
	target, _ := (&runtimeServer{infer: func(ctx context.Context, _ *inference.ModelInferRequest) (*inference.ModelInferResponse, error) {
		close(entered)
		<-ctx.Done()
		return nil, ctx.Err()
	}}).start(t)
	m := newMesh(t, Config{}, target)
	answered := make(chan error, 1)
	go func() {
		_, err := m.infer.ModelInfer(context.Background(), &inference.ModelInferRequest{ModelName: "digits"})
		answered <- err
	}()
	<-entered
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.Shutdown(ctx); err == nil {
		t.Error("no error although a request was in flight")
	}
	if err := <-answered; status.Code(err) != codes.Unavailable {
		t.Errorf("the request in flight: %v", err)
	}
}

func TestOldConnectionsAreClosedWithoutAFailedRequest(t *testing.T) {
	const enough, most = 3, 10_000
	target, _ := (&runtimeServer{}).start(t)
	m := newMesh(t, Config{MaxConnectionAge: time.Nanosecond}, target)
	connections := make(map[string]bool)
	for range most {
		var p peer.Peer
		if _, err := m.infer.ModelInfer(t.Context(), &inference.ModelInferRequest{ModelName: "digits"}, grpc.Peer(&p)); err != nil {
			t.Fatal(err)
		}
		if connections[p.LocalAddr.String()] = true; len(connections) == enough {
			return
		}
	}
	t.Errorf("%d requests went over %d connections", most, len(connections))
}

// A client that has nobody else comes back at once to a server that drains: not with every request.
func TestConnectionsWhileDraining(t *testing.T) {
	target, _ := (&runtimeServer{}).start(t)
	m := newMesh(t, Config{}, target)
	var connections []string
	ask := func() {
		t.Helper()
		var p peer.Peer
		if _, err := m.infer.ModelInfer(t.Context(), &inference.ModelInferRequest{ModelName: "digits"}, grpc.Peer(&p)); err != nil {
			t.Fatal(err)
		}
		if last := p.LocalAddr.String(); !slices.Contains(connections, last) {
			connections = append(connections, last)
		}
	}
	ask()
	m.Drain()
	// Until the client has been told, and has opened another.
	for range 10_000 {
		if ask(); len(connections) > 1 {
			break
		}
	}
	for range 100 {
		ask()
	}
	if len(connections) != 2 {
		t.Errorf("requests went over the connections %v, want one before and one after", connections)
	}
	since := *m.drainingSince.Load()
	for _, c := range []struct {
		born, now time.Duration
		want      bool
	}{{-time.Second, 0, true}, {time.Second, time.Second, false}, {time.Second, time.Second + drainingConnectionAge + 1, true}} {
		if got := m.retired(since.Add(c.born), since.Add(c.now)); got != c.want {
			t.Errorf("born %v and %v after: retired %v, want %v", c.born, c.now, got, c.want)
		}
	}
}

func TestMetrics(t *testing.T) {
	target, _ := (&runtimeServer{}).start(t)
	m := newMesh(t, Config{}, target)
	m.infer.ModelInfer(t.Context(), &inference.ModelInferRequest{ModelName: "digits"})
	m.infer.ModelInfer(t.Context(), &inference.ModelInferRequest{ModelName: "nobody"})
	m.raw(t, "/some.Service/Other", nil, nil)
	m.infer.ServerLive(t.Context(), &inference.ServerLiveRequest{})
	counts := func(name string) map[string]uint64 {
		found := map[string]uint64{}
		for _, metric := range m.gather(t, name) {
			key := ""
			for _, label := range metric.GetLabel() {
				key += label.GetName() + "=" + label.GetValue() + " "
			}
			found[key] = metric.GetHistogram().GetSampleCount()
		}
		return found
	}
	ok, missing, other := "code=OK method="+inferMethod+" ", "code=NOT_FOUND method="+inferMethod+" ", "code=INVALID_ARGUMENT method=other "
	for _, name := range []string{"modelmesh_api_request_milliseconds", "modelmesh_request_size_bytes", "modelmesh_response_size_bytes"} {
		if got := counts(name); got[ok] != 1 || got[missing] != 1 || got[other] != 1 || len(got) != 3 {
			t.Errorf("%s: %v", name, got)
		}
	}
	if got := counts("modelmesh_invoke_model_milliseconds"); got[ok] != 1 || len(got) != 1 {
		t.Errorf("invocations: %v", got)
	}
	if got := m.gather(t, "wasmesh_requests_in_flight")[0].GetGauge().GetValue(); got != 0 {
		t.Errorf("%v requests in flight", got)
	}
}
