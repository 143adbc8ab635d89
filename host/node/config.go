package node

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"time"

	"github.com/wasmesh/wasmesh/host/tlsfiles"
)

// Config is what a host is started with.
type Config struct {
	// Namespace of the mesh, and HostID, unique in it: the pod's name; standalone "<serving runtime>-<k>".
	Namespace, HostID string
	// Mesh is its name; only hosts of one mesh and namespace are peers. Zone is where this host stands, or empty.
	Mesh, Zone string
	// MeshKeyFile holds the key that the hosts of the mesh share, in hexadecimal; empty for a host that is alone.
	MeshKeyFile string
	// RuntimeType names the adapter: "mlserver", "fake"; empty is a runtime that speaks mmesh.ModelRuntime itself, and
	// RuntimeNone a gateway, which needs nothing that concerns a runtime, models or memory.
	RuntimeType string
	// ServingRuntime is the name by which catalog rows name this host's runtime.
	ServingRuntime string
	// Addresses of the runtime's management and inference endpoints: "host:port" or "unix:/path".
	RuntimeManagementAddress, RuntimeDataAddress string

	// CapacityBytes is the memory that models may take in the runtime. When the runtime states its own, the smaller holds.
	CapacityBytes int64
	// LoadingConcurrency is how many loads run at once when the runtime does not say; 0 is 1.
	LoadingConcurrency int
	// LoadingTimeout bounds one load when the runtime does not say.
	LoadingTimeout time.Duration
	// PerModelConcurrency bounds the requests that a copy takes at once, 0 not at all; a runtime may state less.
	PerModelConcurrency int
	// CopyConcurrency is how many requests a copy should have at once, at most, before there is another; 0 is
	// mesh.DefaultCopyConcurrency.
	CopyConcurrency int
	// ScaleDownAfter is for how long a copy has not been needed when it is given up; 0 is arbiter.DefaultScaleDownAfter.
	ScaleDownAfter time.Duration

	// ModelsDir is shared with the runtime; StateDir is this host's own.
	ModelsDir, StateDir string
	// DiskBudgetBytes bounds the artifact cache; 0 derives it from the filesystem.
	DiskBudgetBytes int64
	// FileRoots are directories that storage of type file may read.
	FileRoots []string
	// PVCRoot has each PersistentVolumeClaim mounted under its name; empty: there are none.
	PVCRoot string

	// Controller is the address of the sync service; empty runs from the catalog on disk alone.
	Controller string
	// CAFile holds the certificates of the mesh's authorities, PEM. With it the controller and other hosts are spoken to
	// over mutual TLS, with a certificate that the controller gives for the token in TokenFile; empty: in plain text.
	CAFile, TokenFile string
	// TLS is of the listeners for clients; its zero value is plain text.
	TLS tlsfiles.Config
	// PeersDNS is a name whose addresses are hosts of the mesh, with or without the port of gossip; empty for none.
	PeersDNS string

	// Listeners, "host:port".
	GRPCAddress, RESTAddress, MetricsAddress, HealthAddress string
	// PrestopAddress is the listener of GET /prestop, "host:port", which is answered when this host has drained and unloaded,
	// or within seconds when it does not leave; empty for none.
	PrestopAddress string
	// PeerAddress is the listener for other hosts, GossipAddress that of gossip, TCP and UDP; without use for a host that is
	// alone. AdvertiseAddress is the IP address under which others reach this host; empty: the one that it listens on, or
	// the first of this machine.
	PeerAddress, GossipAddress, AdvertiseAddress string
	// MaxMessageBytes bounds one request message, ModelMesh's grpcMaxMessageSizeBytes.
	MaxMessageBytes int64
	// MaxConnectionAge is when a client's gRPC connection is closed gracefully, so that it finds new hosts; 0 is never.
	MaxConnectionAge time.Duration
	// WaitingBudgetBytes bounds what requests that wait for a load may hold in this process.
	WaitingBudgetBytes int64
	// AccessLog has a line logged for each request of a client.
	AccessLog bool

	// HandoverOnSignal has a signal drain this host as an operator would; else it begins with the end.
	HandoverOnSignal bool
	// HandoverTimeout bounds how long copies in use are handed over to other hosts; 0 is mesh.DefaultDrainTimeout.
	HandoverTimeout time.Duration
	// DrainGrace is how long a host that has handed over goes on serving while clients find other hosts.
	DrainGrace time.Duration
	// DrainTimeout bounds how long requests in flight may take to finish when the host stops.
	DrainTimeout time.Duration
}

