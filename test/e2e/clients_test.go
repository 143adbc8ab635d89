package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/wasmesh/wasmesh/sdk/proto/inference"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// grpcClient is a client of the mesh's gRPC listener with its own connection.
func (m *mesh) grpcClient() inference.GRPCInferenceServiceClient {
	m.t.Helper()
	conn, err := grpc.NewClient(m.grpc, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20), grpc.MaxCallSendMsgSize(64<<20)))
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { conn.Close() })
	return inference.NewGRPCInferenceServiceClient(conn)
}

// echo is a request with one input of so many bytes; the fake runtime answers it back.
func echo(model string, size int) *inference.ModelInferRequest {
	return &inference.ModelInferRequest{
		ModelName:        model,
		Inputs:           []*inference.ModelInferRequest_InferInputTensor{{Name: "x", Datatype: "UINT8", Shape: []int64{int64(size)}}},
		RawInputContents: [][]byte{make([]byte, size)},
	}
}

// infer sends a small request and checks that the model of that name answered.
func infer(ctx context.Context, client inference.GRPCInferenceServiceClient, name string) (*inference.ModelInferResponse, error) {
	response, err := client.ModelInfer(ctx, echo(name, 8))
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(response.GetModelName(), name+"__") {
		return nil, fmt.Errorf("asked %s, answered by %q", name, response.GetModelName())
	}
	return response, nil
}

// post sends a REST request and answers status and body.
func (m *mesh) post(path, contentType string, body []byte) (int, string) {
	m.t.Helper()
	request, err := http.NewRequestWithContext(m.t.Context(), http.MethodPost, "http://"+m.rest+path, bytes.NewReader(body))
	if err != nil {
		m.t.Fatal(err)
	}
	request.Header.Set("Content-Type", contentType)
	return do(m.t, request)
}

func (m *mesh) get(path string) (int, string) {
	m.t.Helper()
	request, err := http.NewRequestWithContext(m.t.Context(), http.MethodGet, "http://"+m.rest+path, nil)
	if err != nil {
		m.t.Fatal(err)
	}
	return do(m.t, request)
}

func do(t *testing.T, request *http.Request) (int, string) {
	t.Helper()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// errorOf reads the V2 error body.
func errorOf(t *testing.T, body string) string {
	t.Helper()
	var answer struct{ Error string }
	if err := json.Unmarshal([]byte(body), &answer); err != nil || answer.Error == "" {
		t.Fatalf("body %q is not a V2 error", body)
	}
	return answer.Error
}

// metrics reads a host's Prometheus page: series, labels included, to value.
func (m *mesh) metrics(host string) (map[string]float64, error) {
	request, err := http.NewRequestWithContext(m.t.Context(), http.MethodGet, "http://"+m.process(host).Ports["metrics"]+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	series := make(map[string]float64)
	for line := range strings.Lines(string(body)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		var value float64
		name, rest, ok := strings.Cut(strings.TrimSpace(line), "} ")
		if ok {
			name += "}"
		} else if name, rest, ok = strings.Cut(strings.TrimSpace(line), " "); !ok {
			continue
		}
		if _, err := fmt.Sscanf(rest, "%g", &value); err == nil {
			series[name] = value
		}
	}
	return series, nil
}

// sum adds all series of one metric.
func sum(series map[string]float64, name string) float64 {
	total := 0.0
	for key, value := range series {
		if key == name || strings.HasPrefix(key, name+"{") {
			total += value
		}
	}
	return total
}
