package main

import (
	"github.com/spf13/pflag"

	"github.com/wasmesh/wasmesh/host/arbiter"
	"github.com/wasmesh/wasmesh/host/mesh"
	"github.com/wasmesh/wasmesh/host/node"
	"github.com/wasmesh/wasmesh/host/tlsfiles"
	"github.com/wasmesh/wasmesh/sdk/logs"
)

// processOptions concern the process, not the host.
type processOptions struct {
	standalone bool
	logs       logs.Options
}

func bindFlags(flags *pflag.FlagSet, c *node.Config, o *processOptions) {
	flags.StringVar(&c.Namespace, "namespace", "default", "namespace of the mesh")
	flags.StringVar(&c.HostID, "host-id", "", "name of this host, unique in the mesh: the pod's name")
	flags.StringVar(&c.Mesh, "mesh", node.DefaultMesh, "name of the mesh")
	flags.StringVar(&c.MeshKeyFile, "mesh-key-file", "", "file with the mesh's key, 64 hexadecimal digits; empty for a host that is alone")
	flags.StringVar(&c.Zone, "zone", "", "zone that this host stands in; copies are spread over zones")
	flags.StringVar(&c.RuntimeType, "runtime", "", "built-in adapter to drive the runtime with; empty for mmesh.ModelRuntime; none for a gateway")
	flags.StringVar(&c.ServingRuntime, "serving-runtime", "", "name of the ServingRuntime beside this host")
	flags.StringVar(&c.RuntimeManagementAddress, "runtime-management-address", "", "where models are loaded: host:port or unix:/path")
	flags.StringVar(&c.RuntimeDataAddress, "runtime-data-address", "", "where requests go: host:port or unix:/path")
	flags.Int64Var(&c.CapacityBytes, "capacity-bytes", 0, "memory that models may take in the runtime")
	flags.IntVar(&c.LoadingConcurrency, "loading-concurrency", 0, "loads at once, when the runtime does not say; 0 is 1")
	flags.DurationVar(&c.LoadingTimeout, "loading-timeout", node.DefaultLoadingTimeout, "bound of one load, when the runtime does not say")
	flags.IntVar(&c.PerModelConcurrency, "per-model-concurrency", 0, "requests that a copy takes at once; more wait; 0 is no bound")
	flags.IntVar(&c.CopyConcurrency, "copy-concurrency", mesh.DefaultCopyConcurrency, "requests at a copy above which there is to be another")
	flags.DurationVar(&c.ScaleDownAfter, "scale-down-after", arbiter.DefaultScaleDownAfter, "how long a copy is not needed before it is given up")
	flags.StringVar(&c.ModelsDir, "models-dir", "/models", "directory of model files, shared with the runtime")
	flags.StringVar(&c.StateDir, "state-dir", "", "directory of the catalog and of the host's epoch")
	flags.Int64Var(&c.DiskBudgetBytes, "disk-budget-bytes", 0, "bound of the artifact cache; 0 derives it from the filesystem")
	flags.StringArrayVar(&c.FileRoots, "file-root", nil, "directory that storage of type file may read (repeatable)")
	flags.StringVar(&c.PVCRoot, "pvc-root", "", "directory with each PersistentVolumeClaim mounted under its name; empty for none")
	flags.StringVar(&c.Controller, "controller", "", "address of the controller's sync service")
	flags.StringVar(&c.CAFile, "ca-file", "", "authorities of the mesh, PEM: the controller and other hosts are spoken to over mutual TLS")
	flags.StringVar(&c.TokenFile, "token-file", "", "ServiceAccount token, audience \"wasmesh\", that the controller gives a certificate for")
	flags.StringVar(&c.PeersDNS, "peers-dns", "", "name whose addresses are hosts of the mesh: NAME or NAME:PORT of gossip")
	flags.StringVar(&c.GRPCAddress, "grpc-address", ":8033", "gRPC listener")
	flags.StringVar(&c.RESTAddress, "rest-address", ":8008", "REST listener")
	flags.StringVar(&c.MetricsAddress, "metrics-address", ":2112", "Prometheus listener; empty for none")
	flags.StringVar(&c.HealthAddress, "health-address", ":8089", "listener of /live and /ready; empty for none")
	flags.StringVar(&c.PrestopAddress, "prestop-address", "", "listener of /prestop, answered when this host has drained and unloaded, or soon if it stays; empty for none")
	flags.StringVar(&c.TLS.CertFile, "tls-cert-file", "", "certificate of the gRPC and REST listeners, PEM, read again when it changes; empty for plain text")
	flags.StringVar(&c.TLS.KeyFile, "tls-key-file", "", "key of --tls-cert-file, PEM")
	flags.StringVar(&c.TLS.ClientCAFile, "tls-client-ca-file", "", "authorities of clients' certificates, PEM; empty for --tls-cert-file if it is its own")
	flags.StringVar(&c.TLS.ClientAuth, "tls-client-auth", tlsfiles.None, "certificates of clients: none, optional or require")
	flags.BoolVar(&c.AccessLog, "access-log", false, "log a line for each request")
	flags.StringVar(&c.PeerAddress, "peer-address", ":8080", "listener for other hosts")
	flags.StringVar(&c.GossipAddress, "gossip-address", ":11881", "listener of gossip, TCP and UDP")
	flags.StringVar(&c.AdvertiseAddress, "advertise-address", "", "IP address under which others reach this host; empty for where it listens")
	flags.Int64Var(&c.MaxMessageBytes, "max-message-bytes", node.DefaultMaxMessageBytes, "bound of one request message")
	flags.Int64Var(&c.WaitingBudgetBytes, "waiting-budget-bytes", node.DefaultWaitingBudgetBytes, "bound of what waiting requests hold in memory")
	flags.DurationVar(&c.MaxConnectionAge, "max-connection-age", node.DefaultMaxConnectionAge, "when a client's gRPC connection is closed, so that it finds new hosts; 0 is never")
	flags.DurationVar(&c.DrainTimeout, "drain-timeout", node.DefaultDrainTimeout, "bound of finishing what is in flight when stopping")
	flags.BoolVar(&c.HandoverOnSignal, "handover-on-signal", true, "on SIGTERM, have other hosts load the copies in use before stopping")
	flags.DurationVar(&c.HandoverTimeout, "handover-timeout", mesh.DefaultDrainTimeout, "bound of handing copies over")
	flags.DurationVar(&c.DrainGrace, "drain-grace", node.DefaultDrainGrace, "how long to go on serving after that, while clients find other hosts")
	flags.BoolVar(&o.standalone, "standalone", false, "run under `wasmesh up`: end when standard input does")
	o.logs.Bind(flags)
}
