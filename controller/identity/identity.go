// Package identity is the certificate authority of the mesh in a cluster, and its shared secrets.
//
// An Authority keeps the mesh's own authority in Secret wasmesh-ca of the controller's namespace, makes it when it is
// absent, and replaces it before it ends: a successor is trusted by everybody before it signs, and the one before is
// trusted until everything that it signed has ended (authorities.go). It signs the key of a host against a token that the
// API server says is of a pod of a namespace with a mesh (issue.go), has the sync service take only what comes from the
// host that it is of (admit.go), and gives each namespace with a mesh ConfigMap wasmesh-ca, what to trust, and Secret
// wasmesh-mesh-key, with which hosts encrypt gossip and which is rotated (meshkey.go).
//
// Those two stay when a namespace ceases to have a mesh, and go with the namespace. Hosts that are still leaving need them;
// to know afterwards, perhaps after a restart, where there are any to remove takes leave to list Secrets everywhere.
//
// A certificate is not taken back: it ends a day after it was issued, and with the pod at the latest, which has its key in
// memory only. None is issued for a pod that has gone: the API server does not accept its token any more.
//
// Invariant: a private key leaves this process for Secret wasmesh-ca only, and nothing secret is ever logged.
//
// Package cluster owns one Authority, on the replica that leads; hosts are its clients (host/identity).
package identity

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"sigs.k8s.io/controller-runtime/pkg/client"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// Names of the objects that are kept, and of their keys.
const (
	// CASecret, in the controller's namespace, has the authorities and their keys.
	CASecret = "wasmesh-ca"
	// CAConfigMap, in each namespace with a mesh, has what to trust below CAKey.
	CAConfigMap = "wasmesh-ca"
	CAKey       = "ca.crt"
	// MeshKeySecret, in each namespace with a mesh, has the mesh's keys below MeshKeyKey: 64 hexadecimal digits a line. The
	// first is used; more are accepted while one replaces another.
	MeshKeySecret = "wasmesh-mesh-key"
	MeshKeyKey    = "key"

	// DefaultService is the name of the controller's Service.
	DefaultService = "wasmesh-controller"
)

// Client is what is needed of the API server; client.Client of controller-runtime is one. It must not cache: a Secret that
// is read here is read by name, and a cache would need leave to list all of them.
type Client interface {
	Get(ctx context.Context, key client.ObjectKey, object client.Object, options ...client.GetOption) error
	Create(ctx context.Context, object client.Object, options ...client.CreateOption) error
	Update(ctx context.Context, object client.Object, options ...client.UpdateOption) error
}

// Config of an Authority.
type Config struct {
	// Namespace is the controller's own.
	Namespace string
	// Service is the name of the controller's Service, in the serving certificate; empty is DefaultService.
	Service string
	// Client reads and writes Secrets and ConfigMaps by name, and creates TokenReviews.
	Client Client
	Logger *slog.Logger
	// Metrics may be nil.
	Metrics prometheus.Registerer
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Authority implements syncv1.IdentityServiceServer. Its methods may be called from any goroutine.
type Authority struct {
	syncv1.UnimplementedIdentityServiceServer
	config  Config
	logger  *slog.Logger
	metrics *metrics
	// reviews bounds the TokenReviews under way: whoever reaches the port may ask for one.
	reviews chan struct{}
	wake    chan struct{}
	ready   chan struct{}
	isReady sync.Once
	// namespaces with a mesh; nil before SetNamespaces.
	namespaces atomic.Pointer[[]string]
	// present is nil until the Secret has been read or made.
	present atomic.Pointer[present]
}

// New makes an Authority, which does nothing before Run.
func New(config Config) (*Authority, error) {
	if config.Namespace == "" || config.Client == nil || config.Logger == nil {
		return nil, errors.New("identity: namespace, client and logger are required")
	}
	config.Service = cmp.Or(config.Service, DefaultService)
	if config.Now == nil {
		config.Now = time.Now
	}
	metrics, err := newMetrics(config.Metrics)
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}
	return &Authority{
		config: config, logger: config.Logger, metrics: metrics, reviews: make(chan struct{}, maxReviews),
		wake: make(chan struct{}, 1), ready: make(chan struct{}),
	}, nil
}

// SetNamespaces says which namespaces have a mesh. They are given what they need soon; before the first call no host is
// given a certificate.
func (a *Authority) SetNamespaces(namespaces []string) {
	sorted := slices.Compact(slices.Sorted(slices.Values(namespaces)))
	if old := a.namespaces.Swap(&sorted); old == nil || !slices.Equal(*old, sorted) {
		a.recheck()
	}
}

// recheck has Run look at all objects again.
func (a *Authority) recheck() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// Ready is closed when there is an authority and a serving certificate.
func (a *Authority) Ready() <-chan struct{} { return a.ready }

// Register adds IdentityService to a server, which must be the one that ServerOptions are for.
func (a *Authority) Register(server grpc.ServiceRegistrar) {
	syncv1.RegisterIdentityServiceServer(server, a)
}

// meshIn reports whether the namespace has a mesh; known is false before that can be said.
func (a *Authority) meshIn(namespace string) (has, known bool) {
	namespaces := a.namespaces.Load()
	if namespaces == nil {
		return false, false
	}
	_, has = slices.BinarySearch(*namespaces, namespace)
	return has, true
}
