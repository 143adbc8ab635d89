package mesh

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/wasmesh/wasmesh/host/members"
	"github.com/wasmesh/wasmesh/host/peers/link"
	"github.com/wasmesh/wasmesh/host/peers/residency"
	peerv1 "github.com/wasmesh/wasmesh/sdk/proto/peer/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// aloneHistory is how many failures and changes a lone host remembers; nobody follows its changes.
const aloneHistory = 1

// Alone are the peers of a host that has none: a View of one, and a table of its own copies. Safe for concurrent use.
type Alone struct {
	listener Listener
	epoch    uint64
	view     atomic.Pointer[members.View]
	table    *residency.Table
	synced   chan struct{}

	mu sync.Mutex // guards below, and orders what the listener hears
	// log is what table is written from.
	log *residency.Log
	// failures are those of entries that have failed, so as many as there are such.
	failures map[uint64]*syncv1.Failure
}

// Listener is told what changes in the mesh, as peers.Listener is: in order, and it returns quickly.
type Listener interface {
	MembersChanged(view *members.View)
	CopiesChanged(keys []uint64)
}

// NewAlone makes the peers of this host.
func NewAlone(self members.Member, listener Listener) *Alone {
	self.Live, self.Arbiter = true, true
	a := &Alone{
		listener: listener, epoch: self.Epoch, table: residency.NewTable(), synced: make(chan struct{}),
		log: residency.NewLog(aloneHistory), failures: make(map[uint64]*syncv1.Failure),
	}
	close(a.synced)
	a.view.Store(members.NewView(self.ID, []members.Member{self}))
	entries, stamp := a.log.Snapshot()
	// An empty log fits an empty table.
	_, _ = a.table.Replace(self.ID, self.Epoch, entries, stamp)
	return a
}

// View implements Peers.
func (a *Alone) View() *members.View { return a.view.Load() }

// Table implements Peers.
func (a *Alone) Table() *residency.Table { return a.table }

// Publish implements Peers.
func (a *Alone) Publish(entry residency.Entry, failure *syncv1.Failure) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if entry.State == residency.Failed && failure != nil {
		a.failures[entry.Key] = failure
	} else {
		delete(a.failures, entry.Key)
	}
	before := a.log.Stamp()
	if !a.log.Set(entry) {
		return
	}
	self := a.View().Self().ID
	entries, stamp, _ := a.log.Since(before.Sequence)
	changed, err := a.table.Advance(self, a.epoch, before.Sequence, entries, stamp)
	if err != nil {
		entries, stamp = a.log.Snapshot()
		changed, _ = a.table.Replace(self, a.epoch, entries, stamp)
	}
	if len(changed) > 0 {
		a.listener.CopiesChanged(changed)
	}
}

// PublishFigures implements Peers.
func (a *Alone) PublishFigures(figures *peerv1.Figures) {
	a.mu.Lock()
	defer a.mu.Unlock()
	self := *a.View().Self()
	link.Describe(&self, figures)
	view := members.NewView(self.ID, []members.Member{self})
	a.view.Store(view)
	a.listener.MembersChanged(view)
}

// Failure implements Peers.
func (a *Alone) Failure(key uint64, _ string) *syncv1.Failure {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.failures[key]
}

// Client implements Peers: there is nobody to call.
func (a *Alone) Client(host string) (peerv1.PeerServiceClient, error) {
	return nil, status.Error(codes.Unavailable, fmt.Sprintf("call host %s: this host is alone", host))
}

// Synced implements Peers.
func (a *Alone) Synced() <-chan struct{} { return a.synced }

// Token implements Peers.
func (a *Alone) Token() string { return "" }

// Leave implements Peers.
func (a *Alone) Leave(context.Context) error { return nil }
