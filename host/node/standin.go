package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"google.golang.org/grpc"

	"github.com/wasmesh/wasmesh/host/catalog"
	"github.com/wasmesh/wasmesh/host/members"
	"github.com/wasmesh/wasmesh/host/mesh"
	"github.com/wasmesh/wasmesh/host/policies"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// standIn has the peers stand in for the controller: they have the catalog and the modules of policies too.
type standIn struct{ peers mesh.Peers }

// others are the live peers, those with the newest catalog first.
func (s standIn) others() []*members.Member {
	view := s.peers.View()
	var others []*members.Member
	all := view.All()
	for i := range all {
		if m := &all[i]; m.Live && m != view.Self() {
			others = append(others, m)
		}
	}
	slices.SortStableFunc(others, func(a, b *members.Member) int { return catalog.Compare(b.Catalog, a.Catalog) })
	return others
}

// maxCatalogUpdates bounds what is taken from a peer: a million rows.
const maxCatalogUpdates = 1000

// Catalog implements catalog.Peers.
func (s standIn) Catalog(ctx context.Context, have *syncv1.Version) ([]*syncv1.Update, error) {
	var errs []error
	for _, peer := range s.others() {
		if catalog.Compare(peer.Catalog, have) <= 0 {
			break
		}
		updates, err := s.catalogOf(ctx, peer.ID, have)
		if err == nil {
			return updates, nil
		}
		errs = append(errs, fmt.Errorf("ask host %s for its catalog: %w", peer.ID, err))
	}
	return nil, errors.Join(errs...)
}

func (s standIn) catalogOf(ctx context.Context, host string, have *syncv1.Version) ([]*syncv1.Update, error) {
	client, err := s.peers.Client(host)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := client.GetCatalog(ctx, &peerv1.GetCatalogRequest{Have: have})
	if err != nil {
		return nil, err
	}
	var updates []*syncv1.Update
	for {
		update, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return updates, nil
		}
		if err != nil {
			return nil, err
		}
		if updates = append(updates, update); len(updates) > maxCatalogUpdates {
			return nil, fmt.Errorf("more than %d updates", maxCatalogUpdates)
		}
	}
}

// blobs has modules of policies from the controller, and from peers while it is away.
type blobs struct {
	// controller may be nil.
	controller policies.Blobs
	// peers answers those that are made after the policies.
	peers func() mesh.Peers
}

// GetBlob implements policies.Blobs.
func (b *blobs) GetBlob(ctx context.Context, request *syncv1.GetBlobRequest, options ...grpc.CallOption) (grpc.ServerStreamingClient[syncv1.GetBlobResponse], error) {
	var errs []error
	if b.controller != nil {
		stream, err := begun(b.controller.GetBlob(ctx, request, options...))
		if err == nil {
			return stream, nil
		}
		errs = append(errs, err)
	}
	peers := b.peers()
	for _, peer := range (standIn{peers}).others() {
		client, err := peers.Client(peer.ID)
		if err != nil {
			continue
		}
		stream, err := begun(client.GetBlob(ctx, request, options...))
		if err == nil {
			return stream, nil
		}
	}
	return nil, cmp.Or(errors.Join(errs...), errors.New("no peer has the module, and there is no controller"))
}

// blobStream gives first again.
type blobStream struct {
	grpc.ServerStreamingClient[syncv1.GetBlobResponse]
	first *syncv1.GetBlobResponse
}

// begun waits for the first message: only then it is known whether the other side has the module.
func begun(stream grpc.ServerStreamingClient[syncv1.GetBlobResponse], err error) (grpc.ServerStreamingClient[syncv1.GetBlobResponse], error) {
	if err != nil {
		return nil, err
	}
	first, err := stream.Recv()
	if err != nil {
		return nil, err
	}
	return &blobStream{stream, first}, nil
}

// Recv implements grpc.ServerStreamingClient.
func (s *blobStream) Recv() (*syncv1.GetBlobResponse, error) {
	if first := s.first; first != nil {
		s.first = nil
		return first, nil
	}
	return s.ServerStreamingClient.Recv()
}
