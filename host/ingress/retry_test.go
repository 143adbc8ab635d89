package ingress

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/wasmesh/wasmesh/host/forward"
	"github.com/wasmesh/wasmesh/host/route"
	"github.com/wasmesh/wasmesh/sdk/proto/inference"
)

// nobody is the address of a server that refuses connections.
func nobody(t *testing.T) forward.Target {
	l := listen(t)
	l.Close()
	return targetAt(l.Addr().String())
}

func TestRefusedConnectionIsTriedAgain(t *testing.T) {
	alive, _ := (&runtimeServer{}).start(t)
	m := newMesh(t, Config{}, nobody(t))
	m.copies.load = func(_ context.Context, _ string, call int) (forward.Target, error) {
		if call < 3 {
			return m.copies.target, nil
		}
		return alive, nil
	}
	// 8 MiB: nothing of it is kept, but nothing of it was taken from the client either.
	got, err := m.infer.ModelInfer(t.Context(), &inference.ModelInferRequest{ModelName: "digits", RawInputContents: [][]byte{make([]byte, 8<<20)}})
	if err != nil || got.ModelName != "digits__isvc-1" {
		t.Fatalf("got %v %v", got, err)
	}
	if n := m.copies.suspects.Load(); n != 3 {
		t.Errorf("the runtime was suspected %d times, want 3", n)
	}
	if got := m.outcomes(t); got["served"] != 1 || len(got) != 1 {
		t.Errorf("outcomes %v", got)
	}
}

func TestRefusedForEver(t *testing.T) {
	m := newMesh(t, Config{}, nobody(t))
	_, err := m.infer.ModelInfer(t.Context(), &inference.ModelInferRequest{ModelName: "digits"})
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "connect to") {
		t.Errorf("got %v", err)
	}
	if got := m.outcomes(t); got["no_host"] != 1 {
		t.Errorf("outcomes %v", got)
	}
}

func TestForgottenModel(t *testing.T) {
	calls := 0
	target, _ := (&runtimeServer{infer: func(_ context.Context, r *inference.ModelInferRequest) (*inference.ModelInferResponse, error) {
		if calls++; calls < 3 {
			return nil, status.Error(codes.NotFound, "Model digits__isvc-1 with version  not found")
		}
		return &inference.ModelInferResponse{ModelName: r.ModelName, RawOutputContents: r.RawInputContents}, nil
	}}).start(t)
	m := newMesh(t, Config{}, target)
	m.copies.forgot.Store(true)
	payload := noise(60 << 10)
	got, err := m.infer.ModelInfer(t.Context(), &inference.ModelInferRequest{ModelName: "digits", RawInputContents: [][]byte{payload}})
	if err != nil || !bytes.Equal(got.RawOutputContents[0], payload) {
		t.Fatalf("a request that is kept must be sent again whole: %v", err)
	}
	if m.copies.forgots.Load() != 2 || m.copies.acquires.Load() != 2 {
		t.Errorf("asked %d times, loaded %d times; want 2 and 2", m.copies.forgots.Load(), m.copies.acquires.Load())
	}

	// Too large to be kept: the client has to send it again.
	calls = 0
	_, err = m.infer.ModelInfer(t.Context(), &inference.ModelInferRequest{ModelName: "digits", RawInputContents: [][]byte{noise(1 << 20)}})
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "loaded again") {
		t.Errorf("large request: %v", err)
	}

	// The runtime has the model, so NOT_FOUND means something else to it.
	calls = 0
	m.copies.forgot.Store(false)
	_, err = m.infer.ModelInfer(t.Context(), &inference.ModelInferRequest{ModelName: "digits"})
	if status.Code(err) != codes.NotFound || !strings.Contains(err.Error(), "with version") {
		t.Errorf("the runtime's own NOT_FOUND: %v", err)
	}
}

func TestForgottenModelInAnOpenStream(t *testing.T) {
	// The client has not ended its side; what it sends next must not be lost to an attempt that is over.
	target, _ := (&runtimeServer{stream: func(_ string, stream grpc.ServerStream) error {
		if err := stream.RecvMsg(&inference.ModelInferRequest{}); err != nil {
			return err
		}
		return status.Error(codes.NotFound, "no such model")
	}}).start(t)
	m := newMesh(t, Config{}, target)
	m.copies.forgot.Store(true)
	stream, err := m.conn.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/"+inferenceService+"ModelStreamInfer")
	if err != nil {
		t.Fatal(err)
	}
	stream.SendMsg(&inference.ModelInferRequest{ModelName: "digits"})
	if err := stream.RecvMsg(&inference.ModelInferResponse{}); status.Code(err) != codes.Unavailable {
		t.Errorf("got %v, want UNAVAILABLE: the client can retry", err)
	}
	if m.copies.forgots.Load() == 0 {
		t.Error("the runtime was not asked")
	}
}

func TestRuntimeKilledInFlight(t *testing.T) {
	entered := make(chan struct{})
	target, server := (&runtimeServer{infer: func(ctx context.Context, _ *inference.ModelInferRequest) (*inference.ModelInferResponse, error) {
		close(entered)
		<-ctx.Done()
		return nil, ctx.Err()
	}}).start(t)
	m := newMesh(t, Config{}, target)
	go func() { <-entered; server.Stop() }()
	_, err := m.infer.ModelInfer(t.Context(), &inference.ModelInferRequest{ModelName: "digits"})
	if status.Code(err) != codes.Unavailable {
		t.Errorf("got %v", err)
	}
	if got := m.outcomes(t); got["interrupted"] != 1 || m.copies.acquires.Load() != 0 {
		t.Errorf("outcomes %v, %d acquires: a request that may have been acted on must not be sent again", got, m.copies.acquires.Load())
	}
}

