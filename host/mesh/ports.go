package mesh

import (
	"context"

	"github.com/wasmesh/wasmesh/host/catalog"
	"github.com/wasmesh/wasmesh/host/members"
	"github.com/wasmesh/wasmesh/host/peers/residency"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// Peers are the other hosts: peers.Peers, which says what the methods do, or Alone.
type Peers interface {
	View() *members.View
	Table() *residency.Table
	// Publish and PublishFigures tell others of this host.
	Publish(entry residency.Entry, failure *syncv1.Failure)
	PublishFigures(figures *peerv1.Figures)
	// Failure is why a model failed on a host; nil when that is not known.
	Failure(key uint64, host string) *syncv1.Failure
	Client(host string) (peerv1.PeerServiceClient, error)
	// Synced is closed when everything is known that others hold, or when there was time enough for it: before, this host
	// may not decide where models go.
	Synced() <-chan struct{}
	// Token is what requests to other hosts carry.
	Token() string
	// Leave tells the others that this host goes.
	Leave(ctx context.Context) error
}

// Catalog is what should exist: catalog.Client.
type Catalog interface {
	Table() *catalog.Table
}

// Reporter carries what this host says to the controller: catalog.Reporter.
type Reporter interface {
	Publish(modelCopy *syncv1.Copy)
	Withdraw(modelID string)
	PublishLoad(load *syncv1.Load)
	PublishRuntime(state syncv1.RuntimeState, message string)
	Runtime() (syncv1.RuntimeState, string)
	PublishDraining(draining *syncv1.Draining)
	PublishDemands(demands []*syncv1.Demand)
}

// Blobs answers the bytes of a policy module by its SHA-256; false when it is not here.
type Blobs interface {
	Module(digest []byte) ([]byte, bool)
}
