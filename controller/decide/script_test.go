package decide

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wasmesh/wasmesh/sdk/apis/serving"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1alpha1"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
	syncv1 "github.com/wasmesh/wasmesh/sdk/proto/sync/v1"
)

// script plays a mesh around Decide: it applies each Output as the controller does, and lets hosts answer.
type script struct {
	t        *testing.T
	in       Input
	hosts    map[string]*Host
	sequence uint64
	events   []Event
	out      Output
}

func newScript(t *testing.T, objects ...any) *script {
	s := &script{t: t, hosts: map[string]*Host{}}
	s.in.Now = time.Date(2026, 4, 14, 10, 0, 0, 123456789, time.UTC)
	s.in.Settled = true
	s.in.Published.Since = map[string]*syncv1.Version{}
	for _, o := range objects {
		s.declare(o)
	}
	return s
}

// declare adds an object, or replaces the one of its name and keeps its status, as an edit does.
func (s *script) declare(o any) {
	objects := &s.in.Objects
	switch o := o.(type) {
	case *v1beta1.InferenceService:
		o.Generation = 1
		for i, old := range objects.InferenceServices {
			if old.Name == o.Name && old.Namespace == o.Namespace {
				o.Generation, o.Status = old.Generation+1, old.Status
				objects.InferenceServices[i] = o
				return
			}
		}
		objects.InferenceServices = append(objects.InferenceServices, o)
	case *v1alpha1.Predictor:
		for i, old := range objects.Predictors {
			if old.Name == o.Name && old.Namespace == o.Namespace {
				o.Status = old.Status
				objects.Predictors[i] = o
				return
			}
		}
		objects.Predictors = append(objects.Predictors, o)
	case *v1alpha1.ServingRuntime:
		objects.ServingRuntimes = append(objects.ServingRuntimes, o)
	case *v1alpha1.ClusterServingRuntime:
		objects.ClusterServingRuntimes = append(objects.ClusterServingRuntimes, o)
	default:
		s.t.Fatalf("declare %T", o)
	}
}

// decide decides, checks that the same Input gives the same Output and that a second look finds nothing to do, and applies.
func (s *script) decide() {
	s.t.Helper()
	s.in.Now = s.in.Now.Add(time.Second)
	s.in.Hosts = nil
	for _, name := range slices.Sorted(maps.Keys(s.hosts)) {
		s.in.Hosts = append(s.in.Hosts, *s.hosts[name])
	}
	s.out = Decide(s.in)
	forgetful := s.in
	forgetful.Memo = nil
	if a, b := fingerprint(s.out), fingerprint(Decide(forgetful)); a != b {
		s.t.Fatalf("two decisions of one input differ, of which one has no memo:\n%s\n----\n%s", a, b)
	}
	s.in = apply(s.in, s.out)
	s.events = append(s.events, s.out.Events...)
	again := s.in
	again.Now = again.Now.Add(time.Hour)
	next := Decide(again)
	if len(next.InferenceServices)+len(next.Predictors)+len(next.Events) > 0 {
		s.t.Fatalf("a second decision still changes something: %v %v %v", next.InferenceServices, next.Predictors, next.Events)
	}
	if a, b := rowsOf(s.out), rowsOf(next); a != b {
		s.t.Fatalf("a second decision has other rows:\n%s\n----\n%s", a, b)
	}
	s.publish()
}

// apply makes the Input that follows, statuses having been through an API server: nothing in the old one is changed.
func apply(in Input, out Output) Input {
	in.Active, in.Refused, in.Faults, in.AnnotationFaults = out.Active, out.Refused, out.Faults, out.AnnotationFaults
	in.Refuted, in.Memo = out.Refuted, out.Memo
	in.Objects.InferenceServices = slices.Clone(in.Objects.InferenceServices)
	for i, o := range in.Objects.InferenceServices {
		if o == nil {
			continue
		}
		if status, ok := out.InferenceServices[Key{o.Namespace, v1beta1.Kind, o.Name}]; ok {
			o = o.DeepCopy()
			o.Status = stored(status)
			in.Objects.InferenceServices[i] = o
		}
	}
	in.Objects.Predictors = slices.Clone(in.Objects.Predictors)
	for i, o := range in.Objects.Predictors {
		if o == nil {
			continue
		}
		if status, ok := out.Predictors[Key{o.Namespace, v1alpha1.KindPredictor, o.Name}]; ok {
			o = o.DeepCopy()
			o.Status = stored(status)
			in.Objects.Predictors[i] = o
		}
	}
	return in
}

func stored[T any](status T) (back T) {
	if err := json.Unmarshal([]byte(mustJSON(status)), &back); err != nil {
		panic(err)
	}
	return back
}

