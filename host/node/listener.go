package node

import (
	"context"
	"log/slog"
	"time"

	"github.com/wasmesh/wasmesh/host/catalog"
	"github.com/wasmesh/wasmesh/host/lifecycle"
	"github.com/wasmesh/wasmesh/host/lifecycle/machine"
	"github.com/wasmesh/wasmesh/host/mesh"
	"github.com/wasmesh/wasmesh/host/peers"
	"github.com/wasmesh/wasmesh/host/storage"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// listener passes what the catalog says to those who act on it.
type listener struct {
	mesh *mesh.Mesh
	// executor and store are nil for a gateway.
	executor *lifecycle.Executor
	store    *storage.Store
	logger   *slog.Logger
}

// CatalogChanged returns when every model has been considered: only then is the change acknowledged.
func (l *listener) CatalogChanged(change catalog.Change) {
	l.mesh.CatalogChanged(change.Upserts, change.Removed)
	if l.executor == nil {
		return
	}
	switching := make(map[string]string)
	for alias := range change.New.Aliases {
		if target := alias.GetTargetModelId(); target != "" && target != alias.GetActiveModelId() {
			switching[target] = alias.GetActiveModelId()
		}
	}
	err := l.executor.CatalogChanged(context.Background(), machine.CatalogChanged{
		Upserts: change.Upserts, Removed: change.Removed, Switching: switching,
	})
	if err != nil {
		l.logger.Warn("catalog change not taken in", "error", err)
	}
}

func (l *listener) CredentialsChanged(credentials map[string][]byte) {
	if l.executor == nil {
		return
	}
	l.store.SetCredentials(credentials)
	if err := l.executor.CredentialsChanged(context.Background()); err != nil {
		l.logger.Warn("change of credentials not taken in", "error", err)
	}
}

// meshListener passes what the controller says of hosts.
type meshListener struct {
	self string
	// peers is nil for a host that is alone.
	peers *peers.Peers
	// drain holds one wish that this host leaves.
	drain chan<- time.Duration
}

// HostsChanged implements catalog.MeshListener.
func (l *meshListener) HostsChanged(hosts []*syncv1.Hosts_Host) {
	if l.peers == nil {
		return
	}
	seeds := make([]peers.Seed, 0, len(hosts))
	for _, h := range hosts {
		if h.GetId() != l.self && (h.GetGossipAddress() != "" || h.GetPeerAddress() != "") {
			seeds = append(seeds, peers.Seed{ID: h.GetId(), Gossip: h.GetGossipAddress(), Peer: h.GetPeerAddress()})
		}
	}
	l.peers.SetSeeds(seeds)
}

// Drain implements catalog.MeshListener.
func (l *meshListener) Drain(timeout time.Duration) {
	select {
	case l.drain <- timeout:
	default: // It leaves already.
	}
}
