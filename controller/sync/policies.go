package syncserver

import (
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// blobChunkBytes is the size of a chunk of a module, as the protocol has it.
const blobChunkBytes = 64 << 10

// policyPlans are what hosts of each namespace are told of policies, and the modules that they may ask for.
type policyPlans struct {
	// plans by namespace, that of AllNamespaces for all without one of their own. A namespace without any is told an empty one.
	plans map[string]*syncv1.PolicyPlan
	// modules by SHA-256, as a string of bytes.
	modules map[string][]byte
	// number grows with each change; 0 before the first, when hosts are told nothing: they decide as they did before.
	number uint64
}

// AllNamespaces stands for every namespace, where policies are of a whole cluster.
const AllNamespaces = ""

// PolicyHost is what one connected host has made of its PolicyPlan; Report is nil while it has said nothing.
type PolicyHost struct {
	// ID of the host; with "<namespace>/" before it when all namespaces were asked for.
	ID     string
	Report *syncv1.PolicyReport
}

// SetPolicies replaces the PolicyPlan of one namespace and the modules that its hosts may fetch, by SHA-256 as a string of
// bytes; the namespace may be AllNamespaces. Hosts of other namespaces are told that they have none. The server owns plan
// and modules from now on.
func (s *Server) SetPolicies(namespace string, plan *syncv1.PolicyPlan, modules map[string][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.policies.modules = modules
	if s.policies.number > 0 && s.policies.plans[namespace] == plan {
		return
	}
	s.policies.plans = map[string]*syncv1.PolicyPlan{namespace: plan}
	s.policies.number++
	s.wakeAll()
}

// PolicyHosts answers the connected hosts of a namespace that decide anything, sorted by id: a gateway does not, is told of
// no policies, and is not waited for. The namespace may be AllNamespaces.
func (s *Server) PolicyHosts(namespace string) []PolicyHost {
	s.mu.Lock()
	defer s.mu.Unlock()
	var hosts []PolicyHost
	for _, key := range s.hostKeys() {
		h, id := s.hosts[key], key.ID
		if namespace == AllNamespaces {
			id = key.Namespace + "/" + id
		}
		if (namespace == AllNamespaces || key.Namespace == namespace) && h.stream != nil && !h.Hello.GetGateway() {
			hosts = append(hosts, PolicyHost{ID: id, Report: h.policies})
		}
	}
	return hosts
}

// PoliciesChanged receives after PolicyHosts or Settled have changed. One reader.
func (s *Server) PoliciesChanged() <-chan struct{} { return s.policiesChanged }

// nextOfPolicies is the plan if the stream does not have the present one. The caller holds the lock.
func (s *Server) nextOfPolicies(st *stream) *response {
	if st.policiesNumber == s.policies.number || st.hello.GetGateway() {
		return nil
	}
	st.policiesNumber = s.policies.number
	plan := s.policies.plans[st.key.Namespace]
	if plan == nil {
		plan = s.policies.plans[AllNamespaces]
	}
	if plan == nil {
		plan = &syncv1.PolicyPlan{Version: &syncv1.Version{Term: s.catalog.term}}
	}
	return &response{whole: &syncv1.ConnectResponse{Message: &syncv1.ConnectResponse_Policies{Policies: plan}}}
}

// reportPolicies takes what a host has made of its plan.
func (s *Server) reportPolicies(st *stream, report *syncv1.PolicyReport) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := st.host; h.stream == st {
		h.policies = report
		signal(s.policiesChanged)
	}
}

// GetBlob implements syncv1.SyncServiceServer.
func (s *Server) GetBlob(request *syncv1.GetBlobRequest, stream syncv1.SyncService_GetBlobServer) error {
	s.mu.Lock()
	module, found := s.policies.modules[string(request.GetDigest())]
	s.mu.Unlock()
	if !found {
		return status.Errorf(codes.NotFound, "get blob %x: no generation that is wanted has that module; follow the newest plan",
			request.GetDigest())
	}
	for chunk := range slices.Chunk(module, blobChunkBytes) {
		if err := stream.Send(&syncv1.GetBlobResponse{Chunk: chunk}); err != nil {
			return err
		}
	}
	return nil
}