// RuntimeNone is the RuntimeType of a gateway.
const RuntimeNone = "none"

// Gateway reports whether the host only routes.
func (c Config) Gateway() bool { return c.RuntimeType == RuntimeNone }

// Alone reports whether the host has no peers.
func (c Config) Alone() bool { return c.MeshKeyFile == "" }

// Defaults that a flag may override.
const (
	// DefaultMaxMessageBytes is ModelMesh's default.
	DefaultMaxMessageBytes = 16 << 20
	// DefaultWaitingBudgetBytes leaves a host far below the 200 MiB that its container is given.
	DefaultWaitingBudgetBytes = 64 << 20
	// DefaultLoadingTimeout is what ModelMesh's built-in ServingRuntimes set.
	DefaultLoadingTimeout = 90 * time.Second
	// DefaultDrainTimeout keeps Ctrl-C of a standalone mesh under ten seconds.
	DefaultDrainTimeout = 5 * time.Second
	// DefaultMaxConnectionAge has clients of a headless Service find new hosts within minutes.
	DefaultMaxConnectionAge = 5 * time.Minute
	// DefaultDrainGrace is time enough for endpoints to change and for clients to resolve the service again: grpc-go does so
	// once in 30 s at most (MinResolutionInterval of its dns resolver), and may have done it just before they changed.
	DefaultDrainGrace = 40 * time.Second
	// DefaultMesh is the name of a mesh that needs none.
	DefaultMesh = "wasmesh"
)

// checkSecurity says what is wrong with what concerns TLS.
func (c Config) checkSecurity() (errs []error) {
	if (c.CAFile == "") != (c.TokenFile == "") {
		errs = append(errs, errors.New("--ca-file and --token-file are given together or not at all"))
	}
	if c.CAFile != "" && c.Controller == "" {
		errs = append(errs, errors.New("--ca-file needs --controller: it is who gives this host its certificate"))
	}
	if c.PeersDNS != "" && c.Alone() {
		errs = append(errs, errors.New("--peers-dns needs --mesh-key-file"))
	}
	if err := c.TLS.Check(); err != nil {
		errs = append(errs, err)
	}
	return errs
}

// Validate says everything that is wrong at once.
func (c Config) Validate() error {
	required := map[string]string{
		"--namespace": c.Namespace, "--host-id": c.HostID, "--state-dir": c.StateDir, "--grpc-address": c.GRPCAddress, "--rest-address": c.RESTAddress,
	}
	var errs []error
	if c.Gateway() {
		if c.Alone() {
			errs = append(errs, errors.New("--runtime=none needs --mesh-key-file: a gateway without peers reaches nobody"))
		}
	} else {
		required["--serving-runtime"], required["--models-dir"] = c.ServingRuntime, c.ModelsDir
		required["--runtime-management-address"], required["--runtime-data-address"] = c.RuntimeManagementAddress, c.RuntimeDataAddress
		if c.CapacityBytes <= 0 {
			errs = append(errs, fmt.Errorf("--capacity-bytes %d: must be more than 0", c.CapacityBytes))
		}
	}
	if !c.Alone() {
		required["--mesh"], required["--peer-address"], required["--gossip-address"] = c.Mesh, c.PeerAddress, c.GossipAddress
	}
	for _, flag := range slices.Sorted(maps.Keys(required)) {
		if required[flag] == "" {
			errs = append(errs, fmt.Errorf("%s is required", flag))
		}
	}
	errs = append(errs, c.checkSecurity()...)
	if c.AdvertiseAddress != "" && net.ParseIP(c.AdvertiseAddress) == nil {
		errs = append(errs, fmt.Errorf("--advertise-address %q: must be an IP address", c.AdvertiseAddress))
	}
	if c.PerModelConcurrency < 0 || c.CopyConcurrency < 0 {
		errs = append(errs, errors.New("--per-model-concurrency and --copy-concurrency must be at least 0"))
	}
	if c.MaxMessageBytes <= 0 || c.WaitingBudgetBytes <= 0 {
		errs = append(errs, errors.New("--max-message-bytes and --waiting-budget-bytes must be more than 0"))
	}
	return errors.Join(errs...)
}
