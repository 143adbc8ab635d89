package node

import (
	"errors"
	"fmt"
	"time"
)

// Config is what a host is started with.
type Config struct {
	// Namespace of the mesh, and HostID, unique in it: the pod's name; standalone "<serving runtime>-<k>".
	Namespace, HostID string
	// RuntimeType names the adapter: "mlserver", "fake"; empty is a runtime that speaks mmesh.ModelRuntime itself.
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

	// ModelsDir is shared with the runtime; StateDir is this host's own.
	ModelsDir, StateDir string
	// DiskBudgetBytes bounds the artifact cache; 0 derives it from the filesystem.
	DiskBudgetBytes int64
	// FileRoots are directories that storage of type file and pvc may read.
	FileRoots []string

	// Controller is the address of the sync service; empty runs from the catalog on disk alone.
	Controller string

	// Listeners, "host:port".
	GRPCAddress, RESTAddress, MetricsAddress, HealthAddress string
	// MaxMessageBytes bounds one request message, ModelMesh's grpcMaxMessageSizeBytes.
	MaxMessageBytes int64
	// WaitingBudgetBytes bounds what requests that wait for a load may hold in this process.
	WaitingBudgetBytes int64

	// DrainTimeout bounds how long requests in flight may take to finish when the host stops.
	DrainTimeout time.Duration
}

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
)

// Validate says everything that is wrong at once.
func (c Config) Validate() error {
	var errs []error
	for flag, value := range map[string]string{
		"--namespace": c.Namespace, "--host-id": c.HostID, "--serving-runtime": c.ServingRuntime, "--models-dir": c.ModelsDir,
		"--state-dir": c.StateDir, "--runtime-management-address": c.RuntimeManagementAddress,
		"--runtime-data-address": c.RuntimeDataAddress, "--grpc-address": c.GRPCAddress, "--rest-address": c.RESTAddress,
	} {
		if value == "" {
			errs = append(errs, fmt.Errorf("%s is required", flag))
		}
	}
	if c.CapacityBytes <= 0 {
		errs = append(errs, fmt.Errorf("--capacity-bytes %d: must be more than 0", c.CapacityBytes))
	}
	if c.MaxMessageBytes <= 0 || c.WaitingBudgetBytes <= 0 {
		errs = append(errs, errors.New("--max-message-bytes and --waiting-budget-bytes must be more than 0"))
	}
	return errors.Join(errs...)
}
