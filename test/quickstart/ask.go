package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/wasmesh/wasmesh/sdk/cmd/wasmesh/process"
)

// answerTimeout bounds the wait for the first answer: starting the runtime and loading the model take seconds.
const answerTimeout = 3 * time.Minute

var (
	wasmesh     = filepath.Join("bin", "wasmesh")
	restRequest = filepath.Join("docs", "examples", "quickstart-requests", "input-rest.json")
	grpcRequest = filepath.Join("docs", "examples", "quickstart-requests", "input-grpc.json")
)

// ask sends the tutorial's request over REST, as soon as the mesh takes it, and over gRPC, and prints the answers.
func ask(ctx context.Context, c config, out io.Writer) error {
	ctx, cancel := context.WithTimeoutCause(ctx, answerTimeout, fmt.Errorf("no answer within %s", answerTimeout))
	defer cancel()
	started := time.Now()
	answer, err := askREST(ctx, c)
	if err != nil {
		return fmt.Errorf("REST request: %w", err)
	}
	fmt.Fprintf(out, "\nREST answer, %.1f s after the start of the mesh:\n%s\n", time.Since(started).Seconds(), answer)
	if answer, err = askGRPC(ctx, c); err != nil {
		return fmt.Errorf("gRPC request: %w", err)
	}
	fmt.Fprintf(out, "\ngRPC answer:\n%s\n", answer)
	return nil
}

// errNotYet says that the mesh is not ready to take the request, but may be later.
var errNotYet = errors.New("not ready")

// askREST repeats the request until the mesh has come up. The mesh itself makes it wait while the model loads.
func askREST(ctx context.Context, c config) (string, error) {
	body, err := os.ReadFile(restRequest)
	if err != nil {
		return "", err
	}
	url := "http://" + c.restAddress + "/v2/models/" + model + "/infer"
	for {
		answer, err := post(ctx, url, body)
		if !errors.Is(err, errNotYet) {
			return answer, err
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("%w; the last attempt: %v", context.Cause(ctx), err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func post(ctx context.Context, url string, body []byte) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errNotYet, err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	said := strings.TrimSpace(string(answer))
	switch response.StatusCode {
	case http.StatusOK:
		return said, nil
	case http.StatusNotFound, http.StatusServiceUnavailable: // no catalog, or no host, yet
		return "", fmt.Errorf("%w: %s: %s", errNotYet, response.Status, said)
	default:
		return "", fmt.Errorf("%s: %s", response.Status, said)
	}
}

// askGRPC sends the request with our own command line.
func askGRPC(ctx context.Context, c config) (string, error) {
	cmd := exec.Command(wasmesh, "infer", model, "-f", grpcRequest, "--grpc", "--data-dir", c.dataDir)
	var answer, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &answer, &complaint
	p, err := process.Start(cmd)
	if err != nil {
		return "", err
	}
	select {
	case <-p.Done():
	case <-ctx.Done():
		p.Stop(0)
		return "", context.Cause(ctx)
	}
	if p.Err() != nil {
		return "", fmt.Errorf("%s: %s", strings.Join(cmd.Args, " "), strings.TrimSpace(complaint.String()))
	}
	return strings.TrimSpace(answer.String()), nil
}

// byHand are lines to paste into another terminal, at the top of the clone.
func byHand(c config) string {
	mesh := ""
	if c.dataDir != defaultDataDir {
		mesh = " --data-dir " + c.dataDir
	}
	return fmt.Sprintf(`
Try, in another terminal:
  %[1]s get isvc%[2]s
  %[1]s describe isvc %[3]s%[2]s
  %[1]s infer %[3]s -f %[5]s%[2]s
  curl http://%[4]s/v2/models/%[3]s/infer -d @%[5]s
  make tool-grpcurl
  bin/tools/grpcurl -plaintext -import-path sdk/proto -proto inference/inference.proto -d @ \
    %[6]s inference.GRPCInferenceService.ModelInfer < %[7]s
Edits of %[8]s are taken up; what becomes of a changed model is told here.
The mesh stays up until Ctrl-C.
`, wasmesh, mesh, model, c.restAddress, restRequest, c.grpcAddress, grpcRequest, c.sources.String())
}
