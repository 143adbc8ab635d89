package standalone

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/wasmesh/wasmesh/controller/decide"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
	adminv1 "github.com/wasmesh/wasmesh/sdk/proto/admin/v1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// patience is how long a step may take before the test gives up; nothing is measured.
const patience = 30 * time.Second

const runtimeYAML = `apiVersion: serving.kserve.io/v1alpha1
kind: ServingRuntime
metadata:
  name: mlserver-1.x
spec:
  supportedModelFormats:
  - {name: sklearn, version: "1", autoSelect: true}
  multiModel: true
  protocolVersions: [grpc-v2]
  grpcEndpoint: port:8085
  grpcDataEndpoint: port:8001
  containers:
  - name: mlserver
    image: mlserver
    resources: {requests: {cpu: 500m, memory: 1Gi}}
  builtInAdapter:
    serverType: mlserver
    runtimeManagementPort: 8001
    memBufferBytes: 134217728
    modelLoadingTimeoutMillis: 90000
`

func isvcYAML(name, path string) string {
	return fmt.Sprintf(`apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: %s
  annotations: {serving.kserve.io/deploymentMode: ModelMesh}
spec:
  predictor:
    model:
      modelFormat: {name: sklearn}
      storage: {key: localMinIO, path: %s}
`, name, path)
}

const secretYAML = `apiVersion: v1
kind: Secret
metadata: {name: storage-config}
stringData:
  localMinIO: '{"type": "s3"}'
`

// mesh is a controller that really runs, on real files.
type mesh struct {
	t       *testing.T
	sources string
	data    string
	stop    func()
	admin   adminv1.AdminServiceClient
	// syncAddress is configured, sync is what the log says.
	syncAddress, sync string
}

func newMesh(t *testing.T) *mesh {
	t.Helper()
	m := &mesh{t: t, syncAddress: "127.0.0.1:0", sources: t.TempDir(), data: filepath.Join(t.TempDir(), "d")}
	m.write("runtime.yaml", runtimeYAML)
	m.write("secret.yaml", secretYAML)
	return m
}

func (m *mesh) write(name, content string) {
	m.t.Helper()
	if err := os.WriteFile(filepath.Join(m.sources, name), []byte(content), 0o644); err != nil {
		m.t.Fatal(err)
	}
}

// start runs the controller until m.stop is called, at the latest until the test ends.
func (m *mesh) start() {
	m.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	log := upLog{up: make(chan string, 1)}
	go func() {
		done <- Run(ctx, Config{
			Sources: []string{m.sources}, DataDir: m.data, SyncAddress: m.syncAddress,
			Endpoints: decide.Endpoints{GRPC: "grpc://127.0.0.1:8033", REST: "http://127.0.0.1:8008"},
			Logger:    slog.New(slog.NewTextHandler(log, nil)),
		})
	}()
	select {
	case m.sync = <-log.up:
	case err := <-done:
		m.t.Fatalf("run: %v", err)
	}
	conn, err := grpc.NewClient("unix:"+filepath.Join(m.data, runFolder, socketFile), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		m.t.Fatal(err)
	}
	m.admin = adminv1.NewAdminServiceClient(conn)
	m.stop = sync.OnceFunc(func() {
		_ = conn.Close()
		cancel()
		if err := <-done; err != nil {
			m.t.Errorf("run: %v", err)
		}
	})
	m.t.Cleanup(m.stop)
}

// upLog gets the address for hosts when the controller says that it is up.
type upLog struct{ up chan string }

func (l upLog) Write(p []byte) (int, error) {
	if strings.Contains(string(p), "controller is up") {
		_, rest, _ := strings.Cut(string(p), " sync=")
		address, _, _ := strings.Cut(rest, " ")
		l.up <- address
	}
	return len(p), nil
}

// await watches one InferenceService until its status satisfies the condition.
func (m *mesh) await(name, what string, holds func(v1beta1.InferenceServiceStatus) bool) v1beta1.InferenceServiceStatus {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), patience)
	defer cancel()
	watch, err := m.admin.WatchObjects(ctx, &adminv1.WatchObjectsRequest{Kind: v1beta1.Kind, Name: name})
	if err != nil {
		m.t.Fatal(err)
	}
	var last string
	for {
		response, err := watch.Recv()
		if err != nil {
			m.t.Fatalf("waiting for %s to be %s: %v; last %s", name, what, err, last)
		}
		for _, object := range response.Objects {
			last = object
			var isvc v1beta1.InferenceService
			if err := json.Unmarshal([]byte(object), &isvc); err != nil {
				m.t.Fatal(err)
			}
			if holds(isvc.Status) {
				return isvc.Status
			}
		}
	}
}

func loaded(s v1beta1.InferenceServiceStatus) bool {
	states := s.ModelStatus.ModelRevisionStates
	return states != nil && states.ActiveModelState == v1beta1.Loaded && states.TargetModelState == "" &&
		s.ModelStatus.TransitionStatus == v1beta1.UpToDate
}

