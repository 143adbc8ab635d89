package inferenceservice

import (
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	managerconfig "sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/wasmesh/wasmesh/controller/reconcile"
	"github.com/wasmesh/wasmesh/sdk/apis/serving/v1beta1"
	"github.com/wasmesh/wasmesh/test/envtest"
)

// decisions is a View that never changes.
type decisions struct{ view *reconcile.View }

func (d decisions) View() (*reconcile.View, <-chan struct{}) { return d.view, nil }

// rig is a namespace of a real API server.
type rig struct {
	t         *testing.T
	client    client.WithWatch
	manager   ctrl.Manager
	namespace string
}

func newRig(t *testing.T) *rig {
	server := envtest.Start(t)
	r := &rig{t: t, namespace: envtest.Namespace(t, server, nil)}
	scheme := runtime.NewScheme()
	r.must(v1beta1.AddToScheme(scheme))
	var err error
	r.client, err = client.NewWithWatch(server, client.Options{Scheme: scheme})
	r.must(err)
	several := true
	r.manager, err = ctrl.NewManager(server, ctrl.Options{
		Scheme:     scheme,
		Metrics:    metricsserver.Options{BindAddress: "0"},
		Cache:      cache.Options{DefaultNamespaces: map[string]cache.Config{r.namespace: {}}},
		Controller: managerconfig.Controller{SkipNameValidation: &several},
	})
	r.must(err)
	return r
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// leftBehind makes an InferenceService whose whole status another manager has written, and answers what is decided of it.
func (r *rig) leftBehind(name string, there, decided v1beta1.InferenceServiceStatus) *v1beta1.InferenceService {
	r.t.Helper()
	o := &v1beta1.InferenceService{ObjectMeta: metav1.ObjectMeta{Namespace: r.namespace, Name: name}}
	r.must(r.client.Create(r.t.Context(), o))
	o.Status = there
	r.must(r.client.Status().Update(r.t.Context(), o, client.FieldOwner("manager")))
	o.SetGroupVersionKind(v1beta1.GroupVersion.WithKind(v1beta1.Kind))
	o.Status = decided
	return o
}

// run carries decisions about the objects out, until the test ends.
func (r *rig) run(objects ...*v1beta1.InferenceService) {
	r.t.Helper()
	view := &reconcile.View{}
	view.Objects.InferenceServices = objects
	r.must(SetUp(r.manager, Deps{Decisions: decisions{view}}))
	ctx, cancel := context.WithCancel(r.t.Context())
	done := make(chan error, 1)
	go func() { done <- r.manager.Start(ctx) }()
	r.t.Cleanup(func() {
		cancel()
		r.must(<-done)
	})
}

// untilQuiet waits until there is nothing to write of what is decided, and answers the status as kubectl shows it.
func (r *rig) untilQuiet(decided *v1beta1.InferenceService) map[string]any {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	changes, err := r.client.Watch(ctx, &v1beta1.InferenceServiceList{}, client.InNamespace(r.namespace))
	r.must(err)
	defer changes.Stop()
	last := v1beta1.InferenceServiceStatus{}
	for change := range changes.ResultChan() {
		actual, is := change.Object.(*v1beta1.InferenceService)
		if !is || actual.Name != decided.Name {
			continue
		}
		last = actual.Status
		if _, differs := status(decided, actual); !differs {
			shown := &unstructured.Unstructured{}
			shown.SetGroupVersionKind(decided.GroupVersionKind())
			r.must(r.client.Get(ctx, client.ObjectKeyFromObject(decided), shown))
			return shown.Object["status"].(map[string]any)
		}
	}
	r.t.Fatalf("%s: never at rest; the status is %+v", decided.Name, last)
	return nil
}

// TestAfterModelMesh: of a status that ModelMesh has written whole, nothing outlasts the first write but what is decided,
// so that the object is not written again.
func TestAfterModelMesh(t *testing.T) {
	at := metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	there := v1beta1.InferenceServiceStatus{
		URL:        "grpc://old:8033",
		Components: map[v1beta1.ComponentType]v1beta1.ComponentStatusSpec{v1beta1.PredictorComponent: {URL: "grpc://old:8033"}},
		Conditions: []v1beta1.Condition{{Type: v1beta1.ConditionReady, Status: corev1.ConditionTrue, Severity: "Info"}},
		ModelStatus: v1beta1.ModelStatus{
			TransitionStatus:    v1beta1.BlockedByFailedLoad,
			ModelRevisionStates: &v1beta1.ModelRevisionStates{ActiveModelState: v1beta1.Loaded, TargetModelState: v1beta1.FailedToLoad},
			ModelCopies:         &v1beta1.ModelCopies{TotalCopies: 1, FailedCopies: 1},
			LastFailureInfo: &v1beta1.FailureInfo{
				Location: "abcdef", Reason: v1beta1.ModelLoadFailed, Message: "old", ModelRevisionName: "m__isvc-0", Time: &at, ExitCode: 3,
			},
		},
	}
	decided := func(failure *v1beta1.FailureInfo) v1beta1.InferenceServiceStatus {
		return v1beta1.InferenceServiceStatus{
			ObservedGeneration: 1,
			Conditions:         []v1beta1.Condition{{Type: v1beta1.ConditionReady, Status: corev1.ConditionFalse}},
			ModelStatus: v1beta1.ModelStatus{
				TransitionStatus:    v1beta1.UpToDate,
				ModelRevisionStates: &v1beta1.ModelRevisionStates{ActiveModelState: v1beta1.Standby},
				ModelCopies:         &v1beta1.ModelCopies{},
				LastFailureInfo:     failure,
			},
		}
	}
	r := newRig(t)
	waiting := &v1beta1.FailureInfo{Reason: v1beta1.RuntimeUnhealthy, Message: "new", Time: &at}
	failing := r.leftBehind("failing", there, decided(waiting))
	resting := r.leftBehind("resting", there, decided(nil))
	empty := v1beta1.InferenceServiceStatus{ModelStatus: v1beta1.ModelStatus{TransitionStatus: v1beta1.UpToDate}}
	fresh := r.leftBehind("fresh", empty, decided(waiting))
	r.run(failing, fresh, resting)
	for _, o := range []*v1beta1.InferenceService{failing, fresh, resting} {
		shown := r.untilQuiet(o)
		model := shown["modelStatus"].(map[string]any)
		if states := model["states"].(map[string]any); states["targetModelState"] != "" {
			t.Errorf("%s: states %v", o.Name, states)
		}
		if copies := model["copies"].(map[string]any); copies["totalCopies"] != int64(0) || copies["failedCopies"] != int64(0) {
			t.Errorf("%s: copies %v", o.Name, copies)
		}
		if shown["url"] != nil {
			t.Errorf("%s: status %v", o.Name, shown)
		}
		failure, is := model["lastFailureInfo"].(map[string]any)
		if !is && o == resting {
			continue
		}
		if got, want := slices.Sorted(maps.Keys(failure)), []string{"message", "reason", "time"}; !slices.Equal(got, want) {
			t.Errorf("%s: the failure has %v, want %v", o.Name, got, want)
		}
	}
}

// TestLeft: nulls are for what should not be there, and for nothing else.
func TestLeft(t *testing.T) {
	type info = v1beta1.FailureInfo
	at := metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	for name, test := range map[string]struct {
		wanted, there *info
		// nulls in the failure; "lastFailureInfo" for all of it.
		nulls []string
	}{
		"none":               {nil, nil, nil},
		"new":                {&info{Message: "a"}, nil, nil},
		"gone":               {nil, &info{Message: "a"}, []string{"lastFailureInfo"}},
		"the same":           {&info{Message: "a", Time: &at}, &info{Message: "a", Time: &at}, nil},
		"other words":        {&info{Message: "a", Location: "b"}, &info{Message: "c", Location: "d"}, nil},
		"fields of another":  {&info{Message: "a"}, &info{Message: "a", Location: "b", ExitCode: 1, Time: &at}, []string{"exitCode", "location", "time"}},
		"more than there is": {&info{Message: "a", Location: "b"}, &info{ModelRevisionName: "c"}, []string{"modelRevisionName"}},
	} {
		t.Run(name, func(t *testing.T) {
			decided, actual := &v1beta1.InferenceService{}, &v1beta1.InferenceService{}
			decided.Status.ModelStatus.LastFailureInfo = test.wanted
			actual.Status.ModelStatus.LastFailureInfo = test.there
			var nulls []string
			if patch, some := left(decided, actual).(map[string]any); some {
				failure := patch["modelStatus"].(map[string]any)
				if of := failure["lastFailureInfo"]; of != nil {
					failure = of.(map[string]any)
				}
				for field, value := range failure {
					nulls = append(nulls, field)
					if value != nil {
						t.Errorf("%s is %v, want null", field, value)
					}
				}
			}
			if slices.Sort(nulls); !slices.Equal(nulls, test.nulls) {
				t.Errorf("nulls for %q, want %q", nulls, test.nulls)
			}
		})
	}
}