// publish numbers new rows and forgets those that are gone.
func (s *script) publish() {
	since := map[string]*syncv1.Version{}
	for _, row := range s.out.Rows {
		v := s.in.Published.Since[row.Key]
		if v == nil {
			s.sequence++
			v = &syncv1.Version{Term: 1, Sequence: s.sequence}
		}
		since[row.Key] = v
	}
	s.in.Published.Since = since
}

// host connects a host whose runtime is ready.
func (s *script) host(id, runtime string) *Host {
	h := &Host{
		Hello:        &syncv1.Hello{Namespace: "default", HostId: id, Runtime: runtime},
		Connected:    true,
		Complete:     true,
		Copies:       map[string]*syncv1.Copy{},
		RuntimeState: syncv1.RuntimeState_RUNTIME_STATE_READY,
	}
	s.hosts[id] = h
	return h
}

// ack lets every connected host apply the catalog, and decides.
func (s *script) ack() {
	s.t.Helper()
	for _, h := range s.hosts {
		if h.Connected {
			h.Acked = &syncv1.Version{Term: 1, Sequence: s.sequence}
		}
	}
	s.decide()
}

// report sets a copy, and decides.
func (s *script) report(host, model string, state syncv1.CopyState) {
	s.t.Helper()
	s.set(host, &syncv1.Copy{ModelId: model, State: state})
}

// fail sets a failed copy, and decides.
func (s *script) fail(host, model, message string, at time.Time) {
	s.t.Helper()
	s.set(host, &syncv1.Copy{ModelId: model, State: syncv1.CopyState_COPY_STATE_FAILED, Failure: &syncv1.Failure{
		Reason: syncv1.FailureReason_FAILURE_REASON_MODEL_LOAD_FAILED, Message: message, TimeMs: at.UnixMilli(), Attempts: 1,
	}})
}

func (s *script) set(host string, c *syncv1.Copy) {
	s.t.Helper()
	h := s.hosts[host]
	h.Copies = maps.Clone(h.Copies)
	h.Copies[c.ModelId] = c
	s.decide()
}

// gone removes a copy, and decides.
func (s *script) gone(host, model string) {
	s.t.Helper()
	h := s.hosts[host]
	h.Copies = maps.Clone(h.Copies)
	delete(h.Copies, model)
	s.decide()
}

func (s *script) isvc(name string) *v1beta1.InferenceService {
	s.t.Helper()
	for _, o := range s.in.Objects.InferenceServices {
		if o.Name == name {
			return o
		}
	}
	s.t.Fatalf("no InferenceService %s", name)
	return nil
}

// model answers the ids that the alias row has.
func (s *script) model(name string) (active, target string) {
	s.t.Helper()
	a := s.alias(name)
	return a.ActiveModelId, a.TargetModelId
}

func (s *script) alias(name string) *syncv1.Alias {
	s.t.Helper()
	for _, row := range s.out.Rows {
		if row.Key == AliasRowKey("default", name) {
			return row.GetAlias()
		}
	}
	s.t.Fatalf("no alias row of %s in %s", name, rowsOf(s.out))
	return nil
}

// want checks available, active state, target state and transition in the form of ModelMesh's own tests.
func (s *script) want(name string, available bool, active, target v1beta1.ModelState, transition v1beta1.TransitionStatus) {
	s.t.Helper()
	st := standingOfInferenceService(s.isvc(name).Status)
	if st.available != available || st.active != active || st.target != target || st.transition != transition {
		s.t.Fatalf("%s is (%v, %q, %q, %q), want (%v, %q, %q, %q)", name,
			st.available, st.active, st.target, st.transition, available, active, target, transition)
	}
}

// wantFailure checks reason and message; "" for none.
func (s *script) wantFailure(name string, reason v1beta1.FailureReason, message string) *v1beta1.FailureInfo {
	s.t.Helper()
	f := s.isvc(name).Status.ModelStatus.LastFailureInfo
	if reason == "" {
		if f != nil {
			s.t.Fatalf("%s has failure %+v, want none", name, *f)
		}
		return nil
	}
	if f == nil {
		s.t.Fatalf("%s has no failure, want %s", name, reason)
	}
	if f.Reason != reason || f.Message != message || f.Time == nil {
		s.t.Fatalf("%s has failure %+v, want %s %q with a time", name, *f, reason, message)
	}
	return f
}

// wantEvents checks the reasons of the Events since the last call, and forgets them.
func (s *script) wantEvents(want ...string) {
	s.t.Helper()
	var got []string
	for _, e := range s.events {
		got = append(got, e.Reason)
	}
	if !slices.Equal(got, want) {
		s.t.Fatalf("events %v, want %v", s.events, want)
	}
	s.events = nil
}