// The life of one InferenceService: created, edited, edited badly, and a restart of everything in the middle of that.
func TestLifeOfAnInferenceService(t *testing.T) {
	m := newMesh(t)
	m.start()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	plans, err := m.admin.WatchPlan(ctx, &adminv1.WatchPlanRequest{})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := plans.Recv()
	if err != nil || len(plan.Runtimes) != 1 || plan.Runtimes[0].Needed {
		t.Fatalf("plan without models: %v, error %v", plan, err)
	}
	m.write("isvc.yaml", isvcYAML("digits", "one"))
	plan, err = plans.Recv()
	if err != nil || !plan.Runtimes[0].Needed || plan.Runtimes[0].CapacityBytes != 1<<30-128<<20 {
		t.Fatalf("plan with a model: %v, error %v", plan, err)
	}

	host := newHost(t)
	host.connect(m.sync)
	m.await("digits", "loaded", loaded)

	m.write("isvc.yaml", isvcYAML("digits", "two"))
	m.await("digits", "switched", func(s v1beta1.InferenceServiceStatus) bool { return loaded(s) && s.ObservedGeneration == 2 })

	m.write("isvc.yaml", isvcYAML("digits", "bad"))
	blocked := m.await("digits", "blocked", func(s v1beta1.InferenceServiceStatus) bool {
		return s.ModelStatus.TransitionStatus == v1beta1.BlockedByFailedLoad
	})
	if f := blocked.ModelStatus.LastFailureInfo; f == nil || f.Message != "no such object" || blocked.URL != "grpc://127.0.0.1:8033" {
		t.Errorf("blocked with %+v, url %s", f, blocked.URL)
	}
	m.stop()
	host.disconnect()
	if got, want := host.history[:2], []string{"load one", "load two"}; !slices.Equal(got, want) || host.activePath("digits") != "two" {
		t.Errorf("history %v, active path %q", host.history, host.activePath("digits"))
	}

	// The host too starts anew, with an empty memory and its catalog on disk.
	before := len(host.history)
	host.copies = map[string]*syncv1.Copy{}
	host.hello.Epoch++
	m.start()
	host.connect(m.sync)
	again := m.await("digits", "blocked after the restart", func(s v1beta1.InferenceServiceStatus) bool {
		states := s.ModelStatus.ModelRevisionStates
		return s.ModelStatus.TransitionStatus == v1beta1.BlockedByFailedLoad && states.ActiveModelState == v1beta1.Loaded
	})
	if !reflect.DeepEqual(again.Conditions, blocked.Conditions) {
		t.Errorf("conditions moved over the restart:\n%v\n%v", blocked.Conditions, again.Conditions)
	}
	m.stop()
	host.disconnect()
	if host.activePath("digits") != "two" || slices.Contains(host.history[before:], "unload") {
		t.Errorf("after the restart: active path %q, history %v", host.activePath("digits"), host.history[before:])
	}
}

func TestAdminAnswers(t *testing.T) {
	m := newMesh(t)
	m.write("isvc.yaml", isvcYAML("digits", "one"))
	m.write("other.yaml", isvcYAML("other", "two"))
	m.write("wrong.yaml", "a: b: c\n")
	m.start()
	host := newHost(t)
	host.connect(m.sync)
	m.await("digits", "loaded", loaded)
	m.await("other", "loaded", loaded)

	ctx := t.Context()
	models, err := m.admin.ListModels(ctx, &adminv1.ListModelsRequest{Alias: "digits"})
	if err != nil || len(models.Models) != 1 {
		t.Fatalf("models %v, error %v", models, err)
	}
	model := models.Models[0]
	if !model.Active || !strings.HasPrefix(model.Model.Id, "digits__isvc-") || len(model.Copies) != 1 ||
		model.Copies[0].HostId != "mlserver-1.x-0" || model.Copies[0].Copy.State != syncv1.CopyState_COPY_STATE_LOADED {
		t.Errorf("model %v", model)
	}
	hosts, err := m.admin.ListHosts(ctx, &adminv1.ListHostsRequest{})
	if err != nil || len(hosts.Hosts) != 1 || !hosts.Hosts[0].Connected || hosts.Hosts[0].CopiesLoaded != 2 {
		t.Errorf("hosts %v, error %v", hosts, err)
	}
	events, err := m.admin.ListEvents(ctx, &adminv1.ListEventsRequest{Kind: v1beta1.Kind, Namespace: "default", Name: "digits"})
	if err != nil || len(events.Events) == 0 || events.Events[0].TimeMs == 0 || events.Events[0].Count == 0 {
		t.Errorf("events %v, error %v", events, err)
	}
	objects, err := m.admin.ListObjects(ctx, &adminv1.ListObjectsRequest{Kind: "ServingRuntime"})
	if err != nil || len(objects.Objects) != 1 || !strings.Contains(objects.Objects[0], `"apiVersion":"serving.kserve.io/v1alpha1"`) {
		t.Errorf("runtimes %v, error %v", objects, err)
	}
	want := []string{filepath.Join(m.sources, "wrong.yaml") + ":1: malformed YAML: mapping values are not allowed in this context"}
	if !slices.Equal(objects.GetWarnings(), want) {
		t.Errorf("warnings %q, want %q", objects.GetWarnings(), want)
	}
	if _, err := m.admin.ListObjects(ctx, &adminv1.ListObjectsRequest{Kind: "Pod"}); err == nil {
		t.Error("pods are listed")
	}
	if got := string(host.credentialsAfter()["localMinIO"]); got != `{"type": "s3"}` {
		t.Errorf("credentials %q", got)
	}
}

