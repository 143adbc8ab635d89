package cli

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// mesh is a controller's admin service with fixed answers.
type mesh struct {
	adminv1.UnimplementedAdminServiceServer
	// dataDir is where the command line finds it.
	dataDir string
	// objects as JSON, by kind; warnings go with every answer.
	objects  map[string][]object
	warnings []string
	models   []*adminv1.ListModelsResponse_Model
	hosts    []*adminv1.ListHostsResponse_Host
	// hideHosts is how many answers come before hosts have connected.
	hideHosts atomic.Int32
	// looks, when there are any, are what is answered of hosts in turn, the last one again and again.
	looks  [][]*adminv1.ListHostsResponse_Host
	looked atomic.Int32
	// events by "<kind>/<namespace>/<name>".
	events map[string][]*adminv1.ListEventsResponse_Event
	// changes are what a watch of objects sends after the first list; then it breaks off.
	changes  [][]object
	policies *adminv1.ListPoliciesResponse
	// policyLooks, when there are any, are what is answered of policies in turn, the last one again and again; nil: nothing.
	policyLooks  []*adminv1.ListPoliciesResponse
	policyLooked atomic.Int32
	// drains are what a drain tells, before drainErr; drained is the last that was asked for.
	drains   []*adminv1.DrainHostResponse
	drainErr error
	drained  atomic.Pointer[adminv1.DrainHostRequest]
	// decisions are answered whatever is asked, each message of its own; asked is what was.
	decisions []*syncv1.Decision
	asked     atomic.Pointer[adminv1.ListDecisionsRequest]
}

type object struct{ namespace, name, json string }

// serve listens in a new data directory; a short path, for the socket.
func (m *mesh) serve(t *testing.T) *mesh {
	t.Helper()
	root, err := os.MkdirTemp("", "wm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	if err := os.Mkdir(filepath.Join(root, "run"), 0o755); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", filepath.Join(root, "run", "admin.sock"))
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	adminv1.RegisterAdminServiceServer(server, m)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	m.dataDir = root
	return m
}

// run runs the command line against the mesh.
func (m *mesh) run(t *testing.T, args ...string) (out, errs string, err error) {
	t.Helper()
	return run(t.Context(), append(args, "--data-dir", m.dataDir)...)
}

func run(ctx context.Context, args ...string) (out, errs string, err error) {
	var stdout, stderr bytes.Buffer
	err = Run(ctx, append([]string{"wasmesh"}, args...), Streams{Out: &stdout, Err: &stderr})
	return stdout.String(), stderr.String(), err
}

func (m *mesh) list(kind, namespace, name string) ([]string, error) {
	if _, known := m.objects[kind]; !known {
		return nil, status.Errorf(codes.InvalidArgument, "no kind %q", kind)
	}
	return selected(m.objects[kind], namespace, name), nil
}

func selected(objects []object, namespace, name string) (contents []string) {
	for _, o := range objects {
		if (namespace == "" || namespace == o.namespace) && (name == "" || name == o.name) {
			contents = append(contents, o.json)
		}
	}
	return contents
}

func (m *mesh) ListObjects(_ context.Context, r *adminv1.ListObjectsRequest) (*adminv1.ListObjectsResponse, error) {
	objects, err := m.list(r.GetKind(), r.GetNamespace(), r.GetName())
	if err != nil {
		return nil, err
	}
	return &adminv1.ListObjectsResponse{Objects: objects, Warnings: m.warnings}, nil
}

func (m *mesh) WatchObjects(r *adminv1.WatchObjectsRequest, stream adminv1.AdminService_WatchObjectsServer) error {
	objects, err := m.list(r.GetKind(), r.GetNamespace(), r.GetName())
	if err != nil {
		return err
	}
	lists := [][]string{objects}
	for _, change := range m.changes {
		lists = append(lists, selected(change, r.GetNamespace(), r.GetName()))
	}
	for _, list := range lists {
		if err := stream.Send(&adminv1.WatchObjectsResponse{Objects: list, Warnings: m.warnings}); err != nil {
			return err
		}
	}
	return status.Error(codes.Aborted, "the watch broke off")
}

func (m *mesh) ListModels(_ context.Context, r *adminv1.ListModelsRequest) (*adminv1.ListModelsResponse, error) {
	answer := &adminv1.ListModelsResponse{}
	for _, model := range m.models {
		if (r.GetNamespace() == "" || r.GetNamespace() == model.GetModel().GetNamespace()) &&
			(r.GetAlias() == "" || r.GetAlias() == model.GetModel().GetAlias()) {
			answer.Models = append(answer.Models, model)
		}
	}
	return answer, nil
}

func (m *mesh) ListHosts(context.Context, *adminv1.ListHostsRequest) (*adminv1.ListHostsResponse, error) {
	if m.hideHosts.Add(-1) >= 0 {
		return &adminv1.ListHostsResponse{}, nil
	}
	if len(m.looks) > 0 {
		return &adminv1.ListHostsResponse{Hosts: m.looks[min(int(m.looked.Add(1)), len(m.looks))-1]}, nil
	}
	return &adminv1.ListHostsResponse{Hosts: m.hosts}, nil
}

