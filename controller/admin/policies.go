package admin

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/wasmesh/wasmesh/controller/policyconfig"
	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// decisionsMessageBytes is the size at which an answer is cut; a single decision may be larger.
const decisionsMessageBytes = 1 << 20

// ListPolicies implements adminv1.AdminServiceServer.
func (s *Server) ListPolicies(context.Context, *adminv1.ListPoliciesRequest) (*adminv1.ListPoliciesResponse, error) {
	policies, hooks := s.policies.List()
	return &adminv1.ListPoliciesResponse{Policies: policies, Hooks: hooks}, nil
}

// RollbackPolicy implements adminv1.AdminServiceServer.
func (s *Server) RollbackPolicy(ctx context.Context, request *adminv1.RollbackPolicyRequest) (*adminv1.RollbackPolicyResponse, error) {
	message, err := s.policies.RollBack(ctx, request.GetHook())
	switch {
	case err == nil:
		return &adminv1.RollbackPolicyResponse{Message: message}, nil
	case ctx.Err() != nil:
		return nil, status.FromContextError(ctx.Err()).Err()
	case errors.Is(err, policyconfig.ErrNothingBefore):
		return nil, status.Error(codes.FailedPrecondition, err.Error())
	case errors.Is(err, policyconfig.ErrUnknownHook):
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	return nil, status.Error(codes.Unavailable, err.Error())
}

// ListDecisions implements adminv1.AdminServiceServer.
func (s *Server) ListDecisions(request *adminv1.ListDecisionsRequest, stream adminv1.AdminService_ListDecisionsServer) error {
	found := gathering{limit: int(request.GetLimit()), byHost: map[string]*recorded{}}
	for _, id := range s.modelIDs(request.GetModel()) {
		query := &syncv1.DecisionsQuery{Hook: request.GetHook(), ModelId: id, Limit: request.GetLimit()}
		found.add("controller", s.policies.Recorded(query), "")
		for _, host := range s.mesh.Decisions(stream.Context(), query) {
			found.add(host.HostID, host.Decisions, host.Problem)
		}
	}
	if err := stream.Context().Err(); err != nil {
		return status.FromContextError(err).Err()
	}
	return found.send(stream)
}

// modelIDs answers the ids that a wish for a model's decisions means: those of the models of an alias, or the id itself,
// which may be of a model that is gone. An empty wish is for every model, which is one query without an id.
func (s *Server) modelIDs(wish string) []string {
	var ids []string
	for _, row := range s.mesh.Rows() {
		if m := row.GetModel(); m != nil && wish != "" && m.GetAlias() == wish && !slices.Contains(ids, m.GetId()) {
			ids = append(ids, m.GetId())
		}
	}
	if len(ids) == 0 {
		return []string{wish}
	}
	return ids
}

// recorded is what one host has.
type recorded struct {
	decisions []*syncv1.Decision
	// known ids: a decision about one model of an alias may have another as its victim.
	known    map[uint64]bool
	problems []string
}

// gathering joins the answers to several queries.
type gathering struct {
	limit  int
	byHost map[string]*recorded
	// hosts in the order in which they were added.
	hosts []string
}

func (g *gathering) add(host string, decisions []*syncv1.Decision, problem string) {
	r := g.byHost[host]
	if r == nil {
		r = &recorded{known: map[uint64]bool{}}
		g.byHost[host] = r
		g.hosts = append(g.hosts, host)
	}
	for _, d := range decisions {
		if !r.known[d.GetId()] {
			r.known[d.GetId()] = true
			r.decisions = append(r.decisions, d)
		}
	}
	if problem != "" && !slices.Contains(r.problems, problem) {
		r.problems = append(r.problems, problem)
	}
}

// send answers everything, newest first within each host, and the problems last.
func (g *gathering) send(stream adminv1.AdminService_ListDecisionsServer) error {
	response, size := &adminv1.ListDecisionsResponse{}, 0
	for _, host := range g.hosts {
		r := g.byHost[host]
		slices.SortStableFunc(r.decisions, func(a, b *syncv1.Decision) int {
			return cmp.Or(cmp.Compare(b.GetTimeMs(), a.GetTimeMs()), cmp.Compare(b.GetId(), a.GetId()))
		})
		if g.limit > 0 && len(r.decisions) > g.limit {
			r.decisions = r.decisions[:g.limit]
		}
		for _, d := range r.decisions {
			if size >= decisionsMessageBytes {
				if err := stream.Send(response); err != nil {
					return err
				}
				response, size = &adminv1.ListDecisionsResponse{}, 0
			}
			response.Decisions = append(response.Decisions, d)
			size += proto.Size(d)
		}
		for _, problem := range r.problems {
			response.Warnings = append(response.Warnings, "host "+host+": "+problem)
		}
	}
	return stream.Send(response)
}
