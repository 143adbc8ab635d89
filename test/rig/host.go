package rig

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/wasmesh/wasmesh/runtimes/fake"
	"github.com/wasmesh/wasmesh/sdk/proto/inference"
)

// Host is one wasmesh-host and its runtime. Its methods are for one goroutine at a time.
type Host struct {
	ID string
	// GRPC and REST are where clients go, Health and Metrics where operators look.
	GRPC, REST, Health, Metrics string

	mesh  *Mesh
	place Place
	// runtime is in this process, or apart in one of its own.
	runtime *fake.Server
	apart   *child
	process *child
	conn    *grpc.ClientConn
}

func (m *Mesh) newHost(k int) (*Host, error) {
	place := Place{Address: m.network + strconv.Itoa(k+1)}
	if m.config.Place != nil {
		place = m.config.Place(k)
	}
	address := place.Address
	h := &Host{
		ID: fmt.Sprintf("%s-%d", ServingRuntime, k), mesh: m, place: place,
		GRPC: address + ":8033", REST: address + ":8008", Health: address + ":8089", Metrics: address + ":2112",
	}
	var err error
	h.conn, err = grpc.NewClient("passthrough:///"+h.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20), grpc.MaxCallSendMsgSize(64<<20)))
	return h, err
}

// Runtime is the runtime beside the host, which survives the host; nil when it is a process of its own.
func (h *Host) Runtime() *fake.Server { return h.runtime }

// ObjectsOnDisk answers how many objects of models the host's disk cache holds.
func (h *Host) ObjectsOnDisk() (int, error) {
	files, err := os.ReadDir(filepath.Join(h.mesh.config.Dir, h.ID, "models", ".cache", "objects"))
	return len(files), err
}

// PID of the host.
func (h *Host) PID() int { return h.process.pid() }

// Client asks models of this host.
func (h *Host) Client() inference.GRPCInferenceServiceClient {
	return inference.NewGRPCInferenceServiceClient(h.conn)
}

// Start runs the host, and its runtime if that does not run.
func (h *Host) Start() error {
	if err := h.startRuntime(); err != nil {
		return err
	}
	dir := filepath.Join(h.mesh.config.Dir, h.ID)
	runtime, address := h.place.Address+runtimePort, h.place.Address
	args := []string{
		"--standalone", "--namespace", namespace, "--host-id", h.ID, "--runtime", "fake", "--serving-runtime", ServingRuntime,
		"--runtime-management-address", runtime, "--runtime-data-address", runtime,
		"--capacity-bytes", strconv.FormatInt(h.mesh.config.CapacityBytes, 10),
		"--loading-concurrency", strconv.Itoa(h.mesh.config.LoadsAtOnce),
		"--models-dir", filepath.Join(dir, "models"), "--state-dir", filepath.Join(dir, "state"),
		"--file-root", h.mesh.artifacts(), "--controller", h.mesh.syncAddress(),
		"--grpc-address", h.GRPC, "--rest-address", h.REST, "--metrics-address", h.Metrics, "--health-address", h.Health,
		"--peer-address", address + ":8080", "--gossip-address", address + ":11881", "--mesh-key-file", h.mesh.keyFile,
		"--handover-on-signal=false",
	}
	var err error
	h.process, err = h.run("wasmesh-host", h.ID, append(args, h.mesh.config.HostArgs...))
	return err
}

const runtimePort = ":8085"

func (h *Host) startRuntime() (err error) {
	if h.runtime != nil || h.apart != nil {
		return nil
	}
	if len(h.place.Command) > 0 {
		h.apart, err = h.run("fake-runtime", h.ID+"-runtime", []string{
			"--host", h.place.Address, "--port", runtimePort[1:], "--name", h.ID, "--exit-on-stdin-eof",
			"--capacity-bytes", strconv.FormatInt(h.mesh.config.CapacityBytes, 10),
			"--max-loading-concurrency", strconv.Itoa(h.mesh.config.LoadsAtOnce),
		})
		return err
	}
	h.runtime, err = fake.Listen(h.place.Address+runtimePort, fake.Config{
		Name: h.ID, CapacityBytes: h.mesh.config.CapacityBytes, MaxLoadingConcurrency: h.mesh.config.LoadsAtOnce,
	})
	return err
}

// run starts one of our programs where the host is.
func (h *Host) run(program, name string, args []string) (*child, error) {
	command := append(append([]string{}, h.place.Command...), filepath.Join(h.mesh.config.Bin, program))
	command = append(command, args...)
	return startChild(command[0], filepath.Join(h.mesh.config.Dir, name+".log"), command[1:]...)
}

// WaitReady returns when the host's readiness page says so.
func (h *Host) WaitReady(ctx context.Context) error {
	return poll(ctx, h.ID+" is ready", func() error { return h.readiness(ctx) })
}

// Ready reports what the readiness page says; no page is not ready.
func (h *Host) Ready(ctx context.Context) bool { return h.readiness(ctx) == nil }

func (h *Host) readiness(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+h.Health+"/ready", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("/ready answers %s", response.Status)
	}
	return nil
}

// Kill ends the host and its runtime as a lost machine does.
func (h *Host) Kill() {
	h.process.kill()
	h.StopRuntime()
}

// Exited is closed when the host's process has ended.
func (h *Host) Exited() <-chan struct{} { return h.process.ended }

// StopRuntime ends the runtime at once, as the pod of a host that has gone does.
func (h *Host) StopRuntime() {
	if h.runtime != nil {
		h.runtime.Kill()
	}
	if h.apart != nil {
		h.apart.kill()
	}
	h.runtime, h.apart = nil, nil
}

func (h *Host) stop() error {
	if h.process != nil {
		h.process.stop()
	}
	h.StopRuntime()
	return h.conn.Close()
}

// Metric sums all series of one name on the host's metrics page.
func (h *Host) Metric(ctx context.Context, name string) (float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+h.Metrics+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	sum, lines := 0.0, bufio.NewScanner(response.Body)
	for lines.Scan() {
		series, value, _ := strings.Cut(lines.Text(), " ")
		if series != name && !strings.HasPrefix(series, name+"{") {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return 0, fmt.Errorf("metric %s of %s: %w", name, h.ID, err)
		}
		sum += n
	}
	return sum, lines.Err()
}
