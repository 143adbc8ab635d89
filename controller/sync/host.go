package syncserver

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/wasmesh/wasmesh/controller/decide"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// host is what one host has said of itself, over all its streams.
type host struct {
	decide.Host
	// stream is the present one; nil when disconnected.
	stream *stream
	// shared: Hosts has handed out the map of copies, so it must be copied before the next change.
	shared bool
	goneAt time.Time
	// policies is its last report of them on the present stream; nil for none.
	policies *syncv1.PolicyReport
	// drain is what this life of the host was told last, or is to be told; nil for nothing.
	drain *syncv1.Drain
	// followers hear of every change of draining, and of streams that come and go.
	followers map[chan struct{}]bool
}

// Hosts answers what every host has said of itself, sorted by namespace and id. A host that disconnected keeps what it
// last said, its copies for forgetKnownAfter. The caller must not change anything reachable from the answer.
func (s *Server) Hosts() []decide.Host {
	s.mu.Lock()
	defer s.mu.Unlock()
	hosts := make([]decide.Host, 0, len(s.hosts))
	for _, key := range s.hostKeys() {
		h := s.hosts[key]
		h.shared = true
		hosts = append(hosts, h.Host)
	}
	return hosts
}

// hostKeys in order. The caller holds the lock.
func (s *Server) hostKeys() []HostKey {
	return slices.SortedFunc(maps.Keys(s.hosts), compareHostKeys)
}

func compareHostKeys(a, b HostKey) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.ID, b.ID))
}

// Known answers the hosts that a controller which starts anew should wait for: those connected, and those that went away
// less than a minute ago.
func (s *Server) Known() []HostKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := slices.Collect(maps.Keys(s.known))
	for key, h := range s.hosts {
		if h.stream != nil {
			known = append(known, key)
		}
	}
	slices.SortFunc(known, compareHostKeys)
	return slices.Compact(known)
}

// connect makes a stream the present one of its host. Of two streams the higher epoch lives; with equal epochs and
// addresses it is the same process that connects again, and the newer stream is the one that works.
func (s *Server) connect(st *stream) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping || st.closed {
		return errStopping
	}
	key, epoch := st.key, st.hello.GetEpoch()
	h := s.hosts[key]
	if h == nil {
		h = &host{}
		s.hosts[key] = h
	}
	if h.stream != nil {
		if err := h.superseded(st.hello); err != nil {
			return err
		}
		h.stream.cancel(replacedBy(h.Hello, st.hello))
	}
	if h.Hello.GetEpoch() != epoch {
		// A host that was restarted holds nothing until it says so, and was told nothing.
		h.Host, h.drain = decide.Host{}, nil
		h.shared = false
	}
	h.Hello = st.hello
	h.Connected, h.Complete = true, false
	h.Acked = nil
	if v := st.hello.GetCatalogVersion(); s.catalog.current != nil && compareVersions(v, s.catalog.current.version) <= 0 {
		h.Acked = v
	}
	h.stream, st.host, h.policies = st, h, nil
	s.streams[st] = true
	delete(s.known, key)
	h.tellFollowers()
	s.hostsChanged()
	return nil
}

// disconnect ends a stream, of which it may be that another has taken its place.
func (s *Server) disconnect(st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st.closed = true
	delete(s.streams, st)
	s.abandon(st)
	if st.host == nil || st.host.stream != st {
		return
	}
	h := st.host
	h.stream, h.Connected, h.Complete, h.goneAt = nil, false, false, time.Now()
	s.forgetNoLaterThan(h.goneAt.Add(forgetGoneAfter))
	if h.left() {
		h.empty() // It has unloaded everything, and told nobody.
	} else {
		s.known[st.key] = h.goneAt.Add(forgetKnownAfter)
	}
	h.tellFollowers()
	s.forgetLongestGone()
	s.hostsChanged()
}

// superseded refuses a second process with the id of one that is connected: ALREADY_EXISTS has it end instead of trying
// again, since two that took turns would empty each other's copies from the books for ever.
func (h *host) superseded(newer *syncv1.Hello) error {
	const advice = "stop one of the two, or give it another id"
	id, epoch, other := newer.GetHostId(), newer.GetEpoch(), h.Hello.GetEpoch()
	switch {
	case other > epoch:
		return status.Errorf(codes.AlreadyExists, "host %s runs already with epoch %d, higher than %d: %s", id, other, epoch, advice)
	case other == epoch && !sameAddresses(h.Hello, newer):
		return status.Errorf(codes.AlreadyExists, "host %s runs already with epoch %d, at %s: %s",
			id, epoch, cmp.Or(h.Hello.GetPeerAddress(), h.Hello.GetGrpcAddress()), advice)
	}
	return nil
}

// sameAddresses: a process keeps its addresses as long as it lives.
func sameAddresses(a, b *syncv1.Hello) bool {
	return a.GetPeerAddress() == b.GetPeerAddress() && a.GetGrpcAddress() == b.GetGrpcAddress()
}

