package cluster

import (
	"sync"

	"github.com/wasmesh/wasmesh/controller/decide"
	"github.com/wasmesh/wasmesh/controller/reconcile"
	syncserver "github.com/wasmesh/wasmesh/controller/sync"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// seat is where reconcilers find the loop and the sync server, which are made when the replica becomes the leader.
type seat struct {
	mu    sync.Mutex
	loop  *reconcile.Loop
	mesh  *syncserver.Server
	taken chan struct{}
}

func newSeat() *seat { return &seat{taken: make(chan struct{})} }

// take may be called once.
func (s *seat) take(loop *reconcile.Loop, mesh *syncserver.Server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loop, s.mesh = loop, mesh
	close(s.taken)
}

func (s *seat) occupants() (*reconcile.Loop, *syncserver.Server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.loop, s.mesh
}

// View answers that of the loop, nil before there is one.
func (s *seat) View() (*reconcile.View, <-chan struct{}) {
	if loop, _ := s.occupants(); loop != nil {
		return loop.View()
	}
	return nil, s.taken
}

// Hosts answers those of the sync server.
func (s *seat) Hosts() []decide.Host {
	if _, mesh := s.occupants(); mesh != nil {
		return mesh.Hosts()
	}
	return nil
}

// Rows answers those of the sync server.
func (s *seat) Rows() []*syncv1.Row {
	if _, mesh := s.occupants(); mesh != nil {
		return mesh.Rows()
	}
	return nil
}
