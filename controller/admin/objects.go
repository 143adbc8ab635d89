package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wasmesh/wasmesh/controller/decide"
	"github.com/wasmesh/wasmesh/controller/reconcile"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
)

// watchInterval is the least time between two answers of a watch: in a burst of changes only the last state matters.
const watchInterval = 100 * time.Millisecond

// ListObjects implements adminv1.AdminServiceServer.
func (s *Server) ListObjects(ctx context.Context, request *adminv1.ListObjectsRequest) (*adminv1.ListObjectsResponse, error) {
	view, _, err := s.view(ctx)
	if err != nil {
		return nil, err
	}
	objects, err := list(view, selection{request.GetKind(), request.GetNamespace(), request.GetName()})
	if err != nil {
		return nil, err
	}
	return &adminv1.ListObjectsResponse{Objects: objects, Warnings: warnings(view)}, nil
}

// WatchObjects implements adminv1.AdminServiceServer.
func (s *Server) WatchObjects(request *adminv1.WatchObjectsRequest, stream adminv1.AdminService_WatchObjectsServer) error {
	wanted := selection{request.GetKind(), request.GetNamespace(), request.GetName()}
	var sent *adminv1.WatchObjectsResponse
	return s.watch(stream.Context(), func(view *reconcile.View) error {
		objects, err := list(view, wanted)
		if err != nil {
			return err
		}
		next := &adminv1.WatchObjectsResponse{Objects: objects, Warnings: warnings(view)}
		if sent != nil && slices.Equal(sent.Objects, next.Objects) && slices.Equal(sent.Warnings, next.Warnings) {
			return nil
		}
		sent = next
		return stream.Send(next)
	})
}

// WatchPlan implements adminv1.AdminServiceServer.
func (s *Server) WatchPlan(_ *adminv1.WatchPlanRequest, stream adminv1.AdminService_WatchPlanServer) error {
	var sent []*adminv1.RuntimePlan
	first := true
	return s.watch(stream.Context(), func(view *reconcile.View) error {
		// The loop replaces the plan only when it differs, so the same slice is the same plan.
		if !first && len(sent) == len(view.Plan) && (len(sent) == 0 || &sent[0] == &view.Plan[0]) {
			return nil
		}
		sent, first = view.Plan, false
		return stream.Send(&adminv1.WatchPlanResponse{Runtimes: view.Plan})
	})
}

// watch calls send with the present view and after each change of it.
func (s *Server) watch(ctx context.Context, send func(*reconcile.View) error) error {
	for {
		view, changed, err := s.view(ctx)
		if err != nil {
			return err
		}
		if err := send(view); err != nil {
			return err
		}
		select {
		case <-time.After(watchInterval):
		case <-ctx.Done():
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		}
	}
}

func warnings(view *reconcile.View) []string {
	texts := make([]string, len(view.Warnings))
	for i, w := range view.Warnings {
		texts[i] = w.String()
	}
	return texts
}

// selection of objects; an empty namespace or name is every one.
type selection struct{ kind, namespace, name string }

// list answers the JSON of the selected objects, which the view holds sorted by namespace and name.
func list(view *reconcile.View, wanted selection) ([]string, error) {
	p := &printer{view: view, wanted: wanted}
	switch wanted.kind {
	case v1beta1.Kind:
		for _, o := range view.Objects.InferenceServices {
			p.print(o, o.Status)
		}
	case v1alpha1.KindPredictor:
		for _, o := range view.Objects.Predictors {
			p.print(o, o.Status)
		}
	case v1alpha1.KindServingRuntime:
		for _, o := range view.Objects.ServingRuntimes {
			p.print(o, o.Status)
		}
	case v1alpha1.KindClusterServingRuntime:
		for _, o := range view.Objects.ClusterServingRuntimes {
			p.print(o, o.Status)
		}
	default:
		return nil, status.Errorf(codes.InvalidArgument, "list objects: kind %q is none of %s, %s, %s, %s", wanted.kind,
			v1beta1.Kind, v1alpha1.KindPredictor, v1alpha1.KindServingRuntime, v1alpha1.KindClusterServingRuntime)
	}
	return p.printed, p.err
}

// printer collects JSON.
type printer struct {
	view    *reconcile.View
	wanted  selection
	printed []string
	err     error
}

// print adds one object if it is wanted. Its JSON is what its owner wrote, with the status in it unless there is none yet.
func (p *printer) print(o metav1.Object, objectStatus any) {
	if p.err != nil || !asked(p.wanted.namespace, o.GetNamespace()) || !asked(p.wanted.name, o.GetName()) {
		return
	}
	key := decide.Key{Namespace: o.GetNamespace(), Kind: p.wanted.kind, Name: o.GetName()}
	data, known := p.view.Raw[key]
	if !known {
		// Its types are all that is known of it here; the API server has the rest.
		if data, p.err = json.Marshal(o); p.err != nil {
			p.err = status.Errorf(codes.Internal, "print %s %s: %v", key.Kind, key.Name, p.err)
			return
		}
	}
	if !reflect.ValueOf(objectStatus).IsZero() {
		data, p.err = withStatus(data, objectStatus)
		if p.err != nil {
			p.err = status.Errorf(codes.Internal, "print %s %s: %v", key.Kind, key.Name, p.err)
			return
		}
	}
	p.printed = append(p.printed, string(data))
}

func withStatus(raw []byte, objectStatus any) ([]byte, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, fmt.Errorf("read object: %w", err)
	}
	encoded, err := json.Marshal(objectStatus)
	if err != nil {
		return nil, fmt.Errorf("encode status: %w", err)
	}
	fields["status"] = encoded
	return json.Marshal(fields)
}
