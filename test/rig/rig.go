// Package rig runs a whole mesh for measurements: the controller and the hosts are the shipped programs, each a process
// of its own on a loopback address of its own, and beside each host is a fake runtime in this process, so that whoever
// measures can count what the runtimes themselves saw. Invariant: everything that Start began has ended when Stop
// returns. Called by test/bench and test/chaos.
package rig

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/wasmesh/wasmesh/runtimes/fake"
	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
)

// Config of a mesh.
type Config struct {
	// Bin is the directory of the programs: make build.
	Bin string
	// Dir is for data, and must be empty.
	Dir string
	// Hosts is how many there are from the start.
	Hosts int
	// CapacityBytes of each host's runtime, which states it and refuses loads beyond.
	CapacityBytes int64
	// LoadsAtOnce of each runtime; 0 is 4.
	LoadsAtOnce int
	Models      []Model
	// HostArgs are further arguments of every host.
	HostArgs []string
	// Place puts host k somewhere else than on an address of the loopback; nil is there.
	Place func(k int) Place
}

// Place is where a host runs.
type Place struct {
	// Address, without port, that it and its runtime listen on.
	Address string
	// Command is put before theirs, such as "ip netns exec NAME". With one, the runtime is a process too: the program
	// fake-runtime, whose counters are its own.
	Command []string
}

// Model is an InferenceService over an artifact of the fake runtime.
type Model struct {
	Name     string
	Artifact fake.Artifact
	// Annotations are added to those that every model has.
	Annotations map[string]string
}

// Mesh is a running mesh.
type Mesh struct {
	config     Config
	controller *child
	conn       *grpc.ClientConn
	hosts      []*Host
	// network is the first part of the addresses, "127.a.b.".
	network string
	keyFile string
}

const (
	startTimeout = 60 * time.Second
	stopGrace    = 10 * time.Second
	namespace    = "default"
	// ServingRuntime is the name of the hosts' runtime.
	ServingRuntime = "fake-1.x"
)

// networks counts the meshes of this process.
var networks atomic.Uint32

// Start runs a mesh and returns when every host takes requests and knows all others.
func Start(ctx context.Context, config Config) (*Mesh, error) {
	if config.LoadsAtOnce == 0 {
		config.LoadsAtOnce = 4
	}
	pid, n := os.Getpid(), networks.Add(1)
	m := &Mesh{
		config:  config,
		network: fmt.Sprintf("127.%d.%d.", 2+pid%250, 1+(pid/250+int(n)*16)%250),
		keyFile: filepath.Join(config.Dir, "mesh.key"),
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := m.start(ctx); err != nil {
		return nil, errors.Join(err, m.Stop())
	}
	return m, nil
}

func (m *Mesh) start(ctx context.Context) error {
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return err
	}
	if err := os.WriteFile(m.keyFile, []byte(hex.EncodeToString(key)+"\n"), 0o600); err != nil {
		return fmt.Errorf("write mesh key: %w", err)
	}
	if err := m.writeObjects(); err != nil {
		return err
	}
	if err := m.startController(); err != nil {
		return err
	}
	for k := range m.config.Hosts {
		h, err := m.newHost(k)
		if err != nil {
			return err
		}
		m.hosts = append(m.hosts, h)
		if err := h.Start(); err != nil {
			return err
		}
	}
	for _, h := range m.hosts {
		if err := h.WaitReady(ctx); err != nil {
			return err
		}
	}
	return m.waitCatalog(ctx)
}

func (m *Mesh) startController() error {
	data := filepath.Join(m.config.Dir, "controller")
	var err error
	m.controller, err = startChild(filepath.Join(m.config.Bin, "wasmesh-controller"), filepath.Join(m.config.Dir, "controller.log"),
		"--data-dir", data, "--source", m.sources(), "--sync-address", m.syncAddress(), "--exit-on-stdin-eof")
	if err != nil {
		return err
	}
	m.conn, err = grpc.NewClient("unix:"+filepath.Join(data, "run", "admin.sock"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	return err
}

func (m *Mesh) sources() string     { return filepath.Join(m.config.Dir, "objects") }
func (m *Mesh) syncAddress() string { return "unix:" + filepath.Join(m.config.Dir, "sync.sock") }

// Admin is the controller's service for people.
func (m *Mesh) Admin() adminv1.AdminServiceClient { return adminv1.NewAdminServiceClient(m.conn) }

// Hosts are those that were there from the start and those that were added, by number.
func (m *Mesh) Hosts() []*Host { return m.hosts }

// Add starts one more host, and returns when it is ready.
func (m *Mesh) Add(ctx context.Context) (*Host, error) {
	h, err := m.newHost(len(m.hosts))
	if err != nil {
		return nil, err
	}
	m.hosts = append(m.hosts, h)
	if err := h.Start(); err != nil {
		return nil, err
	}
	return h, h.WaitReady(ctx)
}

// waitCatalog returns when every host has the newest catalog and knows of the others.
func (m *Mesh) waitCatalog(ctx context.Context) error {
	return poll(ctx, "every host has the catalog", func() error {
		reply, err := m.Admin().ListHosts(ctx, &adminv1.ListHostsRequest{})
		if err != nil {
			return err
		}
		if len(reply.GetHosts()) < m.config.Hosts {
			return fmt.Errorf("%d hosts have connected", len(reply.GetHosts()))
		}
		models, err := m.Admin().ListModels(ctx, &adminv1.ListModelsRequest{})
		if err != nil {
			return err
		}
		if len(models.GetModels()) < len(m.config.Models) {
			return fmt.Errorf("the catalog has %d of %d models", len(models.GetModels()), len(m.config.Models))
		}
		for _, h := range reply.GetHosts() {
			if h.GetAcked() == nil || h.GetAcked().GetSequence() != reply.GetHosts()[0].GetAcked().GetSequence() {
				return fmt.Errorf("%s has not acknowledged", h.GetHello().GetHostId())
			}
		}
		return nil
	})
}

// poll repeats a check until it holds.
func poll(ctx context.Context, what string, check func() error) error {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := check()
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("%s: %w: %w", what, ctx.Err(), err)
		}
	}
}

// Loads is how many loads all runtimes together have begun since they were started.
func (m *Mesh) Loads() (loads int) {
	for _, h := range m.hosts {
		loads += h.Runtime().Calls().Loads
	}
	return loads
}

// Stop ends everything.
func (m *Mesh) Stop() error {
	var errs []error
	for _, h := range m.hosts {
		errs = append(errs, h.stop())
	}
	if m.conn != nil {
		errs = append(errs, m.conn.Close())
	}
	if m.controller != nil {
		m.controller.stop()
	}
	return errors.Join(errs...)
}
