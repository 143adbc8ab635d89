package admin

import (
	"context"

	"github.com/wasmesh/wasmesh/controller/decide"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
	"github.com/wasmesh/wasmesh/sdk/modelid"
	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// modelKey identifies a model, or, with the name of an alias, an alias.
type modelKey struct{ namespace, id string }

// ListModels implements adminv1.AdminServiceServer. The catalog's order is by namespace and id.
func (s *Server) ListModels(_ context.Context, request *adminv1.ListModelsRequest) (*adminv1.ListModelsResponse, error) {
	rows := s.mesh.Rows()
	active, target := map[modelKey]bool{}, map[modelKey]bool{}
	for _, row := range rows {
		if alias := row.GetAlias(); alias != nil {
			active[modelKey{alias.GetNamespace(), alias.GetActiveModelId()}] = true
			target[modelKey{alias.GetNamespace(), alias.GetTargetModelId()}] = true
		}
	}
	copies := s.copies()
	var faults map[decide.Key][]string
	if view, _ := s.decisions.View(); view != nil {
		faults = view.AnnotationFaults
	}
	response := &adminv1.ListModelsResponse{}
	for _, row := range rows {
		model := row.GetModel()
		if model == nil || !asked(request.GetNamespace(), model.GetNamespace()) || !asked(request.GetAlias(), model.GetAlias()) {
			continue
		}
		key := modelKey{model.GetNamespace(), model.GetId()}
		response.Models = append(response.Models, &adminv1.ListModelsResponse_Model{
			Model: model, Copies: copies[key], Active: active[key], Target: target[key],
			AnnotationFaults: faults[owner(model)],
		})
	}
	return response, nil
}

// owner is the object that a model was made of.
func owner(m *syncv1.Model) decide.Key {
	key := decide.Key{Namespace: m.GetNamespace(), Kind: v1beta1.Kind, Name: m.GetAlias()}
	if id, err := modelid.Parse(m.GetId()); err == nil && id.Source == modelid.Predictor {
		key.Kind = v1alpha1.KindPredictor
	}
	return key
}

// asked: an empty wish is for everything.
func asked(wish, value string) bool { return wish == "" || wish == value }

// copies of each model, in the order of their hosts. What a disconnected host last held is left out: nobody knows.
func (s *Server) copies() map[modelKey][]*adminv1.ListModelsResponse_Copy {
	byModel := map[modelKey][]*adminv1.ListModelsResponse_Copy{}
	for _, h := range s.mesh.Hosts() {
		if !h.Connected {
			continue
		}
		for id, c := range h.Copies {
			key := modelKey{h.Hello.GetNamespace(), id}
			byModel[key] = append(byModel[key], &adminv1.ListModelsResponse_Copy{HostId: h.Hello.GetHostId(), Copy: c})
		}
	}
	return byModel
}
