package peers

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"github.com/wasmesh/wasmesh/host/peers/gossip"
	"github.com/wasmesh/wasmesh/host/peers/link"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// Sizes of connections between hosts. There is one to each, so they are small; windows hold a snapshot's messages.
const (
	bufferSize       = 4 << 10
	streamWindow     = 256 << 10
	connectionWindow = 1 << 20
)

func (p *Peers) newServer() *grpc.Server {
	server := grpc.NewServer(
		grpc.ReadBufferSize(bufferSize), grpc.WriteBufferSize(bufferSize),
		grpc.InitialWindowSize(streamWindow), grpc.InitialConnWindowSize(connectionWindow),
		// Beats find who is silent; this frees a connection whose follower is not even there to be written to.
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: link.Patience, Timeout: link.Patience}),
		grpc.UnaryInterceptor(p.authenticateUnary), grpc.StreamInterceptor(p.authenticateStream),
	)
	peerv1.RegisterPeerServiceServer(server, &service{peers: p})
	return server
}

// service is PeerService: Link is ours, the rest the Handler's.
type service struct {
	peerv1.UnimplementedPeerServiceServer
	peers *Peers
}

func (s *service) Link(stream link.Stream) error {
	if s.peers.config.PeerTLS != nil {
		stream = &certifiedStream{Stream: stream, peers: s.peers}
	}
	return s.peers.links.Serve(s.peers.ctx, stream)
}

func (s *service) Place(ctx context.Context, r *peerv1.PlaceRequest) (*peerv1.PlaceResponse, error) {
	return s.peers.deps.Handler.Place(ctx, r)
}

func (s *service) Reserve(ctx context.Context, r *peerv1.ReserveRequest) (*peerv1.ReserveResponse, error) {
	return s.peers.deps.Handler.Reserve(ctx, r)
}

func (s *service) Release(ctx context.Context, r *peerv1.ReleaseRequest) (*peerv1.ReleaseResponse, error) {
	return s.peers.deps.Handler.Release(ctx, r)
}

func (s *service) Report(ctx context.Context, r *peerv1.ReportRequest) (*peerv1.ReportResponse, error) {
	return s.peers.deps.Handler.Report(ctx, r)
}

func (s *service) GetBlob(r *syncv1.GetBlobRequest, stream grpc.ServerStreamingServer[syncv1.GetBlobResponse]) error {
	return s.peers.deps.Handler.GetBlob(r, stream)
}

func (s *service) GetCatalog(r *peerv1.GetCatalogRequest, stream grpc.ServerStreamingServer[syncv1.Update]) error {
	return s.peers.deps.Handler.GetCatalog(r, stream)
}

// admit decides about who wants to follow this host.
func (p *Peers) admit(hello *peerv1.LinkHello) error {
	if !gossip.ValidID(hello.GetHostId()) {
		p.metrics.refused(string(gossip.RefusedMalformed))
		return status.Error(codes.InvalidArgument, "the greeting has no valid host id")
	}
	if hello.GetHostId() == p.config.HostID {
		p.metrics.refused(string(gossip.RefusedIdentity))
		p.meetNamesake(hello, "")
		return status.Errorf(codes.AlreadyExists, "this host is %s itself, with epoch %d", p.config.HostID, p.config.Epoch)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.hosts[hello.GetHostId()]
	if h == nil || !h.listed && h.seed == "" {
		p.meetStranger(hello.GetHostId())
	}
	if h == nil {
		return nil
	}
	if h.listed && hello.GetEpoch() < h.node.Epoch {
		p.metrics.refused(string(gossip.RefusedIdentity))
		return status.Errorf(codes.AlreadyExists, "host %s has been here with the higher epoch %d", h.id, h.node.Epoch)
	}
	// Whoever reaches us can probably be reached.
	if !h.live {
		h.poke()
	}
	return nil
}

// meetNamesake compares this host with another of its id, and says whether that is this one itself.
func (p *Peers) meetNamesake(hello *peerv1.LinkHello, address string) (self bool) {
	own := p.config.node()
	other := gossip.Node{ID: hello.GetHostId(), Epoch: hello.GetEpoch(), Started: hello.GetStartedMs(), PeerAddress: address}
	if other.Epoch == own.Epoch && other.Started == own.Started {
		return true
	}
	if other.NewerThan(own) {
		p.supersede(other)
	}
	return false
}
