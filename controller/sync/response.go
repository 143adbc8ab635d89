package syncserver

import (
	"iter"

	"google.golang.org/protobuf/proto"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// updateBytes is the size at which an Update is cut; a single row may be larger.
const updateBytes = 512 << 10

// response is the next thing to say to a host; large ones become several messages.
type response struct {
	// whole is sent as it is, unless the response is an update.
	whole *syncv1.ConnectResponse
	// An update to version. base is absent in the answer to a Fetch and to a host that lacks nothing.
	version, base *syncv1.Version
	delta         delta
}

// next decides what the stream must be told now, and counts it as told; nil for nothing.
func (s *Server) next(st *stream) *response {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st.host == nil || st.closed {
		return nil
	}
	if s.credentials != nil && st.credentialsNumber != s.credentialsNumber {
		st.credentialsNumber = s.credentialsNumber
		credentials := &syncv1.Credentials{Storage: s.credentials[st.key.Namespace]}
		return &response{whole: &syncv1.ConnectResponse{Message: &syncv1.ConnectResponse_Credentials{Credentials: credentials}}}
	}
	if st.hostsNumber != s.hostsNumber {
		st.hostsNumber = s.hostsNumber
		hosts := s.hostList(st.key.Namespace)
		return &response{whole: &syncv1.ConnectResponse{Message: &syncv1.ConnectResponse_Hosts{Hosts: hosts}}}
	}
	if r := st.nextDrain(); r != nil {
		return r
	}
	if r := s.nextOfPolicies(st); r != nil {
		return r
	}
	if r := st.nextQuery(); r != nil {
		return r
	}
	return st.nextOfCatalog(s.catalog.current)
}

// nextOfCatalog takes the stream one phase further.
func (st *stream) nextOfCatalog(current *snapshot) *response {
	if current == nil {
		return nil
	}
	switch st.phase {
	case fresh:
		st.sent = current
		if compareVersions(st.hello.GetCatalogVersion(), current.version) == 0 {
			st.phase = following
			return &response{version: current.version}
		}
		st.phase = indexed
		index := current.index(st.key.Namespace)
		return &response{whole: &syncv1.ConnectResponse{Message: &syncv1.ConnectResponse_Index{Index: index}}}
	case indexed:
		if !st.fetching {
			return nil
		}
		// The rows of the version that was indexed: what has changed since follows as a step.
		r := &response{version: st.sent.version}
		for _, key := range st.wanted {
			if e := st.sent.find(key); e != nil && e.namespace == st.key.Namespace {
				r.delta.upserts = append(r.delta.upserts, e)
			}
		}
		st.phase, st.wanted, st.fetching = following, nil, false
		return r
	default:
		if st.sent == current {
			return nil
		}
		r := &response{version: current.version, base: st.sent.version, delta: current.since(st.sent).of(st.key.Namespace)}
		st.sent = current
		return r
	}
}

// of keeps what concerns one namespace. A step without rows still takes the host to the new version.
func (d delta) of(namespace string) delta {
	return delta{upserts: only(d.upserts, namespace), removed: only(d.removed, namespace)}
}

func only(entries []*entry, namespace string) (kept []*entry) {
	for _, e := range entries {
		if e.namespace == namespace {
			kept = append(kept, e)
		}
	}
	return kept
}

// index is one message, whatever its size: a row takes about 100 bytes of it, so that the 64 MiB that a host receives
// hold a namespace of 300,000 models, each with its alias.
func (s *snapshot) index(namespace string) *syncv1.Index {
	index := &syncv1.Index{Version: s.version}
	for _, e := range only(s.entries, namespace) {
		index.Entries = append(index.Entries, &syncv1.Index_Entry{Key: e.row.GetKey(), Digest: e.row.GetDigest()})
	}
	return index
}

// hostList tells the hosts of a namespace of each other. Those that cannot be reached from here are in it, since others
// may reach them; those that said good-bye are not. The caller holds the lock.
func (s *Server) hostList(namespace string) *syncv1.Hosts {
	list := &syncv1.Hosts{}
	for _, key := range s.hostKeys() {
		h := s.hosts[key]
		if key.Namespace != namespace || h.left() {
			continue
		}
		list.Hosts = append(list.Hosts, &syncv1.Hosts_Host{
			Id: key.ID, Runtime: h.Hello.GetRuntime(), Connected: h.Connected, Epoch: h.Hello.GetEpoch(),
			GrpcAddress: h.Hello.GetGrpcAddress(), RestAddress: h.Hello.GetRestAddress(),
			PeerAddress: h.Hello.GetPeerAddress(), GossipAddress: h.Hello.GetGossipAddress(),
			Zone: h.Hello.GetZone(), Gateway: h.Hello.GetGateway(), Draining: h.Draining,
		})
	}
	return list
}

// messages cuts an update so that no message grows beyond updateBytes by more than one row; only the last is complete.
func (r *response) messages() iter.Seq[*syncv1.ConnectResponse] {
	return func(yield func(*syncv1.ConnectResponse) bool) {
		if r.whole != nil {
			yield(r.whole)
			return
		}
		update, size := r.update(), 0
		flush := func() bool {
			full := update
			update, size = r.update(), 0
			return yield(&syncv1.ConnectResponse{Message: &syncv1.ConnectResponse_Update{Update: full}})
		}
		for _, e := range r.delta.upserts {
			if size >= updateBytes && !flush() {
				return
			}
			update.Upserts = append(update.Upserts, e.row)
			size += proto.Size(e.row)
		}
		for _, e := range r.delta.removed {
			if size >= updateBytes && !flush() {
				return
			}
			update.RemovedKeys = append(update.RemovedKeys, e.row.GetKey())
			size += len(e.row.GetKey())
		}
		update.Complete = true
		flush()
	}
}

func (r *response) update() *syncv1.Update { return &syncv1.Update{Version: r.version, Base: r.base} }
