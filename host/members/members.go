// Package members (pure) is who is in the mesh as one host sees it: an immutable View of every host with what it last
// said of itself. Package peers makes a new View whenever something changes; routing, placement and the arbiter read it,
// without a lock, and the simulator makes Views of its own.
package members

import (
	"slices"
	"strings"
	"time"

	"github.com/wasmesh/wasmesh/host/modelcache"
	"github.com/wasmesh/wasmesh/sdk/modelid"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// Member is one host.
type Member struct {
	// ID is unique in the mesh; Epoch grows with every start of the host of this id.
	ID    string
	Epoch uint64
	// Runtime is the ServingRuntime beside it, empty for a gateway; Zone may be empty.
	Runtime, Zone string
	// PeerAddress takes calls and requests of other hosts; GRPCAddress and RESTAddress those of clients. "host:port".
	PeerAddress, GRPCAddress, RESTAddress string
	// Started is when it came up, by its own clock.
	Started time.Time

	// Live: the connection to it stands, and everything that it holds has been taken in. Always true of the host itself.
	// A host that is not live is in the View because it ought to be there: it takes no part in anything.
	Live bool
	// Gateway: it routes and waits, and never holds copies.
	Gateway bool
	// Draining: it hands its copies over and leaves. They serve until it has gone.
	Draining bool
	// Warming: it has just come.
	Warming bool
	// Arbiter: it says that it knows what all others hold.
	Arbiter bool
	// RuntimeReady: its runtime takes loads.
	RuntimeReady bool
	// Catalog is the version that it has applied whole; nil for none. It is not changed.
	Catalog *syncv1.Version
	Figures Figures

	key uint64 // of ID; set by NewView
}

// Figures are what a host last said of its memory and work. What it says of its capacity binds only itself.
type Figures struct {
	// Sequence grows with every message of the host's epoch.
	Sequence       uint64
	Free, Capacity modelcache.Resources
	Reclaim        modelcache.Curve
	// Oldest is the last use of its least recently used copy; zero when it has none.
	Oldest time.Time
	// LoadsQueued and LoadsRunning are models, InFlight and Waiting requests, Copies copies that are loaded.
	LoadsQueued, LoadsRunning, InFlight, Waiting, Copies int
	// Rate of all requests that it serves, as in modelcache.Candidate.
	Rate uint64
}

// Key is that of the id, by modelid.KeyOf; 0 for a Member that is of no View yet.
func (m *Member) Key() uint64 { return m.key }

// View is all hosts of the mesh at one moment. It does not change.
type View struct {
	hosts []Member // by id
	self  int      // -1 when it is not among them
}

// NewView makes a View for the host of this id. It keeps hosts.
func NewView(self string, hosts []Member) *View {
	slices.SortFunc(hosts, func(a, b Member) int { return strings.Compare(a.ID, b.ID) })
	v := &View{hosts: hosts, self: -1}
	for i := range hosts {
		if hosts[i].key == 0 { // A Member of an earlier View has it.
			hosts[i].key = uint64(modelid.KeyOf("", hosts[i].ID))
		}
		if hosts[i].ID == self {
			v.self = i
		}
	}
	return v
}

// Self is the host whose View it is; nil before it has joined.
func (v *View) Self() *Member {
	if v == nil || v.self < 0 {
		return nil
	}
	return &v.hosts[v.self]
}

// All are the hosts by id, not to be changed.
func (v *View) All() []Member {
	if v == nil {
		return nil
	}
	return v.hosts
}

// Find answers nil for a host that is not there.
func (v *View) Find(id string) *Member {
	if v == nil {
		return nil
	}
	i, found := slices.BinarySearchFunc(v.hosts, id, func(m Member, id string) int { return strings.Compare(m.ID, id) })
	if !found {
		return nil
	}
	return &v.hosts[i]
}

// Eligible reports whether the host may hold models that list these ServingRuntimes.
func (m *Member) Eligible(runtimes []string) bool {
	return m.Live && !m.Gateway && slices.Contains(runtimes, m.Runtime)
}
