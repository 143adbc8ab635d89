package peers

import (
	"context"
	"crypto/x509"

	"google.golang.org/grpc/codes"
	transport "google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/wasmesh/wasmesh/host/peers/gossip"
	"github.com/wasmesh/wasmesh/host/peers/link"
	"github.com/wasmesh/wasmesh/sdk/meshcert"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
)

// certifiedStream holds the greeting of a follower against its certificate: the token proves the namespace only, and two
// pods of it must not take each other's place.
type certifiedStream struct {
	link.Stream
	peers *Peers
}

// Recv implements link.Stream.
func (s *certifiedStream) Recv() (*peerv1.LinkRequest, error) {
	request, err := s.Stream.Recv()
	if err != nil || request.GetHello() == nil {
		return request, err
	}
	cert := certificateOf(s.Context())
	if cert == nil {
		s.peers.metrics.refused(refusedToken)
		return nil, status.Error(codes.Unauthenticated, "the caller showed no certificate: hosts of this mesh have one")
	}
	if err := meshcert.IsHost(cert, s.peers.config.Namespace, request.GetHello().GetHostId()); err != nil {
		s.peers.metrics.refused(string(gossip.RefusedIdentity))
		return nil, status.Errorf(codes.PermissionDenied, "the host greets as %q: %v", request.GetHello().GetHostId(), err)
	}
	return request, nil
}

// certificateOf is what the caller has shown and TLS has verified; nil for none.
func certificateOf(ctx context.Context) *x509.Certificate {
	caller, ok := peer.FromContext(ctx)
	if !ok {
		return nil
	}
	info, ok := caller.AuthInfo.(transport.TLSInfo)
	if !ok || len(info.State.PeerCertificates) == 0 {
		return nil
	}
	return info.State.PeerCertificates[0]
}