// ---- objects

const tutorialRuntime = "mlserver-1.x"

// sklearn is an InferenceService for a model at a path.
func sklearn(name, path string) *v1beta1.InferenceService { return service(name, "sklearn", path) }

func service(name, format, path string) *v1beta1.InferenceService {
	key := "localMinIO"
	return &v1beta1.InferenceService{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "default", Name: name,
			Annotations: map[string]string{serving.AnnotationDeploymentMode: serving.DeploymentModeModelMesh},
		},
		Spec: v1beta1.InferenceServiceSpec{Predictor: v1beta1.PredictorSpec{Model: &v1beta1.ModelSpec{
			ModelFormat: v1beta1.ModelFormat{Name: format},
			PredictorExtensionSpec: v1beta1.PredictorExtensionSpec{
				Storage: &v1beta1.StorageSpec{Path: &path, StorageKey: &key},
			},
		}}},
	}
}

// contradictory has both forms of a location.
func contradictory(name string) *v1beta1.InferenceService {
	o := sklearn(name, "sklearn/a")
	uri := "s3://bucket/sklearn/a"
	o.Spec.Predictor.Model.StorageURI = &uri
	return o
}

func predictor(name, path string) *v1alpha1.Predictor {
	return &v1alpha1.Predictor{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec: v1alpha1.PredictorSpec{
			ModelType: v1alpha1.ModelType{Name: "sklearn"},
			Path:      path,
			Storage:   &v1alpha1.Storage{S3: &v1alpha1.S3StorageSource{SecretKey: "localMinIO"}},
		},
	}
}

func runtimeSpec(formats ...string) v1alpha1.ServingRuntimeSpec {
	yes := true
	spec := v1alpha1.ServingRuntimeSpec{
		MultiModel: &yes,
		BuiltInAdapter: &v1alpha1.BuiltInAdapter{
			ServerType: "mlserver", RuntimeManagementPort: 8001, MemBufferBytes: 128 << 20,
		},
		ServingRuntimePodSpec: v1alpha1.ServingRuntimePodSpec{Containers: []corev1.Container{{
			Name: "mlserver",
			Resources: corev1.ResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")},
			},
		}}},
	}
	for _, f := range formats {
		spec.SupportedModelFormats = append(spec.SupportedModelFormats, v1alpha1.SupportedModelFormat{Name: f, AutoSelect: &yes})
	}
	return spec
}

func mlserver(name string, formats ...string) *v1alpha1.ServingRuntime {
	return &v1alpha1.ServingRuntime{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec:       runtimeSpec(formats...),
	}
}

func clusterMLServer(name string, formats ...string) *v1alpha1.ClusterServingRuntime {
	return &v1alpha1.ClusterServingRuntime{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       runtimeSpec(formats...),
	}
}

// ---- comparing

// fingerprint tells any two Outputs apart.
func fingerprint(o Output) string {
	var b strings.Builder
	b.WriteString(rowsOf(o))
	for _, key := range slices.SortedFunc(maps.Keys(o.Active), compareKeys) {
		fmt.Fprintln(&b, "active", key, wire(o.Active[key]))
	}
	fmt.Fprintln(&b, "refused", o.Refused, "faults", o.Faults, o.AnnotationFaults, len(o.Refuted))
	for _, key := range slices.SortedFunc(maps.Keys(o.InferenceServices), compareKeys) {
		fmt.Fprintf(&b, "isvc %v %s\n", key, mustJSON(o.InferenceServices[key]))
	}
	for _, key := range slices.SortedFunc(maps.Keys(o.Predictors), compareKeys) {
		fmt.Fprintf(&b, "predictor %v %s\n", key, mustJSON(o.Predictors[key]))
	}
	for _, p := range o.Runtimes {
		fmt.Fprintln(&b, "plan", p.Namespace, p.Name, wire(p))
	}
	fmt.Fprintln(&b, "events", o.Events, "waited", o.Waited, "contradictions", o.Contradictions)
	for _, key := range slices.SortedFunc(maps.Keys(o.Changing), compareKeys) {
		fmt.Fprintln(&b, "changing", key)
	}
	return b.String()
}

func rowsOf(o Output) string {
	var b strings.Builder
	for _, row := range o.Rows {
		fmt.Fprintln(&b, row.Key, wire(row))
	}
	return b.String()
}

func wire(m proto.Message) string {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		panic(err)
	}
	return hex.EncodeToString(b)
}

func mustJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}
