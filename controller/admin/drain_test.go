package admin

import (
	"errors"
	"io"
	"math"
	"slices"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/wasmesh/wasmesh/controller/decide"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

func TestDrainHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{changed: make(chan struct{})}
		client := serve(t, w)
		ask := func(request *adminv1.DrainHostRequest) (all []*adminv1.DrainHostResponse, err error) {
			stream, err := client.DrainHost(t.Context(), request)
			for err == nil {
				var one *adminv1.DrainHostResponse
				if one, err = stream.Recv(); err == nil {
					all = append(all, one)
				}
			}
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return all, err
		}
		w.draining = []*syncv1.Draining{{Copies: 2}, {Copies: 2, Moved: 2, Closing: true}}
		all, err := ask(&adminv1.DrainHostRequest{HostId: "h", TimeoutMs: 1500})
		want := []*adminv1.DrainHostResponse{{Draining: w.draining[0]}, {Draining: w.draining[1]}, {Draining: w.draining[1], Left: true}}
		if !slices.EqualFunc(all, want, func(a, b *adminv1.DrainHostResponse) bool { return proto.Equal(a, b) }) || err != nil {
			t.Errorf("%v, %v; want %v", all, err, want)
		}
		if !slices.Equal(w.drained, []string{"h 1.5s"}) {
			t.Errorf("asked %q", w.drained)
		}
		w.drainErr = status.Error(codes.Aborted, "lost")
		if all, err := ask(&adminv1.DrainHostRequest{HostId: "h"}); len(all) != 2 || status.Code(err) != codes.Aborted {
			t.Errorf("a host that is lost: %v, %v", all, err)
		}
		for _, bad := range []*adminv1.DrainHostRequest{{}, {HostId: "h", TimeoutMs: -1}, {HostId: "h", TimeoutMs: math.MaxInt64}} {
			if all, err := ask(bad); len(all) != 0 || status.Code(err) != codes.InvalidArgument {
				t.Errorf("%v: %v, %v", bad, all, err)
			}
		}
	})
}

func TestHostsThatLeaveAndWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		draining := &syncv1.Draining{Copies: 3, Moved: 1}
		client := serve(t, &world{changed: make(chan struct{}), hosts: []decide.Host{
			{
				Hello: &syncv1.Hello{HostId: "g", Gateway: true}, Connected: true,
				Demands: []*syncv1.Demand{{Runtime: "r", Waiting: 3}, {Runtime: "s"}, {Runtime: "t", Waiting: 1}},
			},
			{Hello: &syncv1.Hello{HostId: "h"}, Connected: true, Draining: draining, RuntimeMessage: "starting"},
		}})
		list, err := client.ListHosts(t.Context(), &adminv1.ListHostsRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if g, want := list.Hosts[0], "requests wait: 3 for r, 1 for t"; g.RuntimeMessage != want || g.Draining != nil {
			t.Errorf("gateway: %v, want %q", g, want)
		}
		if h := list.Hosts[1]; !proto.Equal(h.Draining, draining) || h.RuntimeMessage != "starting" {
			t.Errorf("host that drains: %v", h)
		}
	})
}

func TestModelsShowCopiesAndAnnotationFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		row := func(id, alias string) *syncv1.Row {
			m := &syncv1.Model{Namespace: "default", Id: id, Alias: alias, Knobs: &syncv1.Knobs{MinCopies: 2}}
			return &syncv1.Row{Key: "model/default/" + id, Value: &syncv1.Row_Model{Model: m}}
		}
		failure := &syncv1.Failure{Message: "no such file"}
		w := &world{changed: make(chan struct{}), view: viewOf(nil), rows: []*syncv1.Row{row("m__isvc-0123456789", "m"), row("m__ksp-0123456789", "m")}}
		w.view.AnnotationFaults = map[decide.Key][]string{
			{Namespace: "default", Kind: v1beta1.Kind, Name: "m"}:           {"a", "b"},
			{Namespace: "default", Kind: v1alpha1.KindPredictor, Name: "m"}: {"c"},
		}
		w.hosts = []decide.Host{
			{Hello: &syncv1.Hello{Namespace: "default", HostId: "h1"}, Connected: true, Copies: map[string]*syncv1.Copy{
				"m__isvc-0123456789": {ModelId: "m__isvc-0123456789", MaxConcurrency: 4, Waiting: 2, InFlight: 4},
			}},
			{Hello: &syncv1.Hello{Namespace: "default", HostId: "h2"}, Connected: true, Copies: map[string]*syncv1.Copy{
				"m__isvc-0123456789": {ModelId: "m__isvc-0123456789", Failure: failure},
			}},
			{Hello: &syncv1.Hello{Namespace: "default", HostId: "h3"}, Copies: map[string]*syncv1.Copy{"m__isvc-0123456789": {}}},
		}
		client := serve(t, w)
		list, err := client.ListModels(t.Context(), &adminv1.ListModelsRequest{})
		if err != nil {
			t.Fatal(err)
		}
		m := list.Models[0]
		if !slices.Equal(m.AnnotationFaults, []string{"a", "b"}) || m.Model.Knobs.MinCopies != 2 {
			t.Errorf("the InferenceService's model: %v", m)
		}
		if p := list.Models[1]; !slices.Equal(p.AnnotationFaults, []string{"c"}) {
			t.Errorf("the Predictor's model: %v", p)
		}
		if len(m.Copies) != 2 || m.Copies[0].HostId != "h1" || m.Copies[0].Copy.MaxConcurrency != 4 || m.Copies[0].Copy.Waiting != 2 ||
			m.Copies[1].HostId != "h2" || !proto.Equal(m.Copies[1].Copy.Failure, failure) {
			t.Errorf("copies %v", m.Copies)
		}
	})
}
