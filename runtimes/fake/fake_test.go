package fake_test

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"reflect"
	"runtime"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/wasmesh/wasmesh/runtimes/fake"
	"github.com/wasmesh/wasmesh/sdk/proto/inference"
	"github.com/wasmesh/wasmesh/sdk/proto/mmesh"
)

type bench struct {
	*fake.Server
	ctx        context.Context
	management mmesh.ModelRuntimeClient
	data       inference.GRPCInferenceServiceClient
}

func start(t *testing.T, config fake.Config) *bench {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	server, err := fake.Listen("127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Kill)
	conn, err := grpc.NewClient("passthrough:///"+server.Address(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(fake.DefaultMaxMessageBytes)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &bench{
		Server: server, ctx: ctx,
		management: mmesh.NewModelRuntimeClient(conn),
		data:       inference.NewGRPCInferenceServiceClient(conn),
	}
}

// write stores an artifact and answers its path.
func write(t *testing.T, a fake.Artifact) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), fake.ArtifactName)
	if err := a.WriteFile(path); err != nil {
		t.Fatal(err)
	}
	return path
}

func (b *bench) load(id, path string) (*mmesh.LoadModelResponse, error) {
	return b.management.LoadModel(b.ctx, &mmesh.LoadModelRequest{ModelId: id, ModelPath: path})
}

func (b *bench) unload(id string) error {
	_, err := b.management.UnloadModel(b.ctx, &mmesh.UnloadModelRequest{ModelId: id})
	return err
}

func wantCode(t *testing.T, what string, err error, want codes.Code) {
	t.Helper()
	if status.Code(err) != want {
		t.Errorf("%s: %v; want code %v", what, err, want)
	}
}

func TestArtifactProgramsTheLoad(t *testing.T) {
	b := start(t, fake.Config{DefaultModelBytes: 1000})
	response, err := b.load("stated", filepath.Dir(write(t, fake.Artifact{SizeBytes: 5000, MaxConcurrency: 3})))
	if err != nil || response.GetSizeInBytes() != 5000 || response.GetMaxConcurrency() != 3 {
		t.Errorf("load = %v, %v; want size 5000 and concurrency 3", response, err)
	}
	if response, err = b.load("default", write(t, fake.Artifact{})); err != nil || response.GetSizeInBytes() != 1000 {
		t.Errorf("load = %v, %v; want the default size 1000", response, err)
	}
	_, err = b.load("failing", write(t, fake.Artifact{Fail: "out of cheese"}))
	if wantCode(t, "load of a failing model", err, codes.Internal); status.Convert(err).Message() != "out of cheese" {
		t.Errorf("message %q", status.Convert(err).Message())
	}
	_, err = b.load("absent", filepath.Join(t.TempDir(), "absent.json"))
	wantCode(t, "load of a missing file", err, codes.Internal)
	b.FailNextLoad(status.Error(codes.ResourceExhausted, "as told"))
	_, err = b.load("told", write(t, fake.Artifact{}))
	wantCode(t, "load that was told to fail", err, codes.ResourceExhausted)
	if _, err = b.load("told", write(t, fake.Artifact{})); err != nil {
		t.Errorf("load after the one that was told to fail: %v", err)
	}
	if got, want := b.Loaded(), []string{"default", "stated", "told"}; !reflect.DeepEqual(got, want) {
		t.Errorf("loaded %v; want %v", got, want)
	}
	if calls := b.Calls(); calls.Loads != 6 || calls.LoadsDone != 3 || calls.Bytes != 7000 {
		t.Errorf("calls %+v; want 6 loads, 3 done, 7000 bytes", calls)
	}
}

