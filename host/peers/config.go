package peers

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"

	"github.com/wasmesh/wasmesh/host/members"
	"github.com/wasmesh/wasmesh/host/peers/gossip"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// Config says who this host is and how the others reach it.
type Config struct {
	// Mesh and Namespace: only hosts of the same ones are peers.
	Mesh, Namespace string
	// HostID is unique in the mesh. Epoch grows with every start of the host of this id; of two, the higher lives.
	HostID string
	Epoch  uint64
	// Started is when the host came up; it decides between two of one id and one epoch.
	Started time.Time
	// Runtime is the ServingRuntime beside the host, empty for a gateway; Zone may be empty.
	Runtime, Zone string
	// Gateway: the host routes and waits, and never holds copies.
	Gateway bool
	// PeerAddress takes calls of other hosts, GRPCAddress and RESTAddress those of clients: as others reach them,
	// "host:port".
	PeerAddress, GRPCAddress, RESTAddress string
	// GossipAddress is where gossip is bound, TCP and UDP of one port; port 0 takes a free one. GossipAdvertise is how
	// others reach it, with an IP address; empty: as it is bound, which then must not be to all addresses. A port of 0 in
	// it stands for the one that was bound.
	GossipAddress, GossipAdvertise string
	// Key is the secret of the mesh, 32 bytes.
	Key []byte
	// DNS is "name:port" of gossip, a name whose addresses are hosts of the mesh; empty for none. It is looked up while
	// somebody is missing.
	DNS string
	// StateDir keeps the peers that were seen, for a restart without a controller; empty: they are not kept.
	StateDir        string
	SoftwareVersion string
	// PeerTLS is what to connect with to the host of an id, which then has to prove that it is that one; whoever serves
	// Server does so over TLS too. Nil: the token alone says who is a peer.
	PeerTLS func(host string) *tls.Config
	// Transport carries gossip, and Dial makes connections to peer addresses; nil for the network.
	Transport memberlist.Transport
	Dial      func(ctx context.Context, address string) (net.Conn, error)
	// Lookup answers the IP addresses of a name; nil asks the machine's resolver.
	Lookup func(ctx context.Context, name string) ([]string, error)
}

// Deps are what a Peers works with.
type Deps struct {
	Listener Listener
	Handler  Handler
	Logger   *slog.Logger
	Metrics  prometheus.Registerer
}

// Listener hears of changes, from one goroutine and in order: it must return quickly. View and Table may be ahead of what
// it was told, never behind.
type Listener interface {
	MembersChanged(*members.View)
	// CopiesChanged names models whose copies, or their states, have changed, in no order.
	CopiesChanged(keys []uint64)
}

// Handler answers the calls of other hosts. They have proved to know the key of the mesh.
type Handler interface {
	Place(context.Context, *peerv1.PlaceRequest) (*peerv1.PlaceResponse, error)
	Reserve(context.Context, *peerv1.ReserveRequest) (*peerv1.ReserveResponse, error)
	Release(context.Context, *peerv1.ReleaseRequest) (*peerv1.ReleaseResponse, error)
	Report(context.Context, *peerv1.ReportRequest) (*peerv1.ReportResponse, error)
	GetBlob(*syncv1.GetBlobRequest, grpc.ServerStreamingServer[syncv1.GetBlobResponse]) error
	GetCatalog(*peerv1.GetCatalogRequest, grpc.ServerStreamingServer[syncv1.Update]) error
}

// Seed is a host that may be part of the mesh.
type Seed struct {
	// ID of the host; empty when only an address is known, which may then be the name of many.
	ID string
	// Gossip and Peer are its addresses, "host:port"; either may be empty.
	Gossip, Peer string
}

// ErrSuperseded: another host of the same id and a higher epoch is part of the mesh. Two of them would each answer for
// what the other holds, so this one has to exit.
var ErrSuperseded = errors.New("another host with this id and a higher epoch has joined the mesh: give each host an id of its own, or stop the older one")

// NotLiveError: the host that was to be called is not there, or not at the moment.
type NotLiveError struct {
	Host string
}

// Error implements error.
func (e *NotLiveError) Error() string {
	return fmt.Sprintf("host %s is not connected: ask another", e.Host)
}

func (c Config) check() error {
	switch {
	case c.Mesh == "" || c.Namespace == "" || c.HostID == "":
		return errors.New("peers: mesh, namespace and host id are required")
	case len(c.Key) != KeySize:
		return fmt.Errorf("peers: the key of the mesh has %d bytes, want %d", len(c.Key), KeySize)
	case c.PeerAddress == "":
		return errors.New("peers: the address for other hosts is required")
	}
	return nil
}

// node is what gossip says of this host.
func (c Config) node() gossip.Node {
	return gossip.Node{
		ID: c.HostID, Epoch: c.Epoch, Started: c.Started.UnixMilli(), Runtime: c.Runtime, Zone: c.Zone, Gateway: c.Gateway,
		PeerAddress: c.PeerAddress, GRPCAddress: c.GRPCAddress, RESTAddress: c.RESTAddress,
	}
}

func (c Config) hello() *peerv1.LinkHello {
	return &peerv1.LinkHello{
		Mesh: c.Mesh, Namespace: c.Namespace, HostId: c.HostID, Epoch: c.Epoch, Runtime: c.Runtime, Zone: c.Zone,
		GrpcAddress: c.GRPCAddress, RestAddress: c.RESTAddress, SoftwareVersion: c.SoftwareVersion, Gateway: c.Gateway,
		StartedMs: c.Started.UnixMilli(),
	}
}