func TestRunLeavesNothingBehind(t *testing.T) {
	m := newMesh(t)
	m.start()
	socket := filepath.Join(m.data, runFolder, socketFile)
	wantPrivate(t, socket)
	// What else is known of a running controller is in the record of whoever started it.
	if running, err := os.ReadDir(filepath.Join(m.data, runFolder)); err != nil || len(running) != 1 {
		t.Errorf("in run/: %v, error %v; want the socket alone", running, err)
	}
	m.stop()
	left, err := os.ReadDir(filepath.Join(m.data, runFolder))
	if err != nil || len(left) != 0 {
		t.Errorf("left in run/: %v, error %v", left, err)
	}
	// What a controller that was killed leaves does not hinder the next.
	leaveSocket(t, socket)
	m.start()
}

func TestRunRefusesBadSettings(t *testing.T) {
	sources := t.TempDir()
	for name, test := range map[string]struct {
		config Config
		want   string
	}{
		"no sources":     {Config{DataDir: t.TempDir()}, "no path is given"},
		"missing source": {Config{DataDir: t.TempDir(), Sources: []string{filepath.Join(sources, "absent")}}, "no such file"},
		"sync address":   {Config{DataDir: t.TempDir(), Sources: []string{sources}, SyncAddress: "nowhere"}, "listen for hosts"},
		"long data directory": {
			Config{DataDir: filepath.Join(t.TempDir(), strings.Repeat("x", 100)), Sources: []string{sources}, SyncAddress: "127.0.0.1:0"},
			"shorter path",
		},
	} {
		t.Run(name, func(t *testing.T) {
			test.config.Logger = slog.New(slog.DiscardHandler)
			if err := Run(t.Context(), test.config); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

// The only runtime is removed while nothing runs: what the status said before is not what it says then.
func TestRuntimeRemovedBeforeRestart(t *testing.T) {
	m := newMesh(t)
	m.write("isvc.yaml", isvcYAML("digits", "one"))
	m.start()
	host := newHost(t)
	host.connect(m.sync)
	m.await("digits", "loaded", loaded)
	host.disconnect()
	m.await("digits", "without hosts", failsWith(v1beta1.RuntimeUnhealthy))
	m.stop()
	if err := os.Remove(filepath.Join(m.sources, "runtime.yaml")); err != nil {
		t.Fatal(err)
	}
	m.start()
	m.await("digits", "without a runtime", failsWith(v1beta1.NoSupportingRuntime))
}

func failsWith(reason v1beta1.FailureReason) func(v1beta1.InferenceServiceStatus) bool {
	return func(s v1beta1.InferenceServiceStatus) bool {
		f := s.ModelStatus.LastFailureInfo
		return f != nil && f.Reason == reason
	}
}

// An InferenceService that is given to another controller loses its model and what was said of it, and says so.
func TestInferenceServiceIsOursNoMore(t *testing.T) {
	m := newMesh(t)
	m.write("isvc.yaml", isvcYAML("digits", "one"))
	m.start()
	host := newHost(t)
	host.connect(m.sync)
	m.await("digits", "loaded", loaded)
	m.write("isvc.yaml", strings.Replace(isvcYAML("digits", "one"), "ModelMesh", "RawDeployment", 1))
	m.await("digits", "without a status", func(s v1beta1.InferenceServiceStatus) bool {
		return len(s.Conditions) == 0 && s.ModelStatus.ModelRevisionStates == nil && s.URL == ""
	})
	objects, err := m.admin.ListObjects(t.Context(), &adminv1.ListObjectsRequest{Kind: v1beta1.Kind})
	want := filepath.Join(m.sources, "isvc.yaml") +
		":1: InferenceService default/digits is ignored: its annotation serving.kserve.io/deploymentMode is not ModelMesh"
	if err != nil || !slices.Equal(objects.GetWarnings(), []string{want}) {
		t.Errorf("warnings %q, error %v; want %q", objects.GetWarnings(), err, want)
	}
	m.write("isvc.yaml", isvcYAML("digits", "one"))
	m.await("digits", "loaded again", loaded)
}
