//go:build cluster

package kubernetes

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/wasmesh/wasmesh/sdk/proto/inference"
)

// loadVariable has a process of this test binary be a client of a mesh instead of a test: it runs in the network of the
// node, so that what resolves names and connects is the client's own, and nothing of this test's.
const loadVariable = "WASMESH_TEST_LOAD"

// loadSpec is what a client does.
type loadSpec struct {
	// Kind is the load balancing policy of grpc-go, or "curl".
	Kind string
	// Service is a name in the cluster's DNS, whose server is DNS.
	Service, DNS string
	// Models that are asked in turn, one request in Every.
	Models []string
	Every  time.Duration
}

// loadFailure is a request that failed.
type loadFailure struct {
	Sent, Ended time.Time
	Error       string
}

// loadReport is what became of the requests. Longest is the longest of those that were answered.
type loadReport struct {
	Sent    int
	Failed  []loadFailure
	Longest time.Duration
}

// loadDeadline of each request: longer than anything that is allowed to happen.
const loadDeadline = 30 * time.Second

// beClient asks until its input ends, and prints a line for the first answer and the report at the end.
func beClient(spec string) error {
	var s loadSpec
	if err := json.Unmarshal([]byte(spec), &s); err != nil {
		return fmt.Errorf("read %s: %w", loadVariable, err)
	}
	ask, err := s.asker()
	if err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, os.Stdin)
	}()
	var (
		report  loadReport
		mu      sync.Mutex // guards report
		running sync.WaitGroup
		first   sync.Once
	)
	one := func(model string) {
		sent := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), loadDeadline)
		defer cancel()
		err := ask(ctx, model)
		took := time.Since(sent)
		first.Do(func() { fmt.Println("first:", err) })
		mu.Lock()
		defer mu.Unlock()
		report.Sent++
		if err != nil {
			report.Failed = append(report.Failed, loadFailure{sent, sent.Add(took), err.Error()})
		} else {
			report.Longest = max(report.Longest, took)
		}
	}
	next := time.NewTicker(s.Every)
	defer next.Stop()
	for i := 0; ; i++ {
		select {
		case <-ended:
			running.Wait()
			return json.NewEncoder(os.Stdout).Encode(report)
		case <-next.C:
			running.Go(func() { one(s.Models[i%len(s.Models)]) })
		}
	}
}

func (s loadSpec) asker() (func(ctx context.Context, model string) error, error) {
	if s.Kind == "curl" {
		return s.curl, nil
	}
	// As an application in the cluster writes it, but that it says where DNS is: the machine's is another.
	conn, err := grpc.NewClient("dns://"+s.DNS+"/"+s.Service+":8033", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(fmt.Sprintf(`{"loadBalancingConfig": [{%q: {}}]}`, s.Kind)))
	if err != nil {
		return nil, err
	}
	client := inference.NewGRPCInferenceServiceClient(conn)
	return func(ctx context.Context, model string) error {
		_, err := askModel(ctx, client, model)
		return err
	}, nil
}

// curl resolves the name anew each time, as every process does, and is told all of its addresses.
func (s loadSpec) curl(ctx context.Context, model string) error {
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, s.DNS)
	}}
	addresses, err := resolver.LookupHost(ctx, s.Service+".")
	if err != nil {
		return err
	}
	c := exec.CommandContext(ctx, "curl", "-sS", "--fail-with-body", "--resolve", s.Service+":8008:"+strings.Join(addresses, ","),
		"-H", "Content-Type: application/json", "-d", `{"inputs": [{"name": "x", "datatype": "INT64", "shape": [1], "data": [8]}]}`,
		"http://"+s.Service+":8008/v2/models/"+model+"/infer")
	out, err := c.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	if !bytes.Contains(out, []byte("outputs")) {
		return errors.New(string(out))
	}
	return nil
}