func TestCapacityIsKeptAndBreachesAreCounted(t *testing.T) {
	b := start(t, fake.Config{CapacityBytes: 2500})
	path := write(t, fake.Artifact{SizeBytes: 1000})
	for _, id := range []string{"a", "b"} {
		if _, err := b.load(id, path); err != nil {
			t.Fatal(err)
		}
	}
	_, err := b.load("c", path)
	wantCode(t, "load beyond the capacity", err, codes.ResourceExhausted)
	if err := b.unload("a"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.load("c", path); err != nil {
		t.Errorf("load after an unload: %v", err)
	}
	if calls := b.Calls(); calls.OverCapacity != 1 || calls.PeakBytes != 2000 || calls.Bytes != 2000 {
		t.Errorf("calls %+v; want 1 over capacity, 2000 bytes now and at most", calls)
	}
	wantCode(t, "unload of an unknown model", b.unload("a"), codes.NotFound)
}

func TestLoadsWaitForTheirTurn(t *testing.T) {
	b := start(t, fake.Config{MaxLoadingConcurrency: 2})
	release := b.HoldLoads()
	path := write(t, fake.Artifact{})
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			if _, err := b.load(fmt.Sprint(i), path); err != nil {
				t.Error(err)
			}
		})
	}
	for i := range 6 {
		if err := b.WaitLoading(b.ctx, fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	if loaded := b.Loaded(); len(loaded) > 0 {
		t.Errorf("%v loaded while loads are held", loaded)
	}
	release()
	wg.Wait()
	if calls := b.Calls(); calls.PeakLoading != 2 || calls.LoadsDone != 6 {
		t.Errorf("calls %+v; want 6 loads done, at most 2 at once", calls)
	}
}

// TestUnloadEndsALoad: ModelMesh may unload what it has just begun to load.
func TestUnloadEndsALoad(t *testing.T) {
	b := start(t, fake.Config{})
	defer b.HoldLoads()()
	ended := make(chan error, 1)
	go func() {
		_, err := b.load("m", write(t, fake.Artifact{}))
		ended <- err
	}()
	if err := b.WaitLoading(b.ctx, "m"); err != nil {
		t.Fatal(err)
	}
	_, err := b.load("m", write(t, fake.Artifact{}))
	wantCode(t, "second load of a model that loads", err, codes.FailedPrecondition)
	if err := b.unload("m"); err != nil {
		t.Fatal(err)
	}
	wantCode(t, "load that was unloaded", <-ended, codes.Canceled)
	if calls := b.Calls(); calls.Bytes != 0 {
		t.Errorf("%d bytes are still taken", calls.Bytes)
	}
}

func TestRuntimeStatusPurges(t *testing.T) {
	b := start(t, fake.Config{CapacityBytes: 1 << 30, MaxLoadingConcurrency: 3, LoadTimeout: 7 * time.Second})
	if _, err := b.load("m", write(t, fake.Artifact{})); err != nil {
		t.Fatal(err)
	}
	said, err := b.management.RuntimeStatus(b.ctx, &mmesh.RuntimeStatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if said.GetStatus() != mmesh.RuntimeStatusResponse_READY || said.GetCapacityInBytes() != 1<<30 ||
		said.GetMaxLoadingConcurrency() != 3 || said.GetModelLoadingTimeoutMs() != 7000 {
		t.Errorf("status %v", said)
	}
	if loaded := b.Loaded(); len(loaded) > 0 {
		t.Errorf("%v still loaded after READY", loaded)
	}
	_, err = b.data.ModelInfer(b.ctx, &inference.ModelInferRequest{ModelName: "m"})
	wantCode(t, "inference on a purged model", err, codes.NotFound)
	_, err = b.data.ModelReady(b.ctx, &inference.ModelReadyRequest{Name: "m"})
	wantCode(t, "readiness of a purged model", err, codes.NotFound)
}

func TestInferEchoes(t *testing.T) {
	b := start(t, fake.Config{Name: "copy-7"})
	if _, err := b.load("m", write(t, fake.Artifact{})); err != nil {
		t.Fatal(err)
	}
	request := &inference.ModelInferRequest{
		ModelName: "m", Id: "42",
		Inputs: []*inference.ModelInferRequest_InferInputTensor{
			{Name: "x", Datatype: "INT64", Shape: []int64{2}, Contents: &inference.InferTensorContents{Int64Contents: []int64{3, 4}}},
		},
	}
	response, err := b.data.ModelInfer(b.ctx, request)
	if err != nil {
		t.Fatal(err)
	}
	output := response.GetOutputs()[0]
	if response.GetModelName() != "m" || response.GetId() != "42" || response.GetParameters()["server"].GetStringParam() != "copy-7" ||
		output.GetName() != "x" || !reflect.DeepEqual(output.GetContents().GetInt64Contents(), []int64{3, 4}) {
		t.Errorf("typed answer %v", response)
	}
	request.Inputs[0].Contents = nil
	request.RawInputContents = [][]byte{bytes.Repeat([]byte{1}, 16)}
	if response, err = b.data.ModelInfer(b.ctx, request); err != nil {
		t.Fatal(err)
	}
	if response.GetOutputs()[0].GetContents() != nil || !reflect.DeepEqual(response.GetRawOutputContents(), request.RawInputContents) {
		t.Errorf("raw answer %v", response)
	}
}

func TestUnloadInFlightIsCounted(t *testing.T) {
	b := start(t, fake.Config{ServiceTime: time.Hour})
	if _, err := b.load("m", write(t, fake.Artifact{})); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.ctx)
	ended := make(chan error, 1)
	go func() {
		_, err := b.data.ModelInfer(ctx, &inference.ModelInferRequest{ModelName: "m"})
		ended <- err
	}()
	for b.Calls().Infers == 0 {
		runtime.Gosched()
	}
	if err := b.unload("m"); err != nil {
		t.Fatal(err)
	}
	if calls := b.Calls(); calls.UnloadedInFlight != 1 {
		t.Errorf("calls %+v; want one unload in flight", calls)
	}
	cancel()
	wantCode(t, "inference given up", <-ended, codes.Canceled)
}

// TestLargeRequestsDoNotPileUp: large requests are served few at a time, and small ones are not held up by them.
func TestLargeRequestsDoNotPileUp(t *testing.T) {
	const large = 24 // more than the server reads at once
	b := start(t, fake.Config{})
	if _, err := b.load("slow", write(t, fake.Artifact{ServiceMS: fake.Milliseconds(3_600_000)})); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, 1<<20)
	ctx, cancel := context.WithCancel(b.ctx)
	var wg sync.WaitGroup
	for range large {
		wg.Go(func() {
			_, err := b.data.ModelInfer(ctx, &inference.ModelInferRequest{ModelName: "slow", RawInputContents: [][]byte{body}})
			wantCode(t, "large request given up", err, codes.Canceled)
		})
	}
	for b.Calls().Infers < 8 {
		runtime.Gosched()
	}
	if _, err := b.data.ServerReady(b.ctx, &inference.ServerReadyRequest{}); err != nil {
		t.Errorf("ServerReady beside large requests: %v", err)
	}
	if got := b.Calls().Infers; got != 8 {
		t.Errorf("%d large requests are in memory; want 8", got)
	}
	cancel()
	wg.Wait()
	if _, err := b.load("m", write(t, fake.Artifact{})); err != nil {
		t.Fatal(err)
	}
	eight := make([]byte, 8<<20)
	response, err := b.data.ModelInfer(b.ctx, &inference.ModelInferRequest{ModelName: "m", RawInputContents: [][]byte{eight}})
	if err != nil || len(response.GetRawOutputContents()[0]) != len(eight) {
		t.Errorf("8 MiB echo afterwards: %v", err)
	}
}

func TestManySmallRequestsAtOnce(t *testing.T) {
	b := start(t, fake.Config{ServiceTime: time.Hour})
	if _, err := b.load("m", write(t, fake.Artifact{})); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.ctx)
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() { _, _ = b.data.ModelInfer(ctx, &inference.ModelInferRequest{ModelName: "m"}) })
	}
	for b.Calls().Infers < 200 {
		if b.ctx.Err() != nil {
			t.Fatalf("only %d of 200 small requests are served at once", b.Calls().Infers)
		}
		runtime.Gosched()
	}
	cancel()
	wg.Wait()
}

func TestCrashOnLoad(t *testing.T) {
	b := start(t, fake.Config{})
	_, err := b.load("m", write(t, fake.Artifact{CrashOnLoad: true}))
	wantCode(t, "load that crashes the server", err, codes.Unavailable)
	_, err = b.data.ServerReady(b.ctx, &inference.ServerReadyRequest{})
	wantCode(t, "call after the crash", err, codes.Unavailable)
}
