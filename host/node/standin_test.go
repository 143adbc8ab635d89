package node

import (
	"context"
	"errors"
	"io"
	"reflect"
	"testing"

	"google.golang.org/grpc"

	"github.com/wasmesh/wasmesh/host/catalog"
	"github.com/wasmesh/wasmesh/host/members"
	"github.com/wasmesh/wasmesh/host/mesh"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// peersWith are peers that each have a catalog of one version, or fail; and perhaps a module.
type peersWith struct {
	mesh.Peers
	view    *members.View
	clients map[string]*peerClient
	asked   []string
}

type peerClient struct {
	peerv1.PeerServiceClient
	peers  *peersWith
	id     string
	table  *catalog.Table // nil fails
	module string
}

// newPeersWith has "self" and others; version 0 of one fails to answer what it says that it has.
func newPeersWith(versions map[string]uint64) *peersWith {
	p := &peersWith{clients: map[string]*peerClient{}}
	all := []members.Member{{ID: "self", Live: true}, {ID: "gone", Catalog: &syncv1.Version{Term: 9, Sequence: 99}}}
	for id, sequence := range versions {
		version := &syncv1.Version{Term: 1, Sequence: sequence}
		c := &peerClient{peers: p, id: id, table: catalog.NewTable(version, modelRow("of-"+id))}
		if sequence == 0 {
			version, c.table = &syncv1.Version{Term: 5}, nil
		}
		p.clients[id] = c
		all = append(all, members.Member{ID: id, Live: true, Catalog: version})
	}
	p.view = members.NewView("self", all)
	return p
}

func (p *peersWith) View() *members.View { return p.view }

func (p *peersWith) Client(host string) (peerv1.PeerServiceClient, error) {
	p.asked = append(p.asked, host)
	return p.clients[host], nil
}

// answers is a stream of these messages.
type answers[T any] struct {
	grpc.ClientStream
	messages []*T
}

func (a *answers[T]) Recv() (*T, error) {
	if len(a.messages) == 0 {
		return nil, io.EOF
	}
	first := a.messages[0]
	a.messages = a.messages[1:]
	return first, nil
}

func (c *peerClient) GetCatalog(context.Context, *peerv1.GetCatalogRequest, ...grpc.CallOption) (grpc.ServerStreamingClient[syncv1.Update], error) {
	if c.table == nil {
		return nil, errors.New("broken")
	}
	return &answers[syncv1.Update]{messages: c.table.Updates()}, nil
}

func (c *peerClient) GetBlob(context.Context, *syncv1.GetBlobRequest, ...grpc.CallOption) (grpc.ServerStreamingClient[syncv1.GetBlobResponse], error) {
	return moduleOf(c.module), nil
}

func moduleOf(module string) grpc.ServerStreamingClient[syncv1.GetBlobResponse] {
	a := &answers[syncv1.GetBlobResponse]{}
	for _, chunk := range []byte(module) {
		a.messages = append(a.messages, &syncv1.GetBlobResponse{Chunk: []byte{chunk}})
	}
	return a
}

// The newest catalog among live peers is taken; a peer that fails is passed over, and none is asked that has nothing new.
func TestTheNewestCatalogOfPeers(t *testing.T) {
	p := newPeersWith(map[string]uint64{"a": 3, "b": 7, "broken": 0})
	updates, err := standIn{p}.Catalog(t.Context(), &syncv1.Version{Term: 1, Sequence: 5})
	if err != nil || len(updates) != 1 || updates[0].GetVersion().GetSequence() != 7 {
		t.Errorf("%v, %v", updates, err)
	}
	if want := []string{"broken", "b"}; !reflect.DeepEqual(p.asked, want) {
		t.Errorf("asked %v, want %v", p.asked, want)
	}
	p = newPeersWith(map[string]uint64{"a": 3})
	if updates, err := (standIn{p}).Catalog(t.Context(), &syncv1.Version{Term: 1, Sequence: 5}); updates != nil || err != nil || len(p.asked) != 0 {
		t.Errorf("of older peers: %v, %v, asked %v", updates, err, p.asked)
	}
}

// away is a controller that takes calls and answers none of them.
type away struct{}

func (away) GetBlob(context.Context, *syncv1.GetBlobRequest, ...grpc.CallOption) (grpc.ServerStreamingClient[syncv1.GetBlobResponse], error) {
	return moduleOf(""), nil
}

// A module comes from the first that has it, whole.
func TestAModuleComesFromWhoeverHasIt(t *testing.T) {
	p := newPeersWith(map[string]uint64{"a": 1, "b": 1})
	p.clients["b"].module = "wasm"
	b := &blobs{controller: away{}, peers: func() mesh.Peers { return p }}
	stream, err := b.GetBlob(t.Context(), &syncv1.GetBlobRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var module []byte
	for {
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		module = append(module, message.GetChunk()...)
	}
	if string(module) != "wasm" {
		t.Errorf("module %q", module)
	}
	p.clients["b"].module = ""
	if _, err := b.GetBlob(t.Context(), &syncv1.GetBlobRequest{}); err == nil {
		t.Error("a module that nobody has was found")
	}
}