func (m *mesh) DrainHost(r *adminv1.DrainHostRequest, stream adminv1.AdminService_DrainHostServer) error {
	m.drained.Store(r)
	for _, answer := range m.drains {
		if err := stream.Send(answer); err != nil {
			return err
		}
	}
	if m.drainErr == nil && len(m.drains) > 0 && !m.drains[len(m.drains)-1].GetLeft() {
		<-stream.Context().Done()
	}
	return m.drainErr
}

func (m *mesh) ListEvents(_ context.Context, r *adminv1.ListEventsRequest) (*adminv1.ListEventsResponse, error) {
	return &adminv1.ListEventsResponse{Events: m.events[r.GetKind()+"/"+r.GetNamespace()+"/"+r.GetName()]}, nil
}

// serviceObject is an InferenceService in the namespace default with that modelStatus.
func serviceObject(name, modelStatus string) object {
	return object{"default", name, `{"apiVersion":"serving.kserve.io/v1beta1","kind":"InferenceService",
		"metadata":{"name":"` + name + `","namespace":"default","creationTimestamp":"2026-01-01T00:00:00Z","generation":2},
		"spec":{"predictor":{"model":{"modelFormat":{"name":"sklearn"}}}},
		"status":{"url":"grpc://127.0.0.1:8033","conditions":[{"type":"Ready","status":"True"}],"modelStatus":` + modelStatus + `}}`}
}

const (
	loadedStatus = `{"transitionStatus":"UpToDate","states":{"activeModelState":"Loaded","targetModelState":""},"copies":{"failedCopies":0,"totalCopies":1}}`
	failedStatus = `{"transitionStatus":"BlockedByFailedLoad","states":{"activeModelState":"FailedToLoad","targetModelState":""},
		"lastFailureInfo":{"reason":"ModelLoadFailed","message":"no such bucket"}}`
	pendingStatus = `{"transitionStatus":"InProgress","states":{"activeModelState":"Pending","targetModelState":""}}`
)

// digits is a mesh that serves one model on one of two hosts.
func digits() *mesh {
	return &mesh{
		objects: map[string][]object{
			"InferenceService":      {serviceObject("digits", loadedStatus)},
			"Predictor":             nil,
			"ServingRuntime":        nil,
			"ClusterServingRuntime": {{"", "everywhere", `{"apiVersion":"v1","kind":"ClusterServingRuntime","metadata":{"name":"everywhere"}}`}},
		},
		models: []*adminv1.ListModelsResponse_Model{{
			Model: &syncv1.Model{
				Namespace: "default", Id: "digits__isvc-0123456789", Alias: "digits", Runtimes: []string{"mlserver-1.x"},
				Type: &syncv1.ModelType{Name: "sklearn"}, Storage: &syncv1.StorageReference{Path: "sklearn/digits"},
			},
			Active: true,
			Copies: []*adminv1.ListModelsResponse_Copy{{HostId: "mlserver-1.x-0", Copy: &syncv1.Copy{
				State: syncv1.CopyState_COPY_STATE_LOADED, Size: &syncv1.Resources{HostMemoryBytes: 3 << 20},
			}}},
		}},
		hosts: []*adminv1.ListHostsResponse_Host{
			{
				Hello: &syncv1.Hello{
					Namespace: "default", HostId: "fake-0", Runtime: "fake", GrpcAddress: "127.0.0.1:8033", RestAddress: "127.0.0.1:8008",
					Capacity: &syncv1.Resources{HostMemoryBytes: 512 << 20},
				},
				Connected: true, RuntimeState: syncv1.RuntimeState_RUNTIME_STATE_STARTING,
			},
			{
				Hello: &syncv1.Hello{
					Namespace: "default", HostId: "mlserver-1.x-0", Runtime: "mlserver-1.x", GrpcAddress: "127.0.0.1:8034", RestAddress: "127.0.0.1:8009",
					MetricsAddress: "127.0.0.1:2113", Capacity: &syncv1.Resources{HostMemoryBytes: 1 << 30}, Epoch: 4,
				},
				Connected: true, RuntimeState: syncv1.RuntimeState_RUNTIME_STATE_READY, CopiesLoaded: 1,
				Acked: &syncv1.Version{Term: 2, Sequence: 7}, Load: &syncv1.Load{Used: &syncv1.Resources{HostMemoryBytes: 3 << 20}},
			},
		},
		events: map[string][]*adminv1.ListEventsResponse_Event{
			"InferenceService/default/digits": {
				{Type: "Warning", Reason: "ModelLoadFailed", Message: "no such bucket", TimeMs: 1, Count: 3},
				{Type: "Normal", Reason: "ModelLoaded", Message: "loaded on mlserver-1.x-0", TimeMs: 2, Count: 1},
			},
			"ClusterServingRuntime//everywhere": {{Type: "Warning", Reason: "Invalid", Message: "no container", TimeMs: 1, Count: 1}},
		},
	}
}

// rows splits a table into its cells' words.
func rows(table string) []string {
	var found []string
	for line := range strings.Lines(table) {
		found = append(found, strings.Join(strings.Fields(line), " "))
	}
	return found
}
