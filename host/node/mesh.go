package node

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"github.com/wasmesh/wasmesh/host/catalog"
	"github.com/wasmesh/wasmesh/host/members"
	"github.com/wasmesh/wasmesh/host/mesh"
	"github.com/wasmesh/wasmesh/host/peers"
)

// buildMesh makes the mesh, which the parts that it needs are made with.
func (n *node) buildMesh() (err error) {
	n.mesh, err = mesh.New(mesh.Config{
		Namespace: n.config.Namespace, HostID: n.config.HostID, Started: n.started, Gateway: n.config.Gateway(),
		CopyConcurrency: n.config.CopyConcurrency, ScaleDownAfter: n.config.ScaleDownAfter, DrainTimeout: n.config.HandoverTimeout,
	}, mesh.Deps{
		Catalog: tables{n}, Reporter: n.reporter, Place: n.decider.where, Note: n.decider.notePlaced, Current: n.policies.Current, Blobs: n.policies,
		Logger: n.logger, Metrics: n.registry,
	})
	return err
}

// tables reads the catalog through the node: the client is made after the mesh.
type tables struct{ node *node }

// Table implements mesh.Catalog.
func (t tables) Table() *catalog.Table { return t.node.client.Table() }

// buildPeers joins the mesh, or makes up for one.
func (n *node) buildPeers() error {
	if n.config.Alone() {
		n.peers = mesh.NewAlone(members.Member{
			ID: n.config.HostID, Epoch: n.epoch, Runtime: n.config.ServingRuntime, Zone: n.config.Zone, Started: n.started,
		}, n.mesh)
		return nil
	}
	keys, err := readMeshKeys(n.config.MeshKeyFile)
	if err != nil {
		return err
	}
	own := n.config.AdvertiseAddress
	gossip, err := gossipAdvertised(n.config.GossipAddress, own)
	if err != nil {
		return err
	}
	names, err := peersDNS(n.config.PeersDNS, n.config.GossipAddress)
	if err != nil {
		return err
	}
	n.together, err = peers.New(peers.Config{
		Mesh: n.config.Mesh, Namespace: n.config.Namespace, HostID: n.config.HostID, Epoch: n.epoch, Started: n.started,
		Runtime: n.config.ServingRuntime, Zone: n.config.Zone, Gateway: n.config.Gateway(),
		PeerAddress: advertised(n.peer.Addr(), own), GRPCAddress: advertised(n.grpc.Addr(), own), RESTAddress: advertised(n.rest.Addr(), own),
		GossipAddress: n.config.GossipAddress, GossipAdvertise: gossip,
		Key: keys[0], DNS: names, StateDir: n.config.StateDir, SoftwareVersion: softwareVersion(), PeerTLS: n.peerTLS(),
	}, peers.Deps{Listener: n.mesh, Handler: n.mesh, Logger: n.logger, Metrics: n.registry})
	if err != nil {
		return fmt.Errorf("join the mesh: %w", err)
	}
	n.peers = n.together
	return n.together.SetKeys(keys)
}

// lookAtKey is how often the file with the mesh's key is looked at.
const lookAtKey = 10 * time.Second

// followKey takes a change of the mesh's key in, until ctx ends.
func (n *node) followKey(ctx context.Context, every time.Duration) error {
	ticks := time.NewTicker(every)
	defer ticks.Stop()
	var last [][]byte
	for {
		keys, err := readMeshKeys(n.config.MeshKeyFile)
		if err == nil && !reflect.DeepEqual(keys, last) {
			if err = n.together.SetKeys(keys); err == nil && last != nil {
				n.logger.Info("the key of the mesh has changed", "accepted", len(keys))
			}
			last = keys
		}
		if err != nil {
			n.logger.Warn("the key of the mesh stays as it was", "error", err)
		}
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// bind gives the mesh its parts, when all are made.
func (n *node) bind() {
	parts := mesh.Parts{Peers: n.peers, Executor: n.executor, Forget: n.server.Forget}
	if n.runtime != nil {
		parts.Runtime = n.runtime
	}
	n.mesh.Bind(parts)
}
