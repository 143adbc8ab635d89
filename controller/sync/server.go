// Package syncserver is the controller's end of the stream to its hosts (wasmesh.sync.v1): it owns the Catalog that hosts
// are sent and what hosts have said of themselves. The loop in controller/reconcile publishes rows to it and reads hosts
// from it; hosts call Connect.
//
// Invariants:
//   - Nothing is queued for a host. Each stream remembers which version it has sent and sends the step from there to the
//     present one, so a slow host costs one reference and gets fewer, larger steps.
//   - No host hears of a catalog before the first Publish: an empty catalog would unload everything.
//   - A host receives rows, credentials, hosts and policies of its own namespace only.
package syncserver

import (
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/wasmesh/wasmesh/controller/decide"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

const (
	// settleTimeout: hosts that were known before a restart and have not reported by then are taken for dead.
	settleTimeout = 15 * time.Second
	// forgetKnownAfter is how long a host that disconnected is still waited for by a controller that restarts.
	forgetKnownAfter = 60 * time.Second
	// forgetGoneAfter: a host that has been without a stream for so long does not come back under its name, or comes as one
	// that nobody knew; until then others try to reach it, and operators see it.
	forgetGoneAfter = time.Hour
	// maxDisconnected bounds the hosts that are remembered without a stream; the longest gone are forgotten first.
	maxDisconnected = 1000
)

// errStopping ends every stream when the controller goes.
var errStopping = status.Error(codes.Unavailable, "the controller is stopping; connect again")

// Config of a Server.
type Config struct {
	// Term of this controller's catalog: larger than that of any controller before it.
	Term uint64
	// Known hosts from before a restart, as Known answered them.
	Known []HostKey
	// Register adds further services to the hosts' port; nil for none.
	Register func(grpc.ServiceRegistrar)
	// Logger for connects, disconnects and refusals.
	Logger *slog.Logger
}

// HostKey identifies a host.
type HostKey struct {
	Namespace string `json:"namespace"`
	ID        string `json:"id"`
}

// Server implements syncv1.SyncServiceServer. Its methods may be called from any goroutine.
type Server struct {
	syncv1.UnimplementedSyncServiceServer
	logger *slog.Logger
	// register is Config.Register, or nil.
	register func(grpc.ServiceRegistrar)
	changed  chan struct{}
	// policiesChanged is what changed is, for whoever decides on policies.
	policiesChanged chan struct{}
	// timer tells keepDeadlines that one has moved.
	timer chan struct{}
	// receivers read from streams; Serve waits for them.
	receivers sync.WaitGroup

	mu      sync.Mutex
	catalog *Catalog
	hosts   map[HostKey]*host
	streams map[*stream]bool
	// credentials by namespace, with a number that grows with each change; nil before the first SetCredentials.
	credentials       map[string]map[string][]byte
	credentialsNumber uint64
	// hostsNumber grows with each change of what the list of hosts says.
	hostsNumber uint64
	// expected hosts must report, or settleBy pass, before absence means anything.
	expected map[HostKey]bool
	settleBy time.Time
	// known hosts that are not connected, with the time from which on they are not expected any more.
	known map[HostKey]time.Time
	// forgetAt is when the next host that has gone is to be forgotten; zero for never.
	forgetAt time.Time
	stopping bool
	policies policyPlans
	// queries under way, by id.
	queries     map[uint64]*query
	queryNumber uint64
}

// New makes a Server, whose time to settle begins now.
func New(config Config) *Server {
	s := &Server{
		logger:   config.Logger,
		register: config.Register,
		changed:  make(chan struct{}, 1),
		timer:    make(chan struct{}, 1),
		catalog:  NewCatalog(config.Term),
		hosts:    map[HostKey]*host{},
		streams:  map[*stream]bool{},
		expected: map[HostKey]bool{},
		settleBy: time.Now().Add(settleTimeout),
		known:    map[HostKey]time.Time{},
		queries:  map[uint64]*query{},

		policiesChanged: make(chan struct{}, 1),
	}
	for _, key := range config.Known {
		s.expected[key] = true
		s.known[key] = time.Now().Add(forgetKnownAfter)
	}
	return s
}

// Changed receives after hosts, their copies, their acknowledgements or Settled have changed; not for load figures alone.
// One reader.
func (s *Server) Changed() <-chan struct{} { return s.changed }

// Publish replaces the rows that should be in the catalog, sorted by key; the server owns them from now on.
func (s *Server) Publish(rows []*syncv1.Row) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed, err := s.catalog.Publish(time.Now(), rows)
	if err != nil {
		return err
	}
	if changed {
		s.published()
	}
	s.advance()
	return nil
}

// Published answers since which version each row is in the catalog. The caller must not change it.
func (s *Server) Published() decide.Published {
	s.mu.Lock()
	defer s.mu.Unlock()
	current := s.catalog.current
	if current == nil {
		return decide.Published{}
	}
	if current.published == nil {
		current.published = make(map[string]*syncv1.Version, len(current.entries))
		for _, e := range current.entries {
			current.published[e.row.GetKey()] = e.since
		}
	}
	return decide.Published{Since: current.published}
}

// Rows answers the catalog as hosts see it, models that are leaving included, sorted by key.
func (s *Server) Rows() []*syncv1.Row {
	current := s.currentSnapshot()
	if current == nil {
		return nil
	}
	rows := make([]*syncv1.Row, len(current.entries))
	for i, e := range current.entries {
		rows[i] = e.row
	}
	return rows
}

func (s *Server) currentSnapshot() *snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.catalog.current
}

// SetCredentials replaces the storage credentials of all namespaces. The server owns the map from now on.
func (s *Server) SetCredentials(byNamespace map[string]map[string][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.credentials != nil && sameCredentials(s.credentials, byNamespace) {
		return
	}
	s.credentials = byNamespace
	s.credentialsNumber++
	s.wakeAll()
}

func sameCredentials(a, b map[string]map[string][]byte) bool {
	return maps.EqualFunc(a, b, func(a, b map[string][]byte) bool { return maps.EqualFunc(a, b, slices.Equal) })
}

// Settled is true once every host that was known before the restart has reported all its copies and has the present
// catalog, or 15 s have passed.
func (s *Server) Settled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.expected) == 0
}

// published wakes whoever must hear of a new version. The caller holds the lock.
func (s *Server) published() {
	s.wakeAll()
	signal(s.changed)
}

func (s *Server) wakeAll() {
	for stream := range s.streams {
		signal(stream.wake)
	}
}

// signal fills a channel of capacity one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