func TestRuntimeKilledInTheMiddleOfItsAnswer(t *testing.T) {
	target, server := (&runtimeServer{stream: func(_ string, stream grpc.ServerStream) error {
		stream.SendMsg(&inference.ModelReadyRequest{Name: "first"})
		<-stream.Context().Done()
		return nil
	}}).start(t)
	m := newMesh(t, Config{}, target)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "mm-vmodel-id", "digits")
	stream, err := m.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/custom.Service/Watch")
	if err != nil {
		t.Fatal(err)
	}
	stream.SendMsg(&inference.ModelReadyRequest{})
	stream.CloseSend()
	if err := stream.RecvMsg(&inference.ModelReadyRequest{}); err != nil {
		t.Fatal(err)
	}
	server.Stop()
	if err := stream.RecvMsg(&inference.ModelReadyRequest{}); status.Code(err) != codes.Unavailable {
		t.Errorf("got %v", err)
	}
}

func TestModelSwitchedWhileARequestWaits(t *testing.T) {
	target, _ := (&runtimeServer{}).start(t)
	m := newMesh(t, Config{}, target)
	m.copies.loaded.Store(false)
	m.copies.load = func(_ context.Context, id string, _ int) (forward.Target, error) {
		if id == "digits__isvc-1" {
			m.table.point("digits", "digits__isvc-2")
			return forward.Target{}, route.Errorf(route.UnknownModel, "model %s is gone", id)
		}
		return target, nil
	}
	got, err := m.infer.ModelInfer(t.Context(), &inference.ModelInferRequest{ModelName: "digits"})
	if err != nil || got.ModelName != "digits__isvc-2" {
		t.Errorf("got %v %v, want an answer of the new model", got, err)
	}
}

func TestLoadFailureSaysWhy(t *testing.T) {
	m := newMesh(t, Config{}, forward.Target{})
	m.copies.loaded.Store(false)
	m.copies.load = func(context.Context, string, int) (forward.Target, error) {
		return forward.Target{}, route.Errorf(route.LoadFailed, "not a joblib; next attempt in 10s")
	}
	_, err := m.infer.ModelInfer(t.Context(), &inference.ModelInferRequest{ModelName: "digits"})
	if status.Code(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "not a joblib") {
		t.Errorf("got %v", err)
	}
}

func TestBeforeTheCatalogIsComplete(t *testing.T) {
	target, _ := (&runtimeServer{}).start(t)
	m := newMesh(t, Config{}, target)
	m.table.setReady(false)
	_, err := m.infer.ModelInfer(t.Context(), &inference.ModelInferRequest{ModelName: "nobody"})
	if status.Code(err) != codes.Unavailable {
		t.Errorf("an unknown name before the catalog is complete: %v", err)
	}
	if _, err := m.infer.ModelInfer(t.Context(), &inference.ModelInferRequest{ModelName: "digits"}); err != nil {
		t.Errorf("a known one: %v", err)
	}
}

func TestClientGoesAway(t *testing.T) {
	entered, left := make(chan struct{}), make(chan struct{})
	target, _ := (&runtimeServer{infer: func(ctx context.Context, _ *inference.ModelInferRequest) (*inference.ModelInferResponse, error) {
		close(entered)
		<-ctx.Done()
		close(left)
		return nil, ctx.Err()
	}}).start(t)
	m := newMesh(t, Config{}, target)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-entered; cancel() }()
	if _, err := m.infer.ModelInfer(ctx, &inference.ModelInferRequest{ModelName: "digits"}); status.Code(err) != codes.Canceled {
		t.Errorf("got %v", err)
	}
	<-left // the runtime is told, so that it can stop working
	waitFor(t, func() bool { return m.outcomes(t)["cancelled"] == 1 })
}

func TestClientGoesAwayWhileItWaits(t *testing.T) {
	m := newMesh(t, Config{}, forward.Target{})
	m.copies.loaded.Store(false)
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error, 1)
	m.copies.load = func(ctx context.Context, _ string, _ int) (forward.Target, error) {
		cancel()
		<-ctx.Done()
		left <- ctx.Err()
		return forward.Target{}, ctx.Err()
	}
	m.infer.ModelInfer(ctx, &inference.ModelInferRequest{ModelName: "digits", RawInputContents: [][]byte{make([]byte, 1<<20)}})
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	waitFor(t, func() bool { return m.outcomes(t)["cancelled"] == 1 })
}

func TestServerStreamThatTheClientLeaves(t *testing.T) {
	left := make(chan struct{})
	target, _ := (&runtimeServer{stream: func(_ string, stream grpc.ServerStream) error {
		defer close(left)
		for {
			if err := stream.SendMsg(&inference.ModelReadyRequest{Name: strings.Repeat("x", 10_000)}); err != nil {
				return err
			}
		}
	}}).start(t)
	m := newMesh(t, Config{}, target)
	ctx, cancel := context.WithCancel(metadata.AppendToOutgoingContext(t.Context(), "mm-vmodel-id", "digits"))
	stream, err := m.conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/custom.Service/Watch")
	if err != nil {
		t.Fatal(err)
	}
	stream.SendMsg(&inference.ModelReadyRequest{})
	stream.CloseSend()
	if err := stream.RecvMsg(&inference.ModelReadyRequest{}); err == io.EOF {
		t.Fatal("no message")
	}
	cancel()
	<-left
}