// replacedBy is how the stream of a host ends for which another has come: its own, or that of a process with a higher
// epoch, beside which it must not live on.
func replacedBy(old, newer *syncv1.Hello) error {
	code := codes.Aborted
	if newer.GetEpoch() > old.GetEpoch() {
		code = codes.AlreadyExists
	}
	return status.Errorf(code, "host %s has connected again, with epoch %d", newer.GetHostId(), newer.GetEpoch())
}

// hostsChanged tells the other hosts and the loop. The caller holds the lock.
func (s *Server) hostsChanged() {
	s.hostsNumber++
	s.wakeAll()
	signal(s.changed)
	signal(s.policiesChanged)
	s.advance()
}

// acknowledged tells whether every connected host of a namespace has applied a version. The caller holds the lock.
func (s *Server) acknowledged(namespace string, version *syncv1.Version) bool {
	for key, h := range s.hosts {
		if key.Namespace == namespace && h.stream != nil && compareVersions(h.Acked, version) < 0 {
			return false
		}
	}
	return true
}

// ack takes a host's word that it has applied a version.
func (s *Server) ack(st *stream, version *syncv1.Version) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st.sent == nil || compareVersions(version, st.sent.version) > 0 {
		return status.Errorf(codes.InvalidArgument, "acknowledged version %d.%d, which was not sent",
			version.GetTerm(), version.GetSequence())
	}
	h := st.host
	if h.stream != st || compareVersions(version, h.Acked) <= 0 {
		return nil
	}
	h.Acked = version
	s.checkSettled(st.key, h)
	signal(s.changed)
	s.advance()
	return nil
}

// checkSettled: a host that was waited for has said everything. The caller holds the lock.
func (s *Server) checkSettled(key HostKey, h *host) {
	if h.Complete && h.Acked.GetTerm() == s.catalog.term {
		delete(s.expected, key)
		signal(s.policiesChanged)
	}
}

// report merges what a host says.
func (s *Server) report(st *stream, report *syncv1.Report) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := st.host
	if h.stream != st {
		return nil
	}
	if !report.GetComplete() && !h.Complete {
		return status.Error(codes.InvalidArgument, "the first report of a stream must be complete")
	}
	changed := h.merge(report)
	if h.mergeDraining(report) {
		// Others place nothing there from now on.
		s.hostsNumber++
		s.wakeAll()
	}
	if changed {
		s.checkSettled(st.key, h)
		signal(s.changed)
	}
	return nil
}

// merge answers whether anything changed that decisions are made of; load figures and times of use are not.
func (h *host) merge(report *syncv1.Report) bool {
	changed := h.mergeCopies(report)
	changed = h.mergeDemands(report) || changed
	if report.GetLoad() != nil {
		h.Load = report.GetLoad()
	}
	if state := report.GetRuntimeState(); state != syncv1.RuntimeState_RUNTIME_STATE_UNSPECIFIED {
		changed = changed || state != h.RuntimeState || report.GetRuntimeMessage() != h.RuntimeMessage
		h.RuntimeState, h.RuntimeMessage = state, report.GetRuntimeMessage()
	}
	return changed
}

// mergeCopies of a host that may have any: what a gateway says of copies is nothing that could be routed to.
func (h *host) mergeCopies(report *syncv1.Report) (changed bool) {
	if report.GetComplete() {
		h.Copies, h.shared, h.Complete, changed = map[string]*syncv1.Copy{}, false, true, true
	}
	if h.Hello.GetGateway() {
		return changed
	}
	if h.shared && len(report.GetCopies())+len(report.GetRemovedModelIds()) > 0 {
		h.Copies, h.shared = maps.Clone(h.Copies), false
	}
	for _, copied := range report.GetCopies() {
		changed = changed || !sameForDecisions(h.Copies[copied.GetModelId()], copied)
		h.Copies[copied.GetModelId()] = copied
	}
	for _, id := range report.GetRemovedModelIds() {
		changed = changed || h.Copies[id] != nil
		delete(h.Copies, id)
	}
	return changed
}

// mergeDemands takes every report's demands as all that there are. It answers whether another runtime is waited for; for
// how many requests is a figure.
func (h *host) mergeDemands(report *syncv1.Report) (changed bool) {
	before := waitedFor(h.Demands)
	h.Demands = report.GetDemands()
	return !slices.Equal(before, waitedFor(h.Demands))
}

func waitedFor(demands []*syncv1.Demand) (runtimes []string) {
	for _, d := range demands {
		if d.GetWaiting() > 0 {
			runtimes = append(runtimes, d.GetRuntime())
		}
	}
	slices.Sort(runtimes)
	return runtimes
}

func sameForDecisions(a, b *syncv1.Copy) bool {
	return a != nil && a.GetState() == b.GetState() && a.GetStateSinceMs() == b.GetStateSinceMs() &&
		a.GetSize().GetHostMemoryBytes() == b.GetSize().GetHostMemoryBytes() &&
		a.GetFailure().GetTimeMs() == b.GetFailure().GetTimeMs() &&
		a.GetFailure().GetReason() == b.GetFailure().GetReason() &&
		a.GetFailure().GetMessage() == b.GetFailure().GetMessage() &&
		a.GetFailure().GetRetryAtMs() == b.GetFailure().GetRetryAtMs()
}
